//! The state machine of a module.
#![no_std]

pub mod program;

pub use program::{Io, Program, Refusal, ReplyToken, Wires};
