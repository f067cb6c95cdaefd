//! Opening a session on platforms with public-key cryptography: X25519 (RFC 7748), Ed25519 (RFC 8032), SHA-256.

use crate::aead::Unauthentic;
use crate::kdf::derive;
use crate::secret::Secret;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// One side's half of an agreement. Used once; wiped when dropped.
#[derive(Clone)]
pub struct AgreementSecret(StaticSecret);

impl AgreementSecret {
    /// Makes a half from 32 fresh random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(StaticSecret::from(random))
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// The secret that both sides derive, bound to `transcript`.
    ///
    /// # Errors
    /// [`Unauthentic`] when the other half has low order.
    pub fn agree(self, other: &[u8; 32], transcript: &[u8]) -> Result<Secret, Unauthentic> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*other));
        if shared.was_contributory() { Ok(derive(shared.as_bytes(), transcript)) } else { Err(Unauthentic) }
    }
}

/// An owner's, or his delegate's, public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnerKey(pub [u8; 32]);

impl OwnerKey {
    /// Checks a signature over `message`, strictly: no key or signature of low order.
    ///
    /// # Errors
    /// [`Unauthentic`] when it does not hold.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Unauthentic> {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .map_err(|_| Unauthentic)
    }
}
