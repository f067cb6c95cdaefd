//! An event's frame: header, sealed body, tag.

use crate::layout::{EventAssociated, Frame};
use crate::{Layout, Malformed};
use veritee_ids::limits::{FRAME_HEADER_BYTES, PROTOCOL_VERSION, TAG_BYTES};
use veritee_ids::{ApplicationHandle, Direction, FrameKind};

impl Frame {
    /// Splits a frame into its header, sealed body and tag.
    ///
    /// # Errors
    /// [`Malformed`] when it is too short, has an unknown kind, or a body of odd or no length.
    pub fn split(bytes: &[u8]) -> Result<(Self, &[u8], &[u8; TAG_BYTES]), Malformed> {
        let (header, rest) = Self::decode_front(bytes)?;
        let (body, tag) = rest.split_last_chunk().ok_or(Malformed)?;
        let even = body.len() >= 2 && body.len().is_multiple_of(2);
        if even { Ok((header, body, tag)) } else { Err(Malformed) }
    }

    /// Which way the frame travels.
    pub const fn direction(&self) -> Direction {
        if matches!(self.kind, FrameKind::Reply) { Direction::Backward } else { Direction::Forward }
    }

    /// What is authenticated beside the body. The application is not on the wire: both ends know it.
    pub fn associated(&self, application: ApplicationHandle) -> [u8; EventAssociated::BYTES] {
        EventAssociated {
            version: PROTOCOL_VERSION,
            kind: self.kind,
            application,
            connection: self.connection,
            epoch: self.epoch,
            counter: self.counter,
            direction: self.direction(),
            reserved: 0,
        }
        .bytes()
    }
}

/// Length of the frame that carries `payload` bytes: the body is padded to an even length of at least 2.
pub const fn frame_bytes(payload: usize) -> usize {
    FRAME_HEADER_BYTES + body_bytes(payload) + TAG_BYTES
}

/// Length of the sealed body of a payload.
pub const fn body_bytes(payload: usize) -> usize {
    if payload == 0 { 2 } else { payload.next_multiple_of(2) }
}
