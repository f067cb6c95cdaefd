//! Sealing and opening with a connection's or a session's key.

use crate::secret::Secret;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use ascon_aead128::AsconAead128;
use core::fmt;
use veritee_ids::limits::TAG_BYTES;
use veritee_ids::{CipherId, Counter, Direction};
use zeroize::Zeroize;

/// Opening failed. There is one reason for everybody: the bytes were not sealed like this under this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unauthentic;

/// The number of a message under its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonce {
    /// The counter: never twice under one key.
    pub counter: Counter,
    /// The direction; each direction has a key of its own as well.
    pub direction: Direction,
}

impl Nonce {
    /// `N` bytes: the counter in the first eight, then the direction, then zeros.
    fn bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        let counter = self.counter.0.to_le_bytes();
        let direction = self.direction.code().to_le_bytes();
        for (place, byte) in bytes.iter_mut().zip(counter.into_iter().chain(direction)) {
            *place = byte;
        }
        bytes
    }
}

/// A key, ready for its cipher. Wiped when dropped.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")]
pub enum AeadKey {
    /// AES-128-GCM: expanded round keys and hash key.
    Aes128Gcm(Aes128Gcm),
    /// SPONGENT-128: the nonce is part of the associated data, which always holds counter and direction.
    Spongent128(veritee_spongent::Key),
    /// Ascon-AEAD128.
    Ascon128(Secret),
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AeadKey({}, ..)", self.cipher().word())
    }
}

impl AeadKey {
    /// Prepares a key.
    #[must_use]
    pub fn new(cipher: CipherId, secret: &Secret) -> Self {
        match cipher {
            CipherId::Aes128Gcm => Self::Aes128Gcm(Aes128Gcm::new(secret.expose().into())),
            CipherId::Spongent128 => Self::Spongent128(veritee_spongent::Key::new(secret.expose())),
            CipherId::Ascon128 => Self::Ascon128(secret.clone()),
        }
    }

    /// The cipher.
    #[must_use]
    pub const fn cipher(&self) -> CipherId {
        match self {
            Self::Aes128Gcm(_) => CipherId::Aes128Gcm,
            Self::Spongent128(_) => CipherId::Spongent128,
            Self::Ascon128(_) => CipherId::Ascon128,
        }
    }

    /// Seals `body` in place and gives the tag.
    ///
    /// `associated` must contain counter and direction: SPONGENT has no nonce of its own. A body must be far shorter than
    /// a cipher's limit (64 GiB for AES-GCM), which every frame is.
    #[must_use]
    pub fn seal(&self, nonce: Nonce, associated: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = match self {
            Self::Aes128Gcm(key) => {
                key.encrypt_inout_detached(&nonce.bytes().into(), associated, body.into()).map(Into::into)
            }
            Self::Spongent128(key) => Ok(key.wrap_in_place(associated, body)),
            Self::Ascon128(key) => AsconAead128::new(key.expose().into())
                .encrypt_inout_detached(&nonce.bytes().into(), associated, body.into())
                .map(Into::into),
        };
        debug_assert!(sealed.is_ok(), "frames are shorter than every cipher's limit");
        sealed.unwrap_or_else(|_| {
            body.zeroize();
            [0; TAG_BYTES]
        })
    }

    /// Opens `body` in place.
    ///
    /// # Errors
    /// [`Unauthentic`] when anything differs; `body` is wiped then.
    pub fn open(
        &self,
        nonce: Nonce,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Unauthentic> {
        let opened = match self {
            Self::Aes128Gcm(key) => key
                .decrypt_inout_detached(&nonce.bytes().into(), associated, (&mut *body).into(), tag.into())
                .map_err(|_| Unauthentic),
            Self::Spongent128(key) => key.unwrap_in_place(associated, body, tag).map_err(|_| Unauthentic),
            Self::Ascon128(key) => AsconAead128::new(key.expose().into())
                .decrypt_inout_detached(&nonce.bytes().into(), associated, (&mut *body).into(), tag.into())
                .map_err(|_| Unauthentic),
        };
        if opened.is_err() {
            body.zeroize();
        }
        opened
    }
}
