//! The short form of events: 22 bytes beside the payload on the way to a board (`docs/design/0007-sancus.md`).

use veritee_ids::Status;
use veritee_ids::limits::FRAME_HEADER_BYTES;
use veritee_wire::layout::Frame;

/// Shortens the input of an event: row u16 and a frame.
///
/// # Errors
/// What a module would answer, were there room to ask it: malformed when it is no frame, busy when its row is beyond a
/// board's table and so was never connected.
pub(crate) fn shorten(input: &[u8]) -> Result<Vec<u8>, Status> {
    let (row, frame) = input.split_first_chunk().ok_or(Status::Malformed)?;
    let (header, ..) = Frame::split(frame).map_err(|_| Status::Malformed)?;
    let row = u8::try_from(u16::from_le_bytes(*row)).map_err(|_| Status::Busy)?;
    let kind = u8::try_from(header.kind.code()).ok().filter(|kind| *kind < 4).ok_or(Status::Malformed)?;
    let [epoch, ..] = header.epoch.0.to_le_bytes();
    let [c0, c1, c2, c3, ..] = header.counter.0.to_le_bytes();
    let mut short = vec![row, kind | (epoch << 2), c0, c1, c2, c3];
    short.extend_from_slice(frame.get(FRAME_HEADER_BYTES..).ok_or(Status::Malformed)?);
    Ok(short)
}
