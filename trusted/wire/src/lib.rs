//! Frames to bytes and back: everything that crosses the wall of a module, in one table.
//!
//! [`layout`] is the table of fixed layouts from which Rust code, documentation and the C
//! header come; [`frame`] is an event's frame and what of it is authenticated; [`output`] is what a module leaves behind
//! when it is entered; [`ports`] is the port table inside an image.
//!
//! 1. Little-endian, fixed offsets, even lengths: a 16-bit part reads them in place.
//! 2. A reader must be emptied: trailing bytes are an error.
//! 3. Nothing here allocates, panics on input or knows a key.
#![no_std]

pub mod frame;
pub mod layout;
pub mod output;
pub mod ports;

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;

pub use output::OutputWriter;
pub use veritee_ids::{Layout, Malformed, Reader, Writer};
