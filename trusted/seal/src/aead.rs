//! Sealing and opening with a connection's or a session's key.

use crate::secret::Secret;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use ascon_aead128::AsconAead128;
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
        let parts = self.counter.0.to_le_bytes().into_iter().chain(self.direction.code().to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
        bytes
    }
}

/// A key, ready for its cipher, of all the ciphers that an image links. Wiped when dropped.
pub trait Aead: Sized {
    /// Prepares a key; `None` when the image does not link the cipher.
    fn new(cipher: CipherId, secret: &Secret) -> Option<Self>;

    /// Seals `body` in place and gives the tag.
    ///
    /// `associated` must contain counter and direction: not every cipher has a nonce of its own. A body must be far shorter
    /// than a cipher's limit (64 GiB for AES-GCM), which every frame is.
    fn seal(&self, nonce: Nonce, associated: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES];

    /// Opens `body` in place.
    ///
    /// # Errors
    /// [`Unauthentic`] when anything differs; `body` is wiped then.
    fn open(&self, nonce: Nonce, associated: &[u8], body: &mut [u8], tag: &[u8; TAG_BYTES]) -> Result<(), Unauthentic>;
}

/// A key of one of NIST's ciphers: all that a module links if none of its connections wants another.
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")]
pub enum StandardKey {
    /// AES-128-GCM: expanded round keys and hash key.
    Aes128Gcm(Aes128Gcm),
    /// Ascon-AEAD128.
    Ascon128(AsconAead128),
}

impl Aead for StandardKey {
    fn new(cipher: CipherId, secret: &Secret) -> Option<Self> {
        match cipher {
            CipherId::Aes128Gcm => Some(Self::Aes128Gcm(Aes128Gcm::new(secret.expose().into()))),
            CipherId::Ascon128 => Some(Self::Ascon128(AsconAead128::new(secret.expose().into()))),
            CipherId::Spongent128 => None,
        }
    }

    fn seal(&self, nonce: Nonce, associated: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = match self {
            Self::Aes128Gcm(key) => {
                key.encrypt_inout_detached(&nonce.bytes().into(), associated, body.into()).map(Into::into)
            }
            Self::Ascon128(key) => {
                key.encrypt_inout_detached(&nonce.bytes().into(), associated, body.into()).map(Into::into)
            }
        };
        debug_assert!(sealed.is_ok(), "frames are shorter than every cipher's limit");
        sealed.unwrap_or_else(|_| {
            body.zeroize();
            [0; TAG_BYTES]
        })
    }

    fn open(&self, nonce: Nonce, associated: &[u8], body: &mut [u8], tag: &[u8; TAG_BYTES]) -> Result<(), Unauthentic> {
        let (inout, tag) = ((&mut *body).into(), tag.into());
        let opened = match self {
            Self::Aes128Gcm(key) => key.decrypt_inout_detached(&nonce.bytes().into(), associated, inout, tag),
            Self::Ascon128(key) => key.decrypt_inout_detached(&nonce.bytes().into(), associated, inout, tag),
        };
        opened.map_err(|_| {
            body.zeroize();
            Unauthentic
        })
    }
}
