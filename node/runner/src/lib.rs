//! Instances that are a process each: what their platforms share.
//!
//! [`ring`] is the shared memory between daemon and runner; [`bell`] wakes whoever sleeps; [`instance`] is the daemon's end;
//! [`serving`] is the other process's end: it gives calls to a [`Body`], the platform's own part; [`sandbox`] takes
//! everything else away from that process.
//!
//! 1. Daemon and runner treat every cursor and length of the other as hostile.
//! 2. The ring is a file in the instance's folder: it survives the daemon, and the next daemon goes on with it.
//! 3. A runner lives until its daemon ends it; its death is noticed at once.

mod bell;
mod instance;
pub mod ring;
pub mod sandbox;
mod serving;

#[cfg(test)]
mod tests;

pub use instance::{Instance, names};
pub use serving::{Batch, Body, Prepared, Server, refuse};

use veritee_host::HostError;

/// Names an action that failed.
pub(crate) fn failed(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> HostError {
    let action = action.into();
    |source| HostError::System { action, source }
}
