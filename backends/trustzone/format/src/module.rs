//! How a node enters a module: one session is one activation, one invocation is a batch of calls.
//!
//! Opening a session (no parameters) begins the activation: the module draws its activation id and asks the attestation
//! service for its key. Closing it, a panic or the end of the machine ends it.
//!
//! [`CALLS`] has three parameters: memory in (calls, one behind the other), memory out (their outputs, in the same order), and a value
//! out (`a` = calls that were done, `b` = bytes of output). A call is
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 4 | length of the input in bytes |
//! | 4 | 2 | op |
//! | 6 | 2 | zero |
//! | 8 | length | input |
//!
//! and an output is its length (4 bytes) and the module's output records (`veritee_wire::output`). The module stops before the first call
//! whose output might not fit behind the others, or that is not of this form: the node hands it in again, in the next invocation. Only a
//! first call is answered `no-room`, and only a malformed first call makes the invocation fail (`BAD_PARAMETERS`).

use crate::kind::{self, types};

/// Command: a batch of calls.
pub const CALLS: u32 = 1;
/// Kinds of the parameters of [`CALLS`].
pub const CALLS_TYPES: u32 = types([kind::MEMORY_IN, kind::MEMORY_OUT, kind::VALUE_OUT, kind::NONE]);
/// Front of a call in bytes.
pub const CALL_HEADER_BYTES: usize = <CallHeader as veritee_wire::Layout>::BYTES;
/// Front of an output in bytes.
pub const OUTPUT_HEADER_BYTES: usize = 4;
/// Longest input of a call in bytes: an event with its row, or an entry with its arguments.
pub const INPUT_BYTES_MAX: usize = veritee_ids::limits::FRAME_BYTES_MAX + 64;

veritee_wire::structs! {
    /// The front of a call.
    CallHeader {
        /// Length of the input in bytes.
        length: u32,
        /// What is called: `veritee_ids::Op`.
        op: u16,
        /// Zero.
        reserved: u16,
    }
}
