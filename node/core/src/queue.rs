//! Frames of one lane, in order, contiguous in memory.
//!
//! Each record is [`PREFIX_BYTES`] of room for whatever front its destination wants (a link message's header, a row
//! number), then the frame. Positions are absolute: they do not move when the front is taken off.

use std::collections::VecDeque;
use veritee_ids::Status;

/// Room before each frame.
pub(crate) const PREFIX_BYTES: usize = 8;

/// What is known of a queued frame besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    /// Length of the record in bytes, with its prefix.
    pub(crate) length: u32,
    /// The outbox segment that holds it; 0 for none.
    pub(crate) segment: u32,
    /// The module's output that it came in (low bits of its number).
    pub(crate) output: u32,
    /// It does not hold its output back any more.
    pub(crate) released: bool,
    /// Its final verdict, if it has one.
    pub(crate) done: Option<Status>,
}

/// Cursor into a queue: number of a frame, and of its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cursor {
    pub(crate) frame: u64,
    pub(crate) byte: u64,
}

/// The frames.
#[derive(Debug, Default)]
pub(crate) struct FrameQueue {
    bytes: Vec<u8>,
    /// Bytes at the start of `bytes` that are taken off.
    start: usize,
    metas: VecDeque<Meta>,
    front: Cursor,
}

impl FrameQueue {
    /// Where the first frame is.
    pub(crate) const fn front(&self) -> Cursor {
        self.front
    }

    /// Number of the frame that will be pushed next.
    pub(crate) fn end(&self) -> u64 {
        self.front.frame + self.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.metas.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Appends a frame behind an empty prefix.
    pub(crate) fn push(&mut self, frame: &[u8], meta: Meta) {
        self.make_room();
        self.bytes.extend_from_slice(&[0; PREFIX_BYTES]);
        self.bytes.extend_from_slice(frame);
        self.metas.push_back(meta);
    }

    /// Appends a record whose prefix is there already.
    pub(crate) fn push_record(&mut self, record: &[u8], meta: Meta) {
        self.make_room();
        self.bytes.extend_from_slice(record);
        self.metas.push_back(meta);
    }

    /// Moves what is left to the start when at least half is taken off: each byte moves at most once on average.
    fn make_room(&mut self) {
        if self.start >= COMPACT_BYTES_MIN && self.start * 2 >= self.bytes.len() {
            self.bytes.copy_within(self.start.., 0);
            self.bytes.truncate(self.bytes.len() - self.start);
            self.start = 0;
        }
    }

    pub(crate) fn meta(&self, frame: u64) -> Option<&Meta> {
        self.metas.get(self.place(frame)?)
    }

    pub(crate) fn meta_mut(&mut self, frame: u64) -> Option<&mut Meta> {
        let place = self.place(frame)?;
        self.metas.get_mut(place)
    }

    pub(crate) fn metas_mut(&mut self) -> impl Iterator<Item = &mut Meta> {
        self.metas.iter_mut()
    }

    pub(crate) fn metas(&self) -> impl Iterator<Item = &Meta> {
        self.metas.iter()
    }

    /// The record at a cursor, prefix included.
    pub(crate) fn record_mut(&mut self, at: Cursor) -> Option<(&mut [u8], Meta)> {
        let meta = *self.meta(at.frame)?;
        let from = self.start + offset(at.byte - self.front.byte);
        Some((&mut self.bytes[from..from + meta.length as usize], meta))
    }

    /// The frame at a cursor.
    pub(crate) fn frame(&self, at: Cursor) -> Option<(&[u8], Meta)> {
        let meta = *self.meta(at.frame)?;
        let from = self.start + offset(at.byte - self.front.byte);
        Some((&self.bytes[from + PREFIX_BYTES..from + meta.length as usize], meta))
    }

    /// Takes the first frame off.
    pub(crate) fn pop(&mut self) -> Option<Meta> {
        let meta = self.metas.pop_front()?;
        self.start += meta.length as usize;
        self.front.frame += 1;
        self.front.byte += u64::from(meta.length);
        if self.metas.is_empty() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > IDLE_BYTES_MAX {
                self.bytes = Vec::new();
            }
            if self.metas.capacity() > IDLE_FRAMES_MAX {
                self.metas = VecDeque::new();
            }
        }
        Some(meta)
    }

    fn place(&self, frame: u64) -> Option<usize> {
        frame.checked_sub(self.front.frame).map(offset)
    }
}

fn offset(distance: u64) -> usize {
    usize::try_from(distance).expect("a distance inside of memory")
}

const COMPACT_BYTES_MIN: usize = 4096;
/// An empty queue gives memory above this back.
const IDLE_BYTES_MAX: usize = 256 * 1024;
const IDLE_FRAMES_MAX: usize = 4096;
