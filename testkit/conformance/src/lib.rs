//! What every platform and language must do: one suite, held against any [`Subject`] that runs the *probe*.
//!
//! The probe is a small module whose ports are fixed in [`probe`]; a platform runs it in its own TEE, in its own language.
//! [`Desk`] is the owner and all peers of the probe at once: it attests, opens sessions, gives keys, seals events and opens
//! what the probe emits. [`CASES`] are the rules of the protocol, a function each; each starts from a fresh activation.
#![expect(clippy::missing_panics_doc, reason = "test support: a panic is a failed test")]

pub mod cases;
mod delegated;
pub mod desk;
pub mod hoard;
pub mod sealed;
pub mod subjects;

pub use veritee_probe as probe;

pub use cases::CASES;
pub use desk::{Desk, Emitted};

use veritee_ids::{CipherId, Op};
use veritee_session::Kdf;

/// A living activation of the probe. Dropping it ends the activation.
pub trait Subject {
    /// Enters the probe and gives the bytes of its output.
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8>;

    /// What a platform's verifier extracts from evidence: the transcript with its agreement key. Checks what it can.
    fn transcript(&self, evidence: &[u8]) -> Vec<u8>;

    /// The module key, on symmetric platforms.
    fn module_key(&self) -> Option<[u8; 16]>;

    /// How the platform derives keys.
    fn kdf(&self) -> Kdf {
        Kdf::HkdfSha256
    }

    /// The cipher of control sessions, and of connections that a case does not choose one for.
    fn cipher(&self) -> CipherId {
        CipherId::Aes128Gcm
    }

    /// The ciphers that the platform links.
    fn ciphers(&self) -> &'static [CipherId] {
        CipherId::ALL
    }

    /// Whether the TEE has keys to seal with. All activations of a subject that seals are on one machine.
    fn seals(&self) -> bool {
        false
    }

    /// Whether this bit of a frame reaches the module: not all do in the short form that boards get.
    fn carries(&self, _bit: usize) -> bool {
        true
    }
}

/// Starts fresh activations of the probe whose measured owner is [`desk::owner`].
pub type Start<'a> = &'a dyn Fn() -> Box<dyn Subject>;

/// Runs all cases and gives the names of those that passed.
///
/// # Panics
/// When a case fails.
pub fn run_all(start: Start<'_>) -> Vec<&'static str> {
    CASES
        .iter()
        .map(|(name, case)| {
            case(start);
            *name
        })
        .collect()
}
