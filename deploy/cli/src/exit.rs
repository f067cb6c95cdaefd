//! Exit codes: what scripts can rely on.

use std::process::ExitCode;
use veritee_exec::ExecError;

/// How the tool ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed for a reason of its own.
    Failed = 1,
    /// What was typed makes no sense, as when it does not parse.
    Usage = 2,
    /// The descriptor is refused.
    Descriptor = 3,
    /// Evidence was refused, or a module or provider refuses.
    Refused = 4,
    /// A node or provider is not reached, or does not know us.
    Unreached = 5,
    /// Events were not accepted.
    NotAccepted = 6,
    /// Another process is in the way.
    InUse = 7,
}

/// What was typed parses, but makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The code of an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<Misuse>() {
            return Self::Usage;
        }
        match error.downcast_ref::<ExecError>() {
            Some(ExecError::NoSuch { .. } | ExecError::CannotSeal { .. } | ExecError::NotDelegable { .. }) => {
                Self::Usage
            }
            Some(ExecError::Descriptor(_) | ExecError::Model(_)) => Self::Descriptor,
            Some(
                ExecError::Platform(_)
                | ExecError::Evidence { .. }
                | ExecError::Refused { .. }
                | ExecError::Control { .. }
                | ExecError::Session { .. }
                | ExecError::NotGranted { .. }
                | ExecError::WentBack { .. }
                | ExecError::Disabled { .. }
                | ExecError::NotLent(_)
                | ExecError::Provider(_)
                | ExecError::RolledBack { .. }
                | ExecError::Unwitnessed { .. }
                | ExecError::NotOpened { .. }
                | ExecError::ForeignSigner { .. }
                | ExecError::BadDelegation { .. }
                | ExecError::Revoked { .. }
                | ExecError::EpochNotDelegated { .. },
            ) => Self::Refused,
            Some(
                ExecError::Node { .. }
                | ExecError::UnknownNode { .. }
                | ExecError::NodeStart { .. }
                | ExecError::ProviderUnreached(_),
            ) => Self::Unreached,
            Some(ExecError::Direct { .. }) => Self::NotAccepted,
            Some(ExecError::Locked(_) | ExecError::NoSlot { .. }) => Self::InUse,
            _ => Self::Failed,
        }
    }
}
