//! Two rings in shared memory: calls go in, outputs come out.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 8 | magic and version |
//! | 8 | 4 | state of the runner: 0 starts, 1 ready |
//! | 64, 128 | 8 | calls: head (daemon writes), tail (runner writes) |
//! | 192, 256 | 8 | outputs: head (runner writes), tail (daemon writes) |
//! | 320, 384 | 4 | runner sleeps, daemon sleeps |
//! | 512 | 4 + 1020 | last words of the runner: length, text |
//! | 4096 | capacity | calls |
//! | 4096 + capacity | capacity | outputs |
//!
//! Cursors count bytes since the beginning and never wrap. A record is its length (u32), a tag (u32), the call's number
//! (u64), then the bytes, padded to eight. Each side keeps its own cursor in private memory and only publishes it.

use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of each ring.
pub const CAPACITY: usize = 4 * 1024 * 1024;
/// Front of a record.
pub const RECORD_HEADER_BYTES: usize = 16;
/// Longest body of a record.
pub const BODY_BYTES_MAX: usize = veritee_ids::limits::OUTPUT_BYTES_MAX;

const DATA: usize = 4096;
const WORDS: usize = 512;
const WORDS_BYTES: usize = 1020;
const LENGTH: usize = DATA + 2 * CAPACITY;
const MAGIC: u64 = u64::from_le_bytes(*b"VTRING01");
const _: () = assert!(CAPACITY.is_power_of_two() && BODY_BYTES_MAX * 2 < CAPACITY);

/// The other side broke the rules of the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// There is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// The shared mapping.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
}

// SAFETY: the mapping is shared memory by nature; all access is through atomics or copies, see below.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes the file of a fresh ring and maps it.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: &Path) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::ftruncate(&file, LENGTH as u64)?;
        let mapping = Self::map(&file)?;
        mapping.word(0).store(MAGIC, Ordering::Release);
        Ok(mapping)
    }

    /// Maps the file of a ring.
    ///
    /// # Errors
    /// The system's; `InvalidData` when the file is no ring of this version.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let length = rustix::fs::fstat(&file)?.st_size;
        if u64::try_from(length) != Ok(LENGTH as u64) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the ring has another length"));
        }
        let mapping = Self::map(&file)?;
        if mapping.word(0).load(Ordering::Acquire) != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the ring has another version"));
        }
        Ok(mapping)
    }

    fn map(file: &impl std::os::fd::AsFd) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing. The file can shrink only by hands
        // that own the instance's folder, that is the node itself.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                LENGTH,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        NonNull::new(base.cast()).map(|base| Self { base }).ok_or_else(|| io::Error::other("mapped at zero"))
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= DATA, "control words lie in the first page");
        // SAFETY: inside the mapping and aligned (asserted); the mapping lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    fn half(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= DATA, "control words lie in the first page");
        // SAFETY: inside the mapping and aligned (asserted); the mapping lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    /// State of the runner.
    #[must_use]
    pub fn state(&self) -> &AtomicU32 {
        self.half(8)
    }

    /// The runner sleeps.
    #[must_use]
    pub fn runner_sleeps(&self) -> &AtomicU32 {
        self.half(320)
    }

    /// The daemon sleeps.
    #[must_use]
    pub fn daemon_sleeps(&self) -> &AtomicU32 {
        self.half(384)
    }

    /// Leaves a runner's last words, for whoever asks why it ended. Works where nothing can be written to files.
    pub fn leave_words(&self, words: &str) {
        let words = &words.as_bytes()[..words.len().min(WORDS_BYTES)];
        for (at, chunk) in words.chunks(4).enumerate() {
            let half = std::array::from_fn(|byte| chunk.get(byte).copied().unwrap_or(0));
            self.half(WORDS + 4 + 4 * at).store(u32::from_le_bytes(half), Ordering::Relaxed);
        }
        self.half(WORDS).store(u32::try_from(words.len()).unwrap_or(0), Ordering::Release);
    }

    /// A runner's last words, as it claims: one line of text. `None` when it left none.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        let length = usize::try_from(self.half(WORDS).load(Ordering::Acquire)).ok()?.min(WORDS_BYTES);
        let halves = (0..length.div_ceil(4)).map(|at| self.half(WORDS + 4 + 4 * at).load(Ordering::Relaxed));
        let mut bytes: Vec<u8> = halves.flat_map(u32::to_le_bytes).collect();
        bytes.truncate(length);
        let text = String::from_utf8_lossy(&bytes).replace(char::is_control, " ");
        (!text.is_empty()).then_some(text)
    }

    /// Copies out of a ring's data, around its end.
    fn read(&self, data: usize, at: u64, into: &mut [u8]) {
        let (first, second) = split(at, into.len());
        let (front, back) = into.split_at_mut(first.1);
        for (place, (offset, length)) in [(front, first), (back, second)] {
            debug_assert!(offset + length <= CAPACITY);
            // SAFETY: `split` gives ranges inside the data of one ring; the destination is private memory. The other side
            // may write there at the same time: the bytes are then arbitrary, and are checked like any others.
            unsafe {
                std::ptr::copy_nonoverlapping(self.base.as_ptr().add(data + offset), place.as_mut_ptr(), length);
            }
        }
    }

    /// Copies into a ring's data, around its end.
    fn write(&self, data: usize, at: u64, from: &[u8]) {
        let (first, second) = split(at, from.len());
        let (front, back) = from.split_at(first.1);
        for (bytes, (offset, length)) in [(front, first), (back, second)] {
            debug_assert!(offset + length <= CAPACITY);
            // SAFETY: as in `read`, the other way round.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(data + offset), length);
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing that borrows from it outlives `self`.
        _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), LENGTH) };
    }
}

/// Offset and length of the part before the ring's end, and of the part behind it.
fn split(at: u64, length: usize) -> ((usize, usize), (usize, usize)) {
    assert!(length <= CAPACITY, "records are shorter than the ring");
    let offset = usize::try_from(at % CAPACITY as u64).expect("below the capacity");
    let first = length.min(CAPACITY - offset);
    ((offset, first), (0, length - first))
}

/// Which ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// From the daemon to the runner.
    Calls,
    /// From the runner to the daemon.
    Outputs,
}

impl Lane {
    const fn head(self) -> usize {
        match self {
            Self::Calls => 64,
            Self::Outputs => 192,
        }
    }

    const fn tail(self) -> usize {
        self.head() + 64
    }

    const fn data(self) -> usize {
        match self {
            Self::Calls => DATA,
            Self::Outputs => DATA + CAPACITY,
        }
    }
}

/// The writing end of a ring.
#[derive(Debug)]
pub struct Producer {
    mapping: Arc<Mapping>,
    lane: Lane,
    head: u64,
}

impl Producer {
    /// Goes on where the ring stands.
    #[must_use]
    pub fn new(mapping: Arc<Mapping>, lane: Lane) -> Self {
        let head = mapping.word(lane.head()).load(Ordering::Acquire);
        Self { mapping, lane, head }
    }

    /// Bytes that are free; none when the reader's cursor makes no sense.
    #[must_use]
    pub fn room(&self) -> usize {
        let tail = self.mapping.word(self.lane.tail()).load(Ordering::Acquire);
        let free = self.head.checked_sub(tail).and_then(|used| (CAPACITY as u64).checked_sub(used));
        // Both cursors may come from the peer, who can put them where the head would wrap.
        let room = free.unwrap_or(0).min(u64::MAX - self.head);
        usize::try_from(room).unwrap_or(0)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// [`NoRoom`] when it does not fit now; nothing was written.
    ///
    /// # Panics
    /// When the body is longer than [`BODY_BYTES_MAX`].
    pub fn push(&mut self, call: u64, tag: u32, body: &[u8]) -> Result<(), NoRoom> {
        assert!(body.len() <= BODY_BYTES_MAX, "bodies are bounded");
        let length = record_bytes(body.len());
        if self.room() < length {
            return Err(NoRoom);
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        header[..4].copy_from_slice(&u32::try_from(body.len()).expect("asserted above").to_le_bytes());
        header[4..8].copy_from_slice(&tag.to_le_bytes());
        header[8..].copy_from_slice(&call.to_le_bytes());
        self.mapping.write(self.lane.data(), self.head, &header);
        self.mapping.write(self.lane.data(), self.head + RECORD_HEADER_BYTES as u64, body);
        self.head += length as u64;
        self.mapping.word(self.lane.head()).store(self.head, Ordering::Release);
        Ok(())
    }
}

/// A record that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The call's number.
    pub call: u64,
    /// The record's tag.
    pub tag: u32,
    /// Length of the body.
    pub length: usize,
    /// Cursor behind the record.
    pub end: u64,
}

/// The reading end of a ring.
#[derive(Debug)]
pub struct Consumer {
    mapping: Arc<Mapping>,
    lane: Lane,
    next: u64,
    tail: u64,
}

impl Consumer {
    /// Goes on with the oldest record that was not released.
    #[must_use]
    pub fn new(mapping: Arc<Mapping>, lane: Lane) -> Self {
        let tail = mapping.word(lane.tail()).load(Ordering::Acquire);
        Self { mapping, lane, next: tail, tail }
    }

    /// Whether records wait.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.mapping.word(self.lane.head()).load(Ordering::Acquire) != self.next
    }

    /// Length of the next record's body, as its writer says now.
    ///
    /// # Errors
    /// [`Broken`] when the writer's cursor makes no sense.
    pub fn next_length(&self) -> Result<Option<usize>, Broken> {
        let head = self.mapping.word(self.lane.head()).load(Ordering::Acquire);
        let waiting = head.checked_sub(self.next).ok_or(Broken)?;
        if waiting == 0 {
            return Ok(None);
        }
        if waiting < RECORD_HEADER_BYTES as u64 {
            return Err(Broken);
        }
        let mut length = [0; 4];
        self.mapping.read(self.lane.data(), self.next, &mut length);
        usize::try_from(u32::from_le_bytes(length)).map(Some).map_err(|_| Broken)
    }

    /// Reads the next record into `body`, which is at least [`BODY_BYTES_MAX`] long.
    ///
    /// # Errors
    /// [`Broken`] when the writer's cursor or the record's length make no sense.
    pub fn pop(&mut self, body: &mut [u8]) -> Result<Option<Record>, Broken> {
        let head = self.mapping.word(self.lane.head()).load(Ordering::Acquire);
        // `tail <= next`, so neither what is behind `next` nor the sums below can wrap.
        let waiting = head.checked_sub(self.next).ok_or(Broken)?;
        if waiting == 0 {
            return Ok(None);
        }
        if head - self.tail > CAPACITY as u64 || waiting < RECORD_HEADER_BYTES as u64 {
            return Err(Broken);
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        self.mapping.read(self.lane.data(), self.next, &mut header);
        let [length, tag] = [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|byte| header[at + byte])));
        let length = usize::try_from(length).map_err(|_| Broken)?;
        if length > BODY_BYTES_MAX || record_bytes(length) as u64 > waiting {
            return Err(Broken);
        }
        let place = body.get_mut(..length).ok_or(Broken)?;
        self.mapping.read(self.lane.data(), self.next + RECORD_HEADER_BYTES as u64, place);
        self.next += record_bytes(length) as u64;
        let call = u64::from_le_bytes(std::array::from_fn(|byte| header[8 + byte]));
        Ok(Some(Record { call, tag, length, end: self.next }))
    }

    /// Frees everything up to a record's end.
    pub fn release(&mut self, end: u64) {
        if end > self.tail && end <= self.next {
            self.tail = end;
            self.mapping.word(self.lane.tail()).store(end, Ordering::Release);
        }
    }
}

const fn record_bytes(body: usize) -> usize {
    (RECORD_HEADER_BYTES + body).next_multiple_of(8)
}
