//! What a board, or rather its untrusted firmware, says of itself.

use crate::FormatError;
use crate::bytes::{Reader, begin, put_name, put_u16};

/// Rules of the core and devices of the board (`docs/board-profile.md`). The numbers are those of the node key's block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// A part as published.
    Bare = 0,
    /// The board profile.
    Veritee = 1,
}

/// Where uniqueness of activations comes from. The numbers are those of the freshness device and of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FreshnessKind {
    /// Hardware random numbers.
    HardwareRng = 1,
    /// A persistent counter.
    PersistentCounter = 2,
    /// Nothing: a bare part.
    None = 4,
}

/// What a board claims. It tells the owner which keys to try, and proves nothing: a board that is another one has other keys.
///
/// `VSCL`, version, then profile and freshness (u8 each), security in bits, free bytes for text and for secrets (u16 each), the
/// number of drivers (u8) and their names behind their lengths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// Its profile.
    pub profile: Profile,
    /// Its source of freshness.
    pub freshness: FreshnessKind,
    /// Security of its core: 64 or 128 bits.
    pub security: u16,
    /// Largest text section that a reservation can get now, in bytes.
    pub text_free: u16,
    /// The same for secret sections.
    pub secret_free: u16,
    /// Names of the drivers that stage 0 enabled.
    pub drivers: Vec<String>,
}

impl Claims {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(CLAIMS);
        bytes.extend_from_slice(&[self.profile as u8, self.freshness as u8]);
        for number in [self.security, self.text_free, self.secret_free] {
            put_u16(&mut bytes, number);
        }
        bytes.push(u8::try_from(self.drivers.len()).unwrap_or(u8::MAX));
        self.drivers.iter().for_each(|driver| put_name(&mut bytes, driver));
        bytes
    }

    /// Reads claims.
    ///
    /// # Errors
    /// [`FormatError`], as said there.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::open(bytes, CLAIMS, "claims of a Sancus board")?;
        let profile = Profile::try_from(reader.u8("profile")?)?;
        let freshness = FreshnessKind::try_from(reader.u8("freshness")?)?;
        let security = reader.u16("security")?;
        let (text_free, secret_free) = (reader.u16("free text")?, reader.u16("free secrets")?);
        let count = reader.u8("drivers")?;
        let drivers = (0..count).map(|_| reader.name("driver")).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { profile, freshness, security, text_free, secret_free, drivers })
    }
}

impl TryFrom<u8> for Profile {
    type Error = FormatError;

    fn try_from(number: u8) -> Result<Self, FormatError> {
        match number {
            0 => Ok(Self::Bare),
            1 => Ok(Self::Veritee),
            _ => Err(FormatError::Malformed { field: "profile" }),
        }
    }
}

impl TryFrom<u8> for FreshnessKind {
    type Error = FormatError;

    fn try_from(number: u8) -> Result<Self, FormatError> {
        match number {
            1 => Ok(Self::HardwareRng),
            2 => Ok(Self::PersistentCounter),
            4 => Ok(Self::None),
            _ => Err(FormatError::Malformed { field: "freshness" }),
        }
    }
}

impl core::fmt::Display for Claims {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let profile = match self.profile {
            Profile::Bare => "bare",
            Profile::Veritee => "veritee",
        };
        let freshness = match self.freshness {
            FreshnessKind::HardwareRng => "hardware-rng",
            FreshnessKind::PersistentCounter => "persistent-counter",
            FreshnessKind::None => "no freshness",
        };
        write!(f, "profile {profile}, security {}, {freshness}; ", self.security)?;
        write!(f, "free: {} bytes for text, {} for secrets", self.text_free, self.secret_free)?;
        if !self.drivers.is_empty() {
            write!(f, "; drivers: {}", self.drivers.join(", "))?;
        }
        Ok(())
    }
}

const CLAIMS: [u8; 4] = *b"VSCL";
