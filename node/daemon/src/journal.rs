//! The journal: changes of the model in a file, each durable before its request is answered.
//!
//! The file begins with a magic that names the version; then records follow: CRC-32 of the body (u32 little-endian),
//! length of the body (u32), body (CBOR of a change). Reading ends at the first record that is cut or damaged. Each start
//! writes a new file from the model and puts it in the old one's place.

use crate::model::{Change, Model};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("the journal is not one of version 1: use the software that wrote it")]
    Foreign,
    #[error("a change in the journal cannot be read: use the software that wrote it")]
    Unknown,
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Reads the model and starts a fresh journal.
pub(crate) fn open(folder: &Path) -> Result<(Model, Journal), JournalError> {
    let path = folder.join("journal");
    let model = match std::fs::read(&path) {
        Ok(bytes) => read(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Model::default(),
        Err(error) => return Err(error.into()),
    };
    let fresh = folder.join("journal.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let mut bytes = MAGIC.to_vec();
    for change in model.changes() {
        put(&mut bytes, &change);
    }
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    File::open(folder)?.sync_all()?;
    Ok((model, Journal::start(file)?))
}

fn read(bytes: &[u8]) -> Result<Model, JournalError> {
    let mut model = Model::default();
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(JournalError::Foreign)?;
    while let Some((crc, behind)) = rest.split_first_chunk() {
        let Some((length, behind)) = behind.split_first_chunk() else { break };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((body, behind)) = behind.split_at_checked(length) else { break };
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            break;
        }
        model.apply(minicbor::decode(body).map_err(|_| JournalError::Unknown)?);
        rest = behind;
    }
    if !rest.is_empty() {
        tracing::warn!(bytes = rest.len(), "the journal had a torn tail");
    }
    Ok(model)
}

fn put(bytes: &mut Vec<u8>, change: &Change) {
    let body = minicbor::to_vec(change).expect("writing to memory cannot fail");
    let length = u32::try_from(body.len()).expect("changes are short");
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&body);
}

struct Order {
    bytes: Vec<u8>,
    done: oneshot::Sender<io::Result<()>>,
}

/// Writes changes in a thread of its own; those that come together are made durable together.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    fn start(file: File) -> io::Result<Self> {
        let (orders, queue) = mpsc::channel();
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || write(file, &queue))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Writes changes; the receiver hears when they are durable.
    pub(crate) fn write(&self, changes: &[Change]) -> oneshot::Receiver<io::Result<()>> {
        let mut bytes = Vec::new();
        for change in changes {
            put(&mut bytes, change);
        }
        let (done, receiver) = oneshot::channel();
        if let Some(orders) = &self.orders {
            // A thread that ended drops the order, which the receiver sees.
            drop(orders.send(Order { bytes, done }));
        }
        receiver
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write(mut file: File, queue: &mpsc::Receiver<Order>) {
    let mut failed = false;
    while let Ok(first) = queue.recv() {
        let orders: Vec<Order> = std::iter::once(first).chain(queue.try_iter()).collect();
        let bytes: Vec<u8> = orders.iter().flat_map(|order| order.bytes.iter().copied()).collect();
        let written = if failed {
            Err(io::Error::other("an earlier write failed"))
        } else {
            file.write_all(&bytes).and_then(|()| file.sync_data())
        };
        failed = written.is_err();
        for order in orders {
            let outcome = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            drop(order.done.send(outcome));
        }
    }
}

const MAGIC: &[u8] = b"VTJRNAL1";
