//! The state machine of a module: what must be right.
//!
//! In the order data meets them: [`program`] (what an author's module looks like), `module` (the one way in, and an event's
//! path), `session` (attestation and control sessions), `control` (what an owner can ask), `lifecycle` (rest, save,
//! restore), `table` (rows, epochs, keys), `wires` (what a handler emits).
//!
//! 1. Input from outside cannot panic, allocate, recurse or tell decryption failures apart.
//! 2. Two fates only: refuse (state unchanged) and halt (keys wiped, nothing answers any more).
//! 3. A handler runs to completion and cannot fail half-way: room for all it may emit is checked before it runs.
//! 4. Every counter moves in one place, and only after the tag was checked.
//!
//! Not goals: delivery, time, files. The host may cut every wire; nothing here depends on it.
#![no_std]

mod control;
mod lifecycle;
mod module;
pub mod program;
mod session;
mod table;
mod wires;

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;

pub use module::Module;
pub use program::{Call, Io, Program, Refusal, ReplyToken, Wires};
