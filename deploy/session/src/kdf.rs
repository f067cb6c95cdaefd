//! Key derivation, as the two kinds of platforms do it: PROTOCOL section 1.

use veritee_seal::{Secret, derive};

/// How a platform's modules derive keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kdf {
    /// HKDF-SHA-256 (RFC 5869): native, SGX, TrustZone.
    HkdfSha256,
    /// The tag of SpongeWrap-128 with the block as associated data and an empty body: Sancus.
    SpongeWrap,
}

impl Kdf {
    /// Derives a secret from a key, which is used for nothing but derivation, and a fixed block.
    #[must_use]
    pub fn derive(self, key: &Secret, block: &[u8]) -> Secret {
        match self {
            Self::HkdfSha256 => derive(key.expose(), block),
            Self::SpongeWrap => Secret::new(veritee_spongent::Key::new(key.expose()).mac(block)),
        }
    }
}
