//! Who signs: an owner, or his delegate.

use crate::SessionError;
use core::fmt;
use ed25519_dalek::{Signer as _, SigningKey};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ApplicationId, Epoch, Label};
use veritee_seal::sha256;
use veritee_wire::Layout;
use veritee_wire::layout::Delegation;

/// An Ed25519 key pair. Wiped when dropped.
#[derive(Clone)]
pub struct OwnerIdentity(SigningKey);

impl fmt::Debug for OwnerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerIdentity(..)")
    }
}

impl OwnerIdentity {
    /// The identity of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key: measured into images.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Delegates: the bytes of a signed delegation.
    ///
    /// # Panics
    /// Never: the buffer has the layout's length.
    #[must_use]
    pub fn delegate(&self, grant: &Grant) -> Vec<u8> {
        let mut delegation = Delegation {
            label: Label::Delegation,
            version: PROTOCOL_VERSION,
            application: grant.application,
            delegate: grant.delegate,
            epoch_first: grant.epochs.0,
            epoch_last: grant.epochs.1,
            serial: grant.serial,
            not_after: grant.not_after,
            signature: [0; 64],
        };
        let mut bytes = vec![0; Delegation::BYTES];
        delegation.encode(&mut bytes).expect("the buffer has the layout's length");
        delegation.signature = self.sign(&sha256(&bytes[..Delegation::BYTES - 64]));
        delegation.encode(&mut bytes).expect("the buffer has the layout's length");
        bytes
    }
}

/// What is delegated.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The application.
    pub application: ApplicationId,
    /// The delegate's public key.
    pub delegate: [u8; 32],
    /// First and last epoch that he may open.
    pub epochs: (Epoch, Epoch),
    /// Serial number.
    pub serial: u64,
    /// Unix time in seconds after which tools and nodes refuse it.
    pub not_after: u64,
}

/// A delegate with what he was given.
#[derive(Clone, Debug)]
pub struct Delegated {
    /// The delegate's own key pair.
    pub identity: OwnerIdentity,
    /// The bytes of the owner's delegation.
    pub delegation: Vec<u8>,
}

impl Delegated {
    /// Judges the delegation before it is used: a module has no clock. Nodes do the same, honest ones.
    ///
    /// # Errors
    /// [`SessionError::OtherDelegation`] when it is malformed, for another application or for another delegate;
    /// [`SessionError::DelegationOver`] when it is over at `now`, in seconds since 1970.
    pub fn check(&self, application: ApplicationId, now: u64) -> Result<(), SessionError> {
        let delegation = Delegation::decode(&self.delegation).map_err(|_| SessionError::OtherDelegation)?;
        if delegation.application != application || delegation.delegate != self.identity.public() {
            return Err(SessionError::OtherDelegation);
        }
        let not_after = delegation.not_after;
        if now > not_after { Err(SessionError::DelegationOver { not_after }) } else { Ok(()) }
    }
}

/// Who opens a session.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// The owner himself.
    Owner(&'a OwnerIdentity),
    /// His delegate.
    Delegate(&'a Delegated),
}

impl<'a> Signer<'a> {
    pub(crate) const fn identity(&self) -> &'a OwnerIdentity {
        match self {
            Self::Owner(identity) => identity,
            Self::Delegate(delegated) => &delegated.identity,
        }
    }

    pub(crate) fn delegation_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Owner(_) => None,
            Self::Delegate(delegated) => Some(&delegated.delegation),
        }
    }
}
