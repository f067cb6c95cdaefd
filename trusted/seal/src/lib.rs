//! Keys, and what is done with them: sealing, derivation, agreement.
//!
//! [`secret`] holds keys; [`kdf`] derives them; [`aead`] seals and opens; [`agreement`] is the X25519 and Ed25519 part of
//! opening a session.
//!
//! 1. A key has one purpose and one direction; the nonce is the counter; a counter never repeats under a key.
//! 2. Opening fails in one way only, [`Unauthentic`], and wipes what it had written.
//! 3. Secrets are zeroised when dropped, compared in constant time and have no `Debug` of their content.
//!
//! Not a goal: choosing ciphers, or knowing whose key something is.
#![no_std]

pub mod aead;
pub mod agreement;
pub mod kdf;
pub mod secret;

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;

pub use aead::{Aead, Nonce, StandardKey, Unauthentic};
pub use agreement::{AgreementSecret, OwnerKey, sha256};
pub use kdf::derive;
pub use secret::Secret;
