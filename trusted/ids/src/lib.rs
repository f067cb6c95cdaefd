//! Names, numbers and limits that every part of Veritee shares.
//!
//! A leaf: it depends on nothing and allocates nothing. Modules in the order data meets them: [`codec`] (how bytes are read
//! and written), [`newtypes`] (who is meant), [`codes`] (what is said on the wire), [`limits`] (how much there can be).
//!
//! 1. One type per thing: never two bare integers side by side.
//! 2. Every code that crosses the wire has an explicit number here, once.
//! 3. All limits are here, with their relations asserted at compile time.
//!
//! Not a goal: parsing frames (see `veritee-wire`).
#![no_std]

pub mod codec;
pub mod codes;
pub mod limits;
pub mod newtypes;

pub use codec::{Layout, Malformed, Reader, Writer};
pub use codes::{
    CipherId, ControlKind, ControlResult, Direction, FrameKind, Freshness, Label, Lifecycle, Op, PortKind, PriorEpoch,
    Role, SealPolicy, Status,
};
pub use newtypes::{
    ActivationId, ApplicationHandle, ApplicationId, Challenge, ConnectionId, Counter, Epoch, OperationId, PortIndex,
    RowIndex, SessionId, TypeHash,
};
