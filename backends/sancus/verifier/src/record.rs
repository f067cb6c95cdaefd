//! What a provider keeps of a board, and what he gives to an owner: JSON, in their own files.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use veritee_ids::Freshness;
use veritee_platform::{Driver, PlatformError, PortTable};
use veritee_sancus_format::{FreshnessKind, Profile};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Generation of a core. The numbers are those of the node key's block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Core {
    /// The core of the published parts.
    Legacy = 1,
    /// The present one.
    Master = 2,
}

/// Properties of a board that its node key stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// Rules of core and board.
    #[serde(with = "profile")]
    pub profile: Profile,
    /// The core's generation.
    #[serde(with = "core_generation")]
    pub core: Core,
    /// Bits of security: 128, or 64 in the emulator.
    pub security: u16,
    /// Where the uniqueness of activations comes from.
    #[serde(with = "freshness")]
    pub freshness: FreshnessKind,
    /// An emulated board.
    pub simulated: bool,
}

impl Properties {
    /// The wire's code of the source of freshness.
    pub(crate) const fn freshness(&self) -> Freshness {
        match self.freshness {
            FreshnessKind::HardwareRng => Freshness::HardwareRng,
            FreshnessKind::PersistentCounter => Freshness::PersistentCounter,
            FreshnessKind::None => Freshness::None,
        }
    }
}

/// Sixteen secret bytes, in hexadecimal. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct HexKey(pub(crate) [u8; 16]);

impl Serialize for HexKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = bytes::deserialize(deserializer)?;
        let length = bytes.len();
        bytes.try_into().map(Self).map_err(|_| serde::de::Error::invalid_length(length, &"16 bytes"))
    }
}

/// A driver of a board.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DriverRecord {
    pub(crate) name: String,
    pub(crate) device: u16,
    pub(crate) exclusive: bool,
    /// The port table, as in images.
    #[serde(with = "bytes")]
    pub(crate) ports: Vec<u8>,
}

impl DriverRecord {
    pub(crate) fn driver(&self) -> Result<Driver, PlatformError> {
        let ports = PortTable::decode(&self.ports);
        let ports = ports.map_err(|_| foreign(&format!("the ports of its driver {} are malformed", self.name)))?;
        Ok(Driver { name: self.name.clone(), device: self.device, exclusive: self.exclusive, ports })
    }
}

/// What an owner is given.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VendorKey {
    pub(crate) properties: Properties,
    pub(crate) vendor: u16,
    pub(crate) key: HexKey,
    pub(crate) drivers: Vec<DriverRecord>,
}

/// What the provider keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BoardSecret {
    pub(crate) properties: Properties,
    pub(crate) secret: HexKey,
    pub(crate) drivers: Vec<DriverSecret>,
}

/// A driver with its identity: not secret, but nobody else needs it.
#[derive(Serialize, Deserialize)]
pub(crate) struct DriverSecret {
    #[serde(flatten)]
    pub(crate) record: DriverRecord,
    #[serde(with = "bytes")]
    pub(crate) identity: Vec<u8>,
}

/// Reads what must be JSON of this platform.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, PlatformError> {
    serde_json::from_slice(json).map_err(|error| foreign(&error.to_string()))
}

fn foreign(reason: &str) -> PlatformError {
    PlatformError::Credential {
        reason: format!("this is no key of a Sancus board ({reason}); ask its provider for another one"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>();
        bytes.filter(|_| rest.is_empty()).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}

macro_rules! words {
    ($module:ident $type:ty { $($word:literal = $value:path,)* }) => {
        mod $module {
            use super::*;

            #[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde wants; some of the types are larger")]
            pub(super) fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match value { $($value => $word,)* })
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                match String::deserialize(deserializer)?.as_str() {
                    $($word => Ok($value),)*
                    other => Err(serde::de::Error::unknown_variant(other, &[$($word),*])),
                }
            }
        }
    };
}

words! { profile Profile { "bare" = Profile::Bare, "veritee" = Profile::Veritee, } }
words! { core_generation Core { "legacy" = Core::Legacy, "master" = Core::Master, } }
words! { freshness FreshnessKind {
    "hardware-rng" = FreshnessKind::HardwareRng,
    "persistent-counter" = FreshnessKind::PersistentCounter,
    "none" = FreshnessKind::None,
} }
