//! The outbox's form on disk: segments of records.
//!
//! A segment begins with [`HEADER`] (magic, version) and its number; then records follow:
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 4 | CRC-32 of everything behind, u32 little-endian |
//! | 4 | 4 | length of the frame, u32 little-endian |
//! | 8 | 4 | the application's number on this node, u32 little-endian |
//! | 12 | length | the frame |
//!
//! A record counts only as a whole: reading ends at the first one that is cut or damaged (the tail of a crash).

use veritee_ids::limits::FRAME_BYTES_MAX;

/// Magic and version of a segment. A segment of another version is refused.
pub const HEADER: [u8; 8] = *b"VTOUTBX1";
/// Header and number of a segment in bytes.
pub const SEGMENT_FRONT_BYTES: usize = 12;
const FRONT_BYTES: usize = 12;

/// Appends the front of a segment.
pub fn put_front(bytes: &mut Vec<u8>, segment: u32) {
    bytes.extend_from_slice(&HEADER);
    bytes.extend_from_slice(&segment.to_le_bytes());
}

/// Appends a record.
///
/// # Panics
/// When the frame is longer than 4 GiB.
pub fn put(bytes: &mut Vec<u8>, application: u32, frame: &[u8]) {
    let at = bytes.len();
    let length = u32::try_from(frame.len()).expect("frames are short");
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&application.to_le_bytes());
    bytes.extend_from_slice(frame);
    let crc = crc32fast::hash(&bytes[at + 4..]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What a segment's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotASegment {
    /// Shorter than a front: a crash came right after it was made.
    #[error("it is cut inside of its front")]
    Cut,
    /// Of another kind or version.
    #[error("it is not a segment of version 1")]
    Foreign,
}

/// The records of a segment, in order: application and frame.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

/// Reads a segment's front.
///
/// # Errors
/// [`NotASegment`], as said there.
pub fn records(bytes: &[u8], segment: u32) -> Result<Records<'_>, NotASegment> {
    let (front, rest) = bytes.split_at_checked(SEGMENT_FRONT_BYTES).ok_or(NotASegment::Cut)?;
    if front[..8] == HEADER && front[8..] == segment.to_le_bytes() {
        Ok(Records { rest })
    } else {
        Err(NotASegment::Foreign)
    }
}

impl Records<'_> {
    /// How many bytes were not read: 0 when the segment ended with a whole record.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (front, rest) = self.rest.split_first_chunk::<FRONT_BYTES>()?;
        let [c0, c1, c2, c3, l0, l1, l2, l3, application @ ..] = *front;
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let (frame, rest) = rest.split_at_checked(length)?;
        let crc = crc32fast::hash(&self.rest[4..FRONT_BYTES + length]);
        if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
            return None;
        }
        self.rest = rest;
        Some((u32::from_le_bytes(application), frame))
    }
}
