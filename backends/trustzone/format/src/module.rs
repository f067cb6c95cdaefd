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
pub const CALL_HEADER_BYTES: usize = 8;
/// Front of an output in bytes.
pub const OUTPUT_HEADER_BYTES: usize = 4;
/// Longest input of a call in bytes: an event with its row, or an entry with its arguments.
pub const INPUT_BYTES_MAX: usize = veritee_ids::limits::FRAME_BYTES_MAX + 64;
/// The front of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallHeader {
    /// Length of the input in bytes.
    pub length: u32,
    /// What is called: `veritee_ids::Op`.
    pub op: u16,
}

impl CallHeader {
    /// Its bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; CALL_HEADER_BYTES] {
        let ([a, b, c, d], [e, f]) = (self.length.to_le_bytes(), self.op.to_le_bytes());
        [a, b, c, d, e, f, 0, 0]
    }

    /// Reads it; `None` when the reserved bytes are not zero or the input is too long.
    #[must_use]
    pub fn decode(bytes: [u8; CALL_HEADER_BYTES]) -> Option<Self> {
        let [a, b, c, d, e, f, zeros @ ..] = bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        let fits = usize::try_from(length).is_ok_and(|length| length <= INPUT_BYTES_MAX);
        (fits && zeros == [0, 0]).then_some(Self { length, op: u16::from_le_bytes([e, f]) })
    }
}
