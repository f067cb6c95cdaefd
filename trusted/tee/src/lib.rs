//! What a TEE must give a module: the first seam of a backend.
//!
//! One small trait. A TEE gives randomness, says where sessions start from, and on X25519 platforms turns a transcript into
//! evidence. Everything else (activations, sessions, connections) is the core's.
#![no_std]

use veritee_ids::{CipherId, Freshness, SealPolicy};
use veritee_seal::{Aead, OwnerKey, Secret};

/// The TEE has no randomness now. The module cannot start, or cannot be attested; nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoEntropy;

/// The TEE made no evidence. Nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoEvidence;

/// Largest evidence that a module hands out itself, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 1024;

/// What a TEE derives a sealing key from again, in its own form. Public.
pub type KeyName = [u8; 34];

/// Where the control sessions of a platform start from.
#[derive(Debug)]
pub enum Root<'a> {
    /// The module key, known to the module and to whoever can derive it. Used for key derivation only.
    Symmetric(&'a Secret),
    /// The owner's public key, part of the measured image: sessions are agreed on by X25519.
    Agreement(OwnerKey),
}

/// A trusted execution environment, seen from inside.
pub trait Tee {
    /// Keys of the ciphers that the image links.
    type Key: Aead;

    /// Cipher of control sessions.
    const CONTROL_CIPHER: CipherId;

    /// Where the uniqueness of an activation id comes from; part of the evidence.
    fn freshness(&self) -> Freshness;

    /// Fills `bytes` from the source that [`freshness`](Self::freshness) names. On X25519 platforms the bytes must be
    /// secret; on symmetric ones, which draw nothing but activation ids, unique is enough.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source fails.
    fn random(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy>;

    /// Where sessions start from.
    fn root(&self) -> Root<'_>;

    /// Turns a transcript with its agreement key into evidence: writes it to `evidence` and gives its length.
    /// Called on X25519 platforms only.
    ///
    /// # Errors
    /// [`NoEvidence`] when the TEE refuses.
    fn evidence(&mut self, transcript: &[u8], evidence: &mut [u8; EVIDENCE_BYTES_MAX]) -> Result<usize, NoEvidence>;

    /// A key that only code of the policy gets again, on this machine. Without a name it is a fresh one: never given before,
    /// and named. `None` where the TEE has no such keys, or refuses this one.
    fn sealing_key(&mut self, _policy: SealPolicy, _name: Option<KeyName>) -> Option<(Secret, KeyName)> {
        None
    }
}
