//! Veritee for authors: write a module, and the framework makes its execution authentic.
//!
//! A module is a `no_std` library crate. Its state is a struct; its ports are functions of one `impl` block in the crate's
//! root, under [`module`](macro@module). What enters has been authenticated and is decoded; what is emitted is sealed for
//! exactly the modules that the descriptor connects.
//!
//! ```
//! use veritee::Payload;
//!
//! /// What the sensor says.
//! #[derive(Payload, Clone, Copy)]
//! pub struct Celsius {
//!     pub tenths: i16,
//! }
//!
//! #[derive(Payload, Clone, Copy, PartialEq)]
//! #[repr(u8)]
//! pub enum Switch {
//!     Off = 0,
//!     On = 1,
//! }
//!
//! #[derive(Default)]
//! pub struct Thermostat {
//!     target: i16,
//! }
//!
//! #[veritee::module]
//! impl Thermostat {
//!     /// Emitted when the heating should change.
//!     #[output]
//!     fn heat(command: Switch);
//!
//!     #[input]
//!     fn temperature(&mut self, mut io: Io<'_>, now: Celsius) {
//!         io.heat(if now.tenths < self.target { &Switch::On } else { &Switch::Off });
//!     }
//!
//!     /// Nothing was heard for as long as the descriptor says: better cold than on fire.
//!     #[late(temperature)]
//!     fn silent(&mut self, mut io: Io<'_>) {
//!         io.heat(&Switch::Off);
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! | attribute | form | who calls it |
//! |---|---|---|
//! | `#[input]` | `fn(&mut self, io: Io<'_>, payload: T)` | an authenticated event |
//! | `#[output]` | `fn name(payload: T);` (`emits = N`: at most N in one activation, else 1) | you: `io.name(&payload)` |
//! | `#[request]` | `fn name(payload: T) -> A;` | you: `io.name(&payload)`, which ends the handler |
//! | `#[reply(request)]` | `fn(&mut self, io: Io<'_>, outcome: Result<A, Refusal>)` | the authenticated answer, or its abort |
//! | `#[handler]` | `fn(&mut self, io: &mut Io<'_>, payload: T) -> A` (or `Result<A, u16>`) | an authenticated request |
//! | `#[handler]` | `fn(&mut self, io: Io<'_>, payload: T, token: Token<A>)` | the same, answered later by `io.answer` |
//! | `#[entry(public)]` | `fn(&mut self, io: Io<'_>, arguments: T)` | **anybody** on the node, and timers |
//! | `#[late(input)]` | `fn(&mut self, io: Io<'_>)` | the **host**, when it says that a deadline passed |
//!
//! Where a value is returned, `io` is borrowed (`&mut Io<'_>`). A function runs to completion before the next input enters.
//! Emitting more than `emits` says, or a panic, halts the module: its keys are wiped and nothing answers any more.
//!
//! `#[module]` takes `rows = N` (connections, 16), `tokens = N` (requests that wait for an answer, 4) and `movable` (the
//! state is a [`Payload`] and moves in updates).
#![no_std]

// The macros name this crate from outside; its own tests use them too.
#[cfg(test)]
extern crate self as veritee;
#[cfg(test)]
extern crate std;

mod bytes;
mod payload;
#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use payload::{Hasher, Message, Payload, decode, encode, field, restore, save};
pub use veritee_ids::{PortIndex, PortKind, TypeHash};
pub use veritee_macros::{Payload, module};
pub use veritee_module::{Call, Io as RawIo, Program, Refusal, ReplyToken};
pub use veritee_wire::ports::{FLAG_LATE, PortInfo};
pub use veritee_wire::{Layout, Malformed, Reader, Writer};

use core::marker::PhantomData;

/// The right to answer one request with a `T`, once.
#[derive(Debug)]
pub struct Token<T> {
    token: ReplyToken,
    answer: PhantomData<fn(&T)>,
}

impl<T> Token<T> {
    /// Gives the core's token its type. Called by the macro.
    #[doc(hidden)]
    pub const fn new(token: ReplyToken) -> Self {
        Self { token, answer: PhantomData }
    }

    /// The core's token. Called by the macro.
    #[doc(hidden)]
    pub fn into_inner(self) -> ReplyToken {
        self.token
    }
}

/// A row of the port table. Called by the macro.
#[doc(hidden)]
pub const fn port<T: Message>(kind: PortKind, name: &'static str, emits_max: u16, flags: u16) -> PortInfo {
    PortInfo {
        kind,
        name,
        payload_name: T::NAME,
        reply_name: "",
        payload_type: T::HASH,
        reply_type: TypeHash([0; 8]),
        payload_bytes_max: length::<T>(),
        reply_bytes_max: 0,
        emits_max,
        flags,
    }
}

/// A row with a reply. Called by the macro.
#[doc(hidden)]
pub const fn replying<T: Message>(port: PortInfo) -> PortInfo {
    PortInfo { reply_name: T::NAME, reply_type: T::HASH, reply_bytes_max: length::<T>(), ..port }
}

#[expect(clippy::cast_possible_truncation, reason = "asserted at compile time")]
const fn length<T: Payload>() -> u32 {
    assert!(T::BYTES <= veritee_ids::limits::PAYLOAD_BYTES_MAX, "a payload has at most 64 KiB");
    T::BYTES as u32
}
