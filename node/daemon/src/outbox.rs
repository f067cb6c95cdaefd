//! The outbox on disk: segments in a folder, written by a thread of its own, one group commit at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::mpsc as notices;
use veritee_node_core::record;

/// What the thread is told.
enum Order {
    /// Append these bytes to this segment and make them durable; the buffer comes back.
    Append { segment: u32, bytes: Vec<u8> },
    /// Delete this segment.
    Delete { segment: u32 },
}

/// What the thread tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The last append is durable; here is its buffer, emptied.
    Durable { bytes: Vec<u8> },
    /// The disk failed: nothing was made durable, and nothing will be.
    Failed { error: io::Error },
}

/// The daemon's end of the outbox.
#[derive(Debug)]
pub(crate) struct Outbox {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    /// The segment that is written now, and its length.
    segment: u32,
    length: u64,
    segment_bytes: u64,
    /// Buffer of the next batch; `None` while a batch is being written.
    pub(crate) buffer: Option<Vec<u8>>,
}

/// A segment that an earlier daemon left.
#[derive(Debug)]
pub(crate) struct OldSegment {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
}

/// Lists the segments of a folder in order.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<OldSegment>> {
    std::fs::create_dir_all(folder)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".segment")?.parse().ok());
        if let Some(number) = number {
            found.push(OldSegment { number, path });
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

impl Outbox {
    /// Starts the thread. New records go to segments from `first` on.
    pub(crate) fn start(
        folder: &Path, first: u32, segment_bytes: u64,
    ) -> io::Result<(Self, notices::UnboundedReceiver<Notice>)> {
        let (orders, queue) = mpsc::channel();
        let (notes, receiver) = notices::unbounded_channel();
        let mut writer = Writer { folder: folder.to_owned(), file: None };
        let thread = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || {
            while let Ok(order) = queue.recv() {
                if let Some(notice) = writer.obey(order)
                    && notes.send(notice).is_err()
                {
                    break;
                }
            }
        })?;
        let outbox = Self {
            orders: Some(orders),
            thread: Some(thread),
            segment: first,
            length: 0,
            segment_bytes,
            buffer: Some(Vec::new()),
        };
        Ok((outbox, receiver))
    }

    /// The segment that the next batch goes to.
    pub(crate) const fn segment(&self) -> u32 {
        self.segment
    }

    /// Hands a batch to the disk.
    pub(crate) fn append(&mut self, bytes: Vec<u8>) {
        let segment = self.segment;
        self.length += bytes.len() as u64;
        if self.length >= self.segment_bytes {
            self.close_segment();
        }
        self.order(Order::Append { segment, bytes });
    }

    /// True when the segment that is written now is long enough to be deleted as soon as nothing waits in it.
    pub(crate) const fn is_worth_closing(&self) -> bool {
        self.length > CLOSED_BYTES_MIN
    }

    /// Lets the next batch go to a new segment.
    pub(crate) const fn close_segment(&mut self) {
        self.segment += 1;
        self.length = 0;
    }

    /// Deletes a segment in which nothing waits any more.
    pub(crate) fn delete(&self, segment: u32) {
        self.order(Order::Delete { segment });
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Its end is reported by a notice.
            drop(orders.send(order));
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Writer {
    folder: PathBuf,
    file: Option<(u32, File)>,
}

impl Writer {
    fn obey(&mut self, order: Order) -> Option<Notice> {
        match order {
            Order::Append { segment, mut bytes } => match self.append(segment, &bytes) {
                Ok(()) => {
                    bytes.clear();
                    bytes.shrink_to(BUFFER_KEPT_BYTES);
                    Some(Notice::Durable { bytes })
                }
                Err(error) => Some(Notice::Failed { error }),
            },
            Order::Delete { segment } => {
                if let Err(error) = std::fs::remove_file(path(&self.folder, segment)) {
                    tracing::warn!(segment, %error, "cannot delete a segment of the outbox");
                }
                None
            }
        }
    }

    fn append(&mut self, segment: u32, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some((open, file)) if *open == segment => file,
            _ => {
                let mut options = OpenOptions::new();
                let mut file = options.write(true).create_new(true).mode(0o600).open(path(&self.folder, segment))?;
                let mut front = Vec::new();
                record::put_front(&mut front, segment);
                file.write_all(&front)?;
                File::open(&self.folder)?.sync_all()?;
                &mut self.file.insert((segment, file)).1
            }
        };
        file.write_all(bytes)?;
        file.sync_data()
    }
}

pub(crate) fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:010}.segment"))
}

const CLOSED_BYTES_MIN: u64 = 1 << 20;
const BUFFER_KEPT_BYTES: usize = 4 << 20;
