//! What Sancus adds to a CPU: protected modules, their identities and keys, and the instructions for them.
//!
//! [`Unit`] holds the slots of modules and judges every access; [`Unit::execute`] performs an instruction on a [`Memory`];
//! [`Sponge`] and [`derive_key`] are the cryptography; [`Config`] says which core it is.
//!
//! 1. No clock: instructions say how many cycles they take and at which of them they touched memory.
//! 2. The bare core is as the published one, holes included; the rules of the board profile are separate functions.
//!
//! # Source
//! Noorman et al., "Sancus 2.0" (2017); the behaviour of the published cores, legacy (2021) and master (2025).

mod command;
mod config;
mod crypto;
mod profile;
mod unit;

pub use command::{Memory, Outcome};
pub use config::{Config, Generation, MemoryMap, Security};
pub use crypto::{Key, Sponge, board_key, derive_key, mac};
pub use unit::{Access, Entry, Range, Slot, Unit};
