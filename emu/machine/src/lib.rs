//! A whole board around the CPU: memory, Sancus, devices, and what a debugger may do.
//!
//! [`Board`] is the machine; [`Config`] says which; [`Event`]s tell what happened; [`elf`] reads firmware.
//!
//! 1. Time is the cycle counter. The same image and the same stimulus give the same trace.
//! 2. Devices are not ticked: each knows the cycle of its next event, and is brought up to date when somebody looks.
//! 3. The common instruction pays for no device and no access rule: one byte per word of memory says where a slow path is due.

mod board;
mod config;
pub mod elf;
mod event;
mod frame;
mod freshness;
mod hardware;
mod peripherals;
mod symbols;

pub use board::{Board, RESET_CYCLES, Stop};
pub use config::{Config, Generation, Profile, Security};
pub use event::{Breach, Cause, Event, Kinds, Violation};
pub use freshness::{FreshnessKind, FreshnessSource, SharedCounter, VolatileCounter};
pub use symbols::Symbols;
pub use veritee_sancus_core::{Range, Slot};
