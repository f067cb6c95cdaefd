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
//! of frames follow; frames are in the order in which they were emitted.

use crate::codec::{Layout, Malformed, Reader, Writer};
use crate::layout::EntryResult;

/// Front of a record in bytes.
pub const RECORD_HEADER_BYTES: usize = 8;
/// The result record in bytes.
pub const RESULT_RECORD_BYTES: usize = RECORD_HEADER_BYTES + EntryResult::BYTES;

const RESULT: u16 = 1;
const REPLY: u16 = 2;
const FRAME: u16 = 3;

/// One record of a module's output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputRecord<'a> {
    /// What the entry came to.
    Result(EntryResult),
    /// Bytes for whoever asked: evidence or a sealed control answer.
    Reply(&'a [u8]),
    /// A sealed frame to be carried to the other end of its connection.
    Frame(&'a [u8]),
}

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
        if bytes.len() < RESULT_RECORD_BYTES {
            return Err(Malformed);
        }
        Ok(Self { bytes, length: RESULT_RECORD_BYTES })
    }

    /// How many bytes are free.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.bytes.len() - self.length
    }

    /// Reserves a frame record and lets `fill` write its body.
    ///
    /// # Errors
    /// [`Malformed`] when the record does not fit; the output is unchanged.
    pub fn frame(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> Result<(), Malformed> {
        self.record(FRAME, length, |body| {
            fill(body);
            Ok(())
        })
    }

    /// Reserves a reply record and lets `fill` write its body.
    ///
    /// # Errors
    /// [`Malformed`] when the record does not fit or `fill` fails; the output is unchanged.
    pub fn reply(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.record(REPLY, length, fill)
    }

    fn record(
        &mut self,
        kind: u16,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let place = self.bytes.get_mut(self.length..).ok_or(Malformed)?;
        let total = RECORD_HEADER_BYTES.checked_add(length).ok_or(Malformed)?;
        let (header, rest) = place.split_at_mut_checked(RECORD_HEADER_BYTES).ok_or(Malformed)?;
        let body = rest.get_mut(..length).ok_or(Malformed)?;
        fill(body)?;
        put_header(header, kind, length);
        self.length += total;
        Ok(())
    }

    /// Drops everything but the result.
    pub const fn clear(&mut self) {
        self.length = RESULT_RECORD_BYTES;
    }

    /// Writes the result and says how long the output is.
    #[must_use]
    pub fn finish(self, result: EntryResult) -> usize {
        let (header, body) = self.bytes.split_at_mut(RECORD_HEADER_BYTES);
        put_header(header, RESULT, EntryResult::BYTES);
        let written = result.encode(body);
        debug_assert!(written.is_ok(), "the constructor checked the room");
        self.length
    }
}

fn put_header(header: &mut [u8], kind: u16, length: usize) {
    let mut writer = Writer::new(header);
    writer.field(u32::try_from(length).unwrap_or(u32::MAX));
    writer.field(kind);
    writer.field(0_u16);
}

/// Reads an output area, record by record. An iterator that ends after the first malformed record.
#[derive(Clone, Debug)]
pub struct OutputReader<'a> {
    reader: Reader<'a>,
    rest: usize,
}

impl<'a> OutputReader<'a> {
    /// Starts at the first record.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), rest: bytes.len() }
    }

    fn record(&mut self) -> Result<OutputRecord<'a>, Malformed> {
        let length: u32 = self.reader.field()?;
        let kind: u16 = self.reader.field()?;
        let reserved: u16 = self.reader.field()?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let body = self.reader.take(length)?;
        self.rest = self.rest.saturating_sub(RECORD_HEADER_BYTES + length);
        match (kind, reserved) {
            (RESULT, 0) => Ok(OutputRecord::Result(EntryResult::decode(body)?)),
            (REPLY, 0) => Ok(OutputRecord::Reply(body)),
            (FRAME, 0) => Ok(OutputRecord::Frame(body)),
            _ => Err(Malformed),
        }
    }
}

impl<'a> Iterator for OutputReader<'a> {
    type Item = Result<OutputRecord<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest == 0 {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = 0;
        }
        Some(record)
    }
}
