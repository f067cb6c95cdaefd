//! The one-time token with which an owner enrols at a node.

use crate::identity::{Identity, hex_digits, parse_hex};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret of 128 random bits: whoever holds it may pin one identity at the node that made it, once.
///
/// The holder proves it by connecting with the identity that is derived from it; the node keeps only that public key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Token([u8; 16]);

/// The text is not a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a token has 32 hexadecimal digits")]
pub struct NotAToken;

impl Token {
    /// Makes a token from the system's randomness.
    ///
    /// # Errors
    /// [`IdentityError::Randomness`](crate::IdentityError::Randomness) when the system gives none.
    pub fn generate() -> Result<Self, crate::IdentityError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| crate::IdentityError::Randomness)?;
        Ok(Self(bytes))
    }

    /// The identity that proves possession of the token: HKDF-SHA-256 to an Ed25519 seed.
    ///
    /// # Panics
    /// Never: 32 bytes are a length that HKDF-SHA-256 can give.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(b"veritee enrolment 1"), &self.0)
            .expand(b"identity", &mut *seed)
            .expect("32 bytes are at most 255 blocks");
        Identity::from_seed(&seed)
    }

    /// The token as it is printed, once: 32 hexadecimal digits in groups of eight.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(35));
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.extend(hex_digits(*byte).map(char::from));
        }
        text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        parse_hex(text.as_bytes()).map(Self).ok_or(NotAToken)
    }
}
