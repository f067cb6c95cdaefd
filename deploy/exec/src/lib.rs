//! Effects of the owner's tool: builds, talks to nodes, keeps state.
//!
//! In the order of a deployment: [`home`] (who the owner is), [`state`] (what he knows of an application, durable),
//! [`build`] (images), [`resolve`] (what should be, checked), [`settle`] (where images go that depend on it), [`fleet`] (nodes), [`desk`] (one module's control session), [`lent`] and [`provider`] (drivers, through their provider), [`connect`] (epochs and keys), [`cost`] (what their ends cost), [`seen`] (what modules sealed before),
//! [`deploy`] (the whole way), [`direct`] (the owner as an endpoint), [`sealed`] (states that survive their module), [`delegation`] (who else may act), [`observe`] (sealed status, nodes' figures),
//! [`throwaway`] (a whole application on this machine).
//!
//! 1. Before an effect that must not be repeated differently, the decision is on disk.
//! 2. Whatever is interrupted, the next call reads what is true from the modules and finishes the work.
//! 3. Nothing here prints: progress goes to a [`Talk`].

pub mod build;
pub mod connect;
pub mod cost;
pub mod delegation;
pub mod deploy;
pub mod desk;
pub mod direct;
pub mod error;
pub mod fleet;
pub mod home;
pub mod lent;
pub mod observe;
pub mod plan;
pub mod platforms;
pub mod provider;
pub mod resolve;
pub mod sealed;
pub mod seen;
pub mod settle;
pub mod state;
pub mod throwaway;

pub use error::ExecError;

/// Where progress is told.
pub trait Talk: Send + Sync {
    /// Something was done.
    fn done(&self, what: &str);
    /// Something is going on that takes a while; the same `key` again replaces the text.
    fn doing(&self, key: &str, what: &str);
    /// Something that the owner should know.
    fn warn(&self, what: &str);
}

/// A number of things for people: "1 image", "2 images".
#[must_use]
pub fn counted(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// Fills an array with fresh random bytes of the operating system.
///
/// # Errors
/// [`ExecError::NoEntropy`].
pub fn random<const N: usize>() -> Result<[u8; N], ExecError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ExecError::NoEntropy)?;
    Ok(bytes)
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
