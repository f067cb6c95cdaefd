//! The attestation service of a TrustZone node: keeps the node's secret, gives each module its key.
//!
//! One instance for all callers, which stays when they are gone. It runs on an unmodified OP-TEE core, and so knows of a
//! caller only its UUID. That a UUID stands for a content is the work of the provider's signer: nobody else can make a core load
//! anything.
//!
//! The secret comes in and never goes out, neither to a caller nor to a later enrolment: what leaves is derived from it.
//! Whoever wipes the service's storage, or brings an old one back, can at most give it a secret that the provider does not
//! know; then no owner's key fits any more.
#![no_std]

mod core;

#[cfg(test)]
#[expect(unsafe_code, reason = "parameters as a core hands them in")]
mod tests;

pub use crate::core::Core;

use veritee_seal::Secret;
use veritee_trustzone_format::service::{KEY, KEY_TYPES};
use veritee_trustzone_format::{Uuid, kind, result};
use veritee_trustzone_runtime::{Application, Parameters};
use veritee_trustzone_secret::keys::{module_key, vendor_key};
use veritee_trustzone_secret::{ENROL, ENROL_TYPES, FORGET, KEEP, SECRET_BYTES, STATE, STATE_TYPES};
use zeroize::Zeroize;

/// What the service needs of its core.
pub trait Surroundings {
    /// The trusted application that calls, `None` for the normal world.
    ///
    /// # Errors
    /// A result code when the core does not tell.
    fn caller(&self) -> Result<Option<Uuid>, u32>;

    /// The secret in the service's storage.
    ///
    /// # Errors
    /// A result code when it cannot be read: that is not the same as none.
    fn stored(&self) -> Result<Option<Secret>, u32>;

    /// Stores a secret where there is none.
    ///
    /// # Errors
    /// A result code when it was not stored.
    fn store(&mut self, secret: &Secret) -> Result<(), u32>;
}

/// The service.
#[derive(Debug)]
pub struct Service<S> {
    surroundings: S,
    secret: Option<Secret>,
}

impl<S: Surroundings> Service<S> {
    /// Before its first session.
    #[must_use]
    pub const fn new(surroundings: S) -> Self {
        Self { surroundings, secret: None }
    }

    /// The secret: the one of this instance, or the one in storage.
    fn secret(&mut self) -> Result<Option<&Secret>, u32> {
        if self.secret.is_none() {
            self.secret = self.surroundings.stored()?;
        }
        Ok(self.secret.as_ref())
    }

    fn key(&mut self, parameters: &mut Parameters) -> Result<(), u32> {
        let caller = self.surroundings.caller()?.ok_or(result::ACCESS_DENIED)?;
        let [vendor, _] = parameters.numbers(0, kind::VALUE_IN);
        let vendor = u16::try_from(vendor).map_err(|_| result::BAD_PARAMETERS)?;
        let key = module_key(&vendor_key(self.secret()?.ok_or(result::BAD_STATE)?, vendor), caller);
        let (words, _) = key.expose().as_chunks();
        for (index, words) in (1..).zip(words.as_chunks().0) {
            parameters.set(index, kind::VALUE_OUT, words.map(u32::from_le_bytes));
        }
        Ok(())
    }

    /// Takes the secret. There is no way back: neither to read it, nor to give another one.
    fn enrol(&mut self, parameters: &mut Parameters) -> Result<(), u32> {
        if self.secret()?.is_some() {
            return Err(result::ACCESS_CONFLICT);
        }
        let given = parameters.memory(0, kind::MEMORY_IN);
        let mut bytes = [0; SECRET_BYTES];
        let copied =
            given.copy_in(0, &mut bytes).filter(|()| given.length() == SECRET_BYTES && bytes != [0; SECRET_BYTES]);
        let secret = Secret::new(bytes);
        bytes.zeroize();
        copied.ok_or(result::BAD_PARAMETERS)?;
        match parameters.numbers(1, kind::VALUE_IN)[0] {
            KEEP => self.surroundings.store(&secret)?,
            FORGET => {}
            _ => return Err(result::BAD_PARAMETERS),
        }
        self.secret = Some(secret);
        Ok(())
    }

    fn state(&mut self, parameters: &mut Parameters) -> Result<(), u32> {
        let enrolled = self.secret()?.is_some();
        parameters.set(0, kind::VALUE_OUT, [u32::from(enrolled), 0]);
        Ok(())
    }
}

impl<S: Surroundings> Application for Service<S> {
    fn open(&mut self) -> u32 {
        result::SUCCESS
    }

    fn invoke(&mut self, command: u32, parameters: &mut Parameters) -> u32 {
        let types = match command {
            KEY => KEY_TYPES,
            ENROL => ENROL_TYPES,
            STATE => STATE_TYPES,
            _ => return result::NOT_SUPPORTED,
        };
        if !parameters.are(types) {
            return result::BAD_PARAMETERS;
        }
        let done = match command {
            KEY => self.key(parameters),
            ENROL => self.enrol(parameters),
            _ => self.state(parameters),
        };
        done.map_or_else(|failed| failed, |()| result::SUCCESS)
    }

    fn close(&mut self) {}
}
