//! What a module leaves behind when it was entered: a stream of records in the output area.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 4 | length of the body in bytes, u32 |
//! | 4 | 2 | kind: 1 result, 2 reply bytes, 3 frame |
//! | 6 | 2 | zero |
//! | 8 | length | body |
//!
//! The first record is always the result. At most one reply (evidence, a control answer, an entry's response) and any number
//! of frames follow; frames are in the order in which they were emitted. Hosts read them with `veritee_host::OutputReader`.

use crate::layout::{EntryResult, RecordHeader};
use crate::{Layout, Malformed};

/// Front of a record in bytes.
pub const RECORD_HEADER_BYTES: usize = RecordHeader::BYTES;
/// The result record in bytes.
pub const RESULT_RECORD_BYTES: usize = RECORD_HEADER_BYTES + EntryResult::BYTES;

/// Kind of a record: what the entry came to.
pub const RESULT: u16 = 1;
/// Kind of a record: bytes for whoever asked.
pub const REPLY: u16 = 2;
/// Kind of a record: a sealed frame to be carried to the other end of its connection.
pub const FRAME: u16 = 3;

/// Fills an output area. What does not fit is not written at all.
#[derive(Debug)]
pub struct OutputWriter<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> OutputWriter<'a> {
    /// Starts an output with room for the result, which [`finish`](Self::finish) writes.
    ///
    /// # Errors
    /// [`Malformed`] when not even the result fits.
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, Malformed> {
        if bytes.len() < RESULT_RECORD_BYTES { Err(Malformed) } else { Ok(Self { bytes, length: RESULT_RECORD_BYTES }) }
    }

    /// How many bytes are free.
    pub const fn room(&self) -> usize {
        self.bytes.len() - self.length
    }

    /// Adds a record ([`REPLY`] or [`FRAME`]) and gives its body of `length` bytes, to be filled.
    ///
    /// # Errors
    /// [`Malformed`] when it does not fit.
    pub fn record(&mut self, kind: u16, length: usize) -> Result<&mut [u8], Malformed> {
        let place = self.bytes.get_mut(self.length..).ok_or(Malformed)?;
        let (header, rest) = place.split_at_mut_checked(RECORD_HEADER_BYTES).ok_or(Malformed)?;
        let body = rest.get_mut(..length).ok_or(Malformed)?;
        RecordHeader { length: u32::try_from(length).map_err(|_| Malformed)?, kind, reserved: 0 }.encode(header)?;
        self.length += RECORD_HEADER_BYTES + length;
        Ok(body)
    }

    /// Takes back everything that was added.
    pub const fn clear(&mut self) {
        self.length = RESULT_RECORD_BYTES;
    }

    /// Writes the result to the front and says how long the output is.
    pub fn finish(mut self, result: EntryResult) -> usize {
        let length = core::mem::take(&mut self.length);
        let written = self.record(RESULT, EntryResult::BYTES).and_then(|body| result.encode(body));
        debug_assert!(written.is_ok(), "the constructor checked the room");
        length
    }
}
