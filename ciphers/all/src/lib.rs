//! Every cipher that a connection can have. For owners, and for modules whose connections reach small processors; others
//! link `veritee_seal::StandardKey` and trust less.
#![no_std]

use core::fmt;
use veritee_ids::CipherId;
use veritee_seal::{Aead, Nonce, Secret, StandardKey, Unauthentic};

/// A key, ready for its cipher. Wiped when dropped.
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")]
pub enum AeadKey {
    /// AES-128-GCM or Ascon-AEAD128.
    Standard(StandardKey),
    /// SPONGENT-128: the nonce is part of the associated data, which always holds counter and direction.
    Spongent128(veritee_spongent::Key),
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

impl AeadKey {
    /// Prepares a key of any cipher.
    #[must_use]
    pub fn of(cipher: CipherId, secret: &Secret) -> Self {
        StandardKey::new(cipher, secret)
            .map_or_else(|| Self::Spongent128(veritee_spongent::Key::new(secret.expose())), Self::Standard)
    }
}

impl Aead for AeadKey {
    fn new(cipher: CipherId, secret: &Secret) -> Option<Self> {
        Some(Self::of(cipher, secret))
    }

    fn seal(&self, nonce: Nonce, associated: &[u8], body: &mut [u8]) -> [u8; 16] {
        match self {
            Self::Standard(key) => key.seal(nonce, associated, body),
            Self::Spongent128(key) => key.wrap_in_place(associated, body),
        }
    }

    fn open(&self, nonce: Nonce, associated: &[u8], body: &mut [u8], tag: &[u8; 16]) -> Result<(), Unauthentic> {
        match self {
            Self::Standard(key) => key.open(nonce, associated, body, tag),
            Self::Spongent128(key) => key.unwrap_in_place(associated, body, tag).map_err(|_| Unauthentic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AeadKey;
    use veritee_ids::{CipherId, Counter, Direction};
    use veritee_seal::{Aead, Nonce, Secret, StandardKey};

    const NONCE: Nonce = Nonce { counter: Counter(7), direction: Direction::Backward };

    #[test]
    fn every_cipher_opens_what_it_sealed_and_nothing_else() {
        for &cipher in CipherId::ALL {
            let key = AeadKey::of(cipher, &Secret::new([1; 16]));
            let mut sealed = *b"sixteen bytes!!!";
            let tag = key.seal(NONCE, b"associated data.", &mut sealed);
            let mut opened = sealed;
            assert!(key.open(NONCE, b"associated data.", &mut opened, &tag).is_ok());
            assert_eq!(&opened, b"sixteen bytes!!!");
            for bit in 0..128 {
                let mut forged = tag;
                forged[bit / 8] ^= 1 << (bit % 8);
                let mut body = sealed;
                assert!(key.open(NONCE, b"associated data.", &mut body, &forged).is_err());
                assert_eq!(body, [0; 16], "{} bit {bit}", cipher.word());
            }
        }
    }

    #[test]
    fn modules_that_do_not_link_a_cipher_say_so() {
        assert!(StandardKey::new(CipherId::Spongent128, &Secret::new([1; 16])).is_none());
    }
}
