//! The owner as an endpoint: direct connections (PROTOCOL section 3).
//!
//! A process holds a caller's slot by a file lock for its life, opens the slot's next epoch with `abandon` in one
//! transaction, and keeps key and counter in memory only: no counter is ever continued from disk.

use crate::connect::{Side, Wire};
use crate::desk::Desk;
use crate::fleet::{Entered, Node};
use crate::{ExecError, random};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use veritee_ciphers::AeadKey;
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, Counter, Direction, Epoch, FrameKind, PriorEpoch, Status,
};
use veritee_node_protocol::{ModuleName, Request, Response};
use veritee_seal::{Aead, Nonce};
use veritee_session::keys::EpochRecord;
use veritee_session::{KeySource, OwnerRoot};
use veritee_wire::Layout;
use veritee_wire::frame::body_bytes;
use veritee_wire::layout::Frame;

/// How long a busy module is asked again.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);

/// A caller's end of a direct connection.
#[derive(Debug)]
pub struct Caller {
    name: String,
    node: Node,
    module: ModuleName,
    row: u16,
    header: Frame,
    handle: ApplicationHandle,
    reply_bytes_max: usize,
    forward: AeadKey,
    backward: AeadKey,
    /// Held as long as this process speaks on the slot.
    _slot: File,
}

/// A reply's first field.
const VALUE: u16 = 0;
const MALFORMED: u16 = 1;
const REFUSED: u16 = 2;

impl Caller {
    /// Takes a free slot and opens its next epoch.
    ///
    /// # Errors
    /// [`ExecError::NoSlot`] when none is free; what the module or node refuses.
    pub async fn open(
        wire: &Wire, desk: &mut Desk, (application, root): (ApplicationId, &OwnerRoot), folder: &Path,
    ) -> Result<Self, ExecError> {
        let (slot, lock) = take_slot(wire, folder)?;
        let end = &wire.to[slot];
        let status = desk.status().await?;
        let row = status.rows.iter().find(|row| row.row == end.row && row.connection == wire.id);
        let known = row.map_or(Epoch(0), |row| row.epoch.max(row.pending_epoch)).max(status.head.epoch_floor);
        let record = EpochRecord {
            application,
            connection: wire.id,
            epoch: Epoch(known.0 + 1),
            salt: random()?,
            source: ActivationId(random()?),
            target: desk.activation(),
        };
        let set = wire.set_key(root, &record, (Side::Target, end), (PriorEpoch::Abandon, Counter(0), desk.handle));
        desk.set_key(&set).await?;
        let key = |direction| AeadKey::of(wire.cipher, &root.connection_key(&record, direction));
        let kind = if wire.requests { FrameKind::Request } else { FrameKind::Event };
        Ok(Self {
            name: wire.name.clone(),
            node: desk.node.clone(),
            module: desk.name.clone(),
            row: end.row.0,
            header: Frame { connection: wire.id, kind, epoch: record.epoch, counter: Counter(0) },
            handle: desk.handle,
            reply_bytes_max: wire.reply_bytes_max,
            forward: key(Direction::Forward),
            backward: key(Direction::Backward),
            _slot: lock,
        })
    }

    /// Longest reply that the handler's type allows; a reply may come with padding behind it.
    #[must_use]
    pub const fn reply_bytes_max(&self) -> usize {
        self.reply_bytes_max
    }

    /// Sends an event and waits for the module's verdict.
    ///
    /// # Errors
    /// [`ExecError::Direct`] when it was not accepted.
    pub async fn output(&mut self, payload: &[u8]) -> Result<(), ExecError> {
        self.send(payload, 0).await.map(|_| ())
    }

    /// Sends a request and waits for its reply: a value, or the handler's refusal code.
    ///
    /// # Errors
    /// [`ExecError::Direct`] when it was not accepted, or the reply is not authentic.
    pub async fn request(&mut self, payload: &[u8], wait: Duration) -> Result<Result<Vec<u8>, u16>, ExecError> {
        let asked = self.header.counter;
        let reply_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
        let reply = self.send(payload, reply_ms).await?;
        let unauthentic = || self.failed("the reply is not authentic");
        let (header, body, tag) = Frame::split(&reply).map_err(|_| unauthentic())?;
        let expected = Frame { kind: FrameKind::Reply, counter: asked, ..self.header };
        if header != expected {
            return Err(unauthentic());
        }
        let mut body = body.to_vec();
        let nonce = Nonce { counter: asked, direction: Direction::Backward };
        let associated = header.associated(self.handle);
        self.backward.open(nonce, &associated, &mut body, tag).map_err(|_| unauthentic())?;
        let Some((code, value)) = body.split_first_chunk() else { return Err(unauthentic()) };
        match u16::from_le_bytes(*code) {
            VALUE => Ok(Ok(value.to_vec())),
            MALFORMED => Err(self.failed("the handler cannot decode the request: is it of the right type?")),
            code => Ok(Err(code - REFUSED)),
        }
    }

    /// Seals under the next counter, enters, and enters the same frame again while the module is busy.
    async fn send(&mut self, payload: &[u8], reply_ms: u32) -> Result<Vec<u8>, ExecError> {
        let frame = self.seal(payload)?;
        let row = self.row;
        let end = Instant::now() + BUSY_PATIENCE;
        let mut pause = Duration::from_millis(1);
        loop {
            let Entered { status, reply, .. } = self.enter(row, frame.clone(), reply_ms).await?;
            match Status::try_from(status) {
                Ok(Status::Accepted) => return Ok(reply),
                Ok(Status::Busy | Status::NoRoom) if Instant::now() < end => tokio::time::sleep(pause).await,
                Ok(status) => return Err(self.failed(&format!("the module's verdict is {}", status.word()))),
                Err(_) => return Err(self.node.strange("direct")),
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Enters any bytes as a frame of any row, once; gives what came of them, whatever it is.
    ///
    /// # Errors
    /// [`ExecError::Node`] or [`ExecError::StrangeAnswer`].
    pub async fn enter(&self, row: u16, frame: Vec<u8>, reply_ms: u32) -> Result<Entered, ExecError> {
        let request = Request::Direct { name: self.module.clone(), row, frame, reply_ms };
        match self.node.ask_within(request, Duration::from_millis(reply_ms.into())).await? {
            Response::Entered { status, value, reply } => Ok(Entered { status, value, reply }),
            _ => Err(self.node.strange("direct")),
        }
    }

    /// The row of the module's table that this caller speaks to.
    #[must_use]
    pub const fn row(&self) -> u16 {
        self.row
    }

    /// Seals a payload as the next frame: its counter is used up, whether it is entered or not.
    ///
    /// # Errors
    /// [`ExecError::Direct`] after 2^64 - 1 frames.
    pub fn seal(&mut self, payload: &[u8]) -> Result<Vec<u8>, ExecError> {
        let header = self.header;
        self.header.counter = header.counter.next().ok_or_else(|| self.failed("its counter is used up"))?;
        let mut body = payload.to_vec();
        body.resize(body_bytes(payload.len()), 0);
        let nonce = Nonce { counter: header.counter, direction: Direction::Forward };
        let tag = self.forward.seal(nonce, &header.associated(self.handle), &mut body);
        let mut frame = vec![0; Frame::BYTES];
        header.encode(&mut frame).map_err(|_| self.failed("its header cannot be written"))?;
        frame.extend_from_slice(&body);
        frame.extend_from_slice(&tag);
        Ok(frame)
    }

    fn failed(&self, what: &str) -> ExecError {
        ExecError::Direct { connection: self.name.clone(), what: what.to_owned() }
    }
}

/// Locks the first free slot.
fn take_slot(wire: &Wire, folder: &Path) -> Result<(usize, File), ExecError> {
    for slot in 0..wire.to.len() {
        let path = folder.join(format!("slot-{}-{slot}", wire.id));
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(ExecError::file("open", &path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok((slot, file));
        }
    }
    Err(ExecError::NoSlot { connection: wire.name.clone() })
}
