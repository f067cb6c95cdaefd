//! Opening a session on platforms with public-key cryptography: X25519 (RFC 7748), Ed25519 (RFC 8032), SHA-256.

use crate::kdf::derive;
use crate::secret::Secret;
use core::fmt;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// The shared secret is all zero: the other side sent a point of low order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadAgreement;

/// The signature does not hold, or the key is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadSignature;

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// One side's half of an agreement. Used once; wiped when dropped.
#[derive(Clone)]
pub struct AgreementSecret(StaticSecret);

impl fmt::Debug for AgreementSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementSecret(..)")
    }
}

impl AgreementSecret {
    /// Makes a half from 32 fresh random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(StaticSecret::from(random))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// The secret that both sides derive, bound to `transcript`.
    ///
    /// # Errors
    /// [`BadAgreement`] when the other half has low order.
    pub fn agree(self, other: &[u8; 32], transcript: &[u8]) -> Result<Secret, BadAgreement> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*other));
        if !shared.was_contributory() {
            return Err(BadAgreement);
        }
        Ok(derive(shared.as_bytes(), transcript))
    }
}

/// An owner's, or his delegate's, public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnerKey(pub [u8; 32]);

impl OwnerKey {
    /// Checks a signature over `message`, strictly: no key or signature of low order.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not hold.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .map_err(|_| BadSignature)
    }
}
