//! The short form of events: 22 bytes beside the payload on the way to a board (`docs/design/0007-sancus.md`).

use veritee_ids::limits::FRAME_HEADER_BYTES;
use veritee_wire::layout::Frame;

/// Shortens the input of an event: row u16 and a frame. `None` when it is none, or its row is beyond a board's table.
pub(crate) fn shorten(input: &[u8]) -> Option<Vec<u8>> {
    let (row, frame) = input.split_first_chunk()?;
    let row = u8::try_from(u16::from_le_bytes(*row)).ok()?;
    let (header, ..) = Frame::split(frame).ok()?;
    let kind = u8::try_from(header.kind.code()).ok().filter(|kind| *kind < 4)?;
    let [epoch, ..] = header.epoch.0.to_le_bytes();
    let [c0, c1, c2, c3, ..] = header.counter.0.to_le_bytes();
    let mut short = vec![row, kind | (epoch << 2), c0, c1, c2, c3];
    short.extend_from_slice(frame.get(FRAME_HEADER_BYTES..)?);
    Some(short)
}
