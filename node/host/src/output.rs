//! Reading what a module left behind (`veritee_wire::output`). All of it is untrusted.

use veritee_wire::layout::{EntryResult, RecordHeader};
use veritee_wire::output::{FRAME, REPLY, RESULT};
use veritee_wire::{Layout, Malformed, Reader};

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

/// The records of an output, one after another. The first malformed one is the last.
#[derive(Clone, Debug)]
pub struct OutputReader<'a> {
    reader: Reader<'a>,
    rest: usize,
}

impl<'a> OutputReader<'a> {
    /// Starts at the front of an output.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), rest: bytes.len() }
    }

    fn record(&mut self) -> Result<OutputRecord<'a>, Malformed> {
        let header: RecordHeader = self.reader.field()?;
        let length = usize::try_from(header.length).map_err(|_| Malformed)?;
        let body = self.reader.take(length)?;
        self.rest = self.rest.saturating_sub(RecordHeader::BYTES + length);
        match (header.kind, header.reserved) {
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

#[cfg(test)]
mod tests {
    use super::{OutputReader, OutputRecord};
    use veritee_ids::Status;
    use veritee_wire::OutputWriter;
    use veritee_wire::layout::EntryResult;
    use veritee_wire::output::FRAME;

    #[test]
    fn output_is_read_as_written() {
        let mut area = [0; 256];
        let mut writer = OutputWriter::new(&mut area).unwrap();
        writer.record(FRAME, 4).unwrap().copy_from_slice(&[1, 2, 3, 4]);
        assert!(writer.record(FRAME, 1000).is_err());
        let result = EntryResult { status: Status::Gap, reserved: 0, value: 9 };
        let length = writer.finish(result);
        let records: Vec<_> = OutputReader::new(&area[..length]).map(Result::unwrap).collect();
        assert_eq!(records, [OutputRecord::Result(result), OutputRecord::Frame(&[1, 2, 3, 4])]);
        assert!(OutputReader::new(&area[..length - 1]).any(|record| record.is_err()));
    }
}
