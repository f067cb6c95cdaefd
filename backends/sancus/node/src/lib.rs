//! The node's side of Sancus: drives boards over serial lines.
//!
//! Data meets the modules in this order: `instance` is the daemon's end of one module, `short` shortens its events; `state`
//! is what daemon and thread share, `guest` one module in it, `ring` what the board still keeps; `board` is a thread's life,
//! `worker` decides what it does next and what came of it, `worker::load` brings modules there; `message` is what is said,
//! `line` makes sure that it is said once, `frame` and `port` are the bytes. `memory` picks places for modules.
//!
//! 1. Whatever comes from a board is untrusted, and may be damaged, repeated or lost.
//! 2. The board remembers outputs and the number of the last call: a daemon that crashes loses and repeats nothing.
//! 3. A board that does not answer keeps its modules; one that was reset has lost them.
//! 4. The driver keeps no memory of its own of who has which place: the node tells it.

mod board;
mod frame;
mod guest;
mod instance;
mod line;
mod loading;
mod memory;
mod message;
mod platform;
mod port;
mod ring;
mod short;
mod state;
mod worker;

#[cfg(test)]
mod tests;

pub use board::BoardConfig;
pub use line::Patience;
pub use platform::SancusPlatform;
