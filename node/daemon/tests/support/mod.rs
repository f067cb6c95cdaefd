//! A fake platform: modules in this process that keep the rules of a channel, with counters instead of cryptography.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};
use veritee_host::{Board, Death, Full, HostError, Hosted, LoadRequest, Output, Platform, ReserveRequest};
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, Op, Status};
use veritee_node::Config;
use veritee_node_client::{Client, Identity, enrol};
use veritee_wire::layout::{EntryResult, Frame};
use veritee_wire::output::{FRAME, REPLY};
use veritee_wire::{Layout, OutputWriter};

/// What a fake module is.
#[derive(Debug, Default)]
pub struct Module {
    /// Epoch and next counter of connections that it sends on.
    pub sends: BTreeMap<u16, (u32, u64)>,
    /// Epoch and next counter of connections that it accepts.
    pub accepts: BTreeMap<u16, (u32, u64)>,
    /// Everything that it accepted: connection, epoch, counter.
    pub accepted: Vec<(u16, u32, u64)>,
    /// An accepted event on the first makes it emit one on the second.
    pub echo: Option<(u16, u16)>,
    /// Answers `busy` to so many events.
    pub busy: u64,
    pub late: u64,
    pub ticks: u64,
    pub replies: u64,
    /// Rows that events came in on.
    pub rows: Vec<u16>,
}

impl Module {
    fn enter(&mut self, op: Op, input: &[u8], output: &mut OutputWriter<'_>) -> EntryResult {
        let result = |status, value| EntryResult { status, reserved: 0, value };
        match op {
            Op::Attest | Op::Open | Op::Control => {
                output.record(REPLY, input.len()).unwrap().copy_from_slice(input);
                result(Status::Accepted, 0)
            }
            // Arguments: connection u16, count u32, kind u16.
            Op::Entry if input.len() == 10 => {
                let connection = u16::from_le_bytes([input[2], input[3]]);
                let count = u32::from_le_bytes(input[4..8].try_into().unwrap());
                let kind = FrameKind::try_from(u16::from_le_bytes([input[8], input[9]])).unwrap();
                (0..count).for_each(|_| self.emit(connection, kind, output));
                result(Status::Accepted, 0)
            }
            Op::Entry => {
                self.ticks += 1;
                result(Status::Accepted, 0)
            }
            Op::Late => {
                self.late += 1;
                result(Status::Accepted, 0)
            }
            Op::Event => self.event(input, output),
        }
    }

    fn event(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> EntryResult {
        let result = |status, value| EntryResult { status, reserved: 0, value };
        let (header, body, _) = Frame::split(&input[2..]).unwrap();
        if self.busy > 0 {
            self.busy -= 1;
            return result(Status::Busy, 0);
        }
        let connection = header.connection.0;
        if header.kind == FrameKind::Reply {
            self.replies += 1;
            return result(Status::Accepted, 0);
        }
        let (epoch, next) = self.accepts.entry(connection).or_insert((1, 0));
        match (header.epoch.0.cmp(epoch), header.counter.0.cmp(next)) {
            (std::cmp::Ordering::Greater, _) => return result(Status::Busy, 0),
            (std::cmp::Ordering::Less, _) => return result(Status::Refused, 0),
            (_, std::cmp::Ordering::Less) => return result(Status::Duplicate, 0),
            (_, std::cmp::Ordering::Greater) => return result(Status::Gap, *next),
            _ => {}
        }
        *next += 1;
        assert!(body.iter().all(|byte| *byte == 0x5a), "bodies arrive unchanged");
        self.accepted.push((connection, header.epoch.0, header.counter.0));
        self.rows.push(u16::from_le_bytes([input[0], input[1]]));
        if header.kind == FrameKind::Request {
            let reply = Frame { kind: FrameKind::Reply, ..header };
            write_frame(reply, output);
        }
        if let Some((from, to)) = self.echo
            && from == connection
        {
            self.emit(to, FrameKind::Event, output);
        }
        result(Status::Accepted, 0)
    }

    fn emit(&mut self, connection: u16, kind: FrameKind, output: &mut OutputWriter<'_>) {
        let (epoch, next) = self.sends.entry(connection).or_insert((1, 0));
        let header = frame(connection, kind, *epoch, *next);
        *next += 1;
        write_frame(header, output);
    }
}

/// A frame's header.
pub fn frame(connection: u16, kind: FrameKind, epoch: u32, counter: u64) -> Frame {
    Frame { connection: ConnectionId(connection), kind, epoch: Epoch(epoch), counter: Counter(counter) }
}

/// A whole frame of 96 bytes.
pub fn frame_bytes(header: Frame) -> Vec<u8> {
    let mut bytes = vec![0x5a; 96];
    header.encode(&mut bytes).unwrap();
    bytes
}

fn write_frame(header: Frame, output: &mut OutputWriter<'_>) {
    let body = output.record(FRAME, 96).unwrap();
    body.fill(0x5a);
    header.encode(body).unwrap();
}

/// An instance: outlives the daemon.
#[derive(Debug)]
pub struct Instance {
    pub module: Module,
    calls: VecDeque<(u64, Op, Vec<u8>)>,
    outputs: VecDeque<(u64, u64, Vec<u8>)>,
    /// Outputs before this one were given to the present daemon.
    given: usize,
    position: u64,
    wake: (OwnedFd, OwnedFd),
    death: (OwnedFd, Option<OwnedFd>),
    pub reason: Option<String>,
    /// What its load brought besides the image.
    pub place: Vec<u8>,
    pub provider: bool,
    room: usize,
    area: Vec<u8>,
}

impl Instance {
    fn work(&mut self) {
        while let Some((call, op, input)) = self.calls.pop_front() {
            let mut writer = OutputWriter::new(&mut self.area).unwrap();
            let result = self.module.enter(op, &input, &mut writer);
            let length = writer.finish(result);
            let area = self.area[..length].to_vec();
            self.position += length as u64;
            self.outputs.push_back((self.position, call, area));
        }
        self.ring();
    }

    fn ring(&mut self) {
        if self.given < self.outputs.len() {
            let _ = rustix::io::write(&self.wake.1, &[1]);
        }
    }

    /// Dies, as if killed.
    pub fn die(&mut self, reason: &str) {
        self.reason = Some(reason.to_owned());
        self.death.1 = None;
    }
}

/// The fake platform: hands instances out by folder and by label.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    instances: Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Instance>>>>>,
    labels: Arc<Mutex<BTreeMap<String, Arc<Mutex<Instance>>>>>,
}

impl Fake {
    /// Looks into the newest instance of this name.
    pub fn with<T>(&self, label: &str, look: impl FnOnce(&mut Instance) -> T) -> T {
        let instance = Arc::clone(lock(&self.labels).get(label).expect("a loaded module"));
        let mut instance = lock(&instance);
        look(&mut instance)
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Running {
    instance: Arc<Mutex<Instance>>,
    wake: OwnedFd,
    death: OwnedFd,
}

impl Running {
    fn boxed(instance: Arc<Mutex<Instance>>) -> Box<dyn Hosted> {
        let state = lock(&instance);
        let wake = state.wake.0.try_clone().unwrap();
        let death = state.death.0.try_clone().unwrap();
        drop(state);
        Box::new(Self { instance, wake, death })
    }
}

impl Platform for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        if request.image.starts_with(b"bad") {
            return Err(HostError::BadImage { reason: "it says so itself".to_owned() });
        }
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (wake, death) = (pipe_with(flags).unwrap(), pipe_with(flags).unwrap());
        let instance = Arc::new(Mutex::new(Instance {
            module: Module::default(),
            calls: VecDeque::new(),
            outputs: VecDeque::new(),
            given: 0,
            position: 0,
            wake,
            death: (death.0, Some(death.1)),
            reason: None,
            place: request.place.to_vec(),
            provider: request.provider,
            room: 4096,
            area: vec![0; 1 << 20],
        }));
        lock(&self.instances).insert(request.directory.to_owned(), Arc::clone(&instance));
        lock(&self.labels).insert(request.label.to_owned(), Arc::clone(&instance));
        Ok(Running::boxed(instance))
    }

    /// A need is a size, a place its first number: a hundred of them on one board.
    fn reserve(&self, request: &ReserveRequest<'_>) -> Result<Vec<u8>, HostError> {
        let &[size] = request.need else { return Err(HostError::BadImage { reason: "one byte".to_owned() }) };
        let taken: Vec<_> = request.taken.iter().map(|place| place[0]..place[0] + place[1]).collect();
        let free = |start: u8| (start..start + size).all(|unit| taken.iter().all(|range| !range.contains(&unit)));
        let start = (0..=100_u8.saturating_sub(size)).find(|start| size <= 100 && free(*start));
        let what = || HostError::NoRoom { reason: format!("the module needs {size}") };
        start.map(|start| vec![start, size]).ok_or_else(what)
    }

    fn boards(&self, taken: &[&[u8]]) -> Vec<Board> {
        let words = format!("{} places taken", taken.len());
        vec![Board { name: "desk".to_owned(), claims: vec![7], words, trouble: String::new() }]
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        let nothing = || HostError::NothingToAdopt { directory: directory.to_owned() };
        let instance = Arc::clone(lock(&self.instances).get(directory).ok_or_else(nothing)?);
        let mut state = lock(&instance);
        if state.reason.is_some() {
            return Err(nothing());
        }
        state.given = 0;
        state.ring();
        drop(state);
        Ok(Running::boxed(instance))
    }

    fn runner(&self, _arguments: &[std::ffi::OsString]) -> ExitCode {
        ExitCode::FAILURE
    }
}

impl Hosted for Running {
    fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn death_fd(&self) -> BorrowedFd<'_> {
        self.death.as_fd()
    }

    fn push(&mut self, call: u64, op: Op, input: &[u8]) -> Result<(), Full> {
        let mut state = lock(&self.instance);
        if state.outputs.len() + state.calls.len() >= state.room || state.reason.is_some() {
            return Err(Full);
        }
        state.calls.push_back((call, op, input.to_vec()));
        Ok(())
    }

    fn flush(&mut self) {
        lock(&self.instance).work();
    }

    fn pull(&mut self, limit: usize, sink: &mut dyn FnMut(Output<'_>)) -> Result<usize, HostError> {
        let mut state = lock(&self.instance);
        let waiting = state.outputs.len() - state.given;
        let taken = waiting.min(limit);
        if taken == waiting {
            let mut bytes = [0; 64];
            while rustix::io::read(&state.wake.0, &mut bytes).is_ok_and(|length| length > 0) {}
        }
        for (position, call, bytes) in state.outputs.iter().skip(state.given).take(taken) {
            sink(Output { position: *position, call: *call, bytes });
        }
        state.given += taken;
        Ok(taken)
    }

    fn release(&mut self, position: u64) {
        let mut state = lock(&self.instance);
        while state.outputs.front().is_some_and(|(end, ..)| *end <= position) {
            state.outputs.pop_front();
            state.given -= 1;
        }
    }

    fn death(&mut self) -> Option<Death> {
        lock(&self.instance).reason.clone().map(|reason| Death { reason })
    }

    fn end(&mut self) {
        lock(&self.instance).die("ended");
    }
}

/// A node with its folder.
pub struct Node {
    pub folder: tempfile::TempDir,
    pub config: Config,
    pub platform: Fake,
    pub handle: Option<veritee_node::Handle>,
    pub address: String,
    pub identity: [u8; 32],
    pub token: Option<veritee_node_client::Token>,
}

impl Node {
    pub fn start() -> Self {
        Self::configured(|_| {})
    }

    pub fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path().join("state"));
        config.listen = vec!["127.0.0.1:0".to_owned()];
        change(&mut config);
        let (identity, token) = veritee_node::init(&config).unwrap();
        let platform = Fake::default();
        let mut node =
            Self { folder, config, platform, handle: None, address: String::new(), identity, token: Some(token) };
        node.up();
        node
    }

    /// Starts the daemon, on the port that it had before.
    pub fn up(&mut self) {
        let handle = veritee_node::start(self.config.clone(), vec![Arc::new(self.platform.clone())]).unwrap();
        self.address = handle.address().to_string();
        self.config.listen = vec![self.address.clone()];
        self.handle = Some(handle);
    }

    pub fn kill(&mut self) {
        self.handle.take().unwrap().kill();
    }

    pub fn stop(&mut self) {
        self.handle.take().unwrap().stop();
    }

    pub async fn enrol(&mut self, owner: &Identity) -> Client {
        let token = self.token.take().unwrap_or_else(|| veritee_node::new_token(&self.config).unwrap());
        enrol(&self.address, self.identity, &token, &owner.public()).await.unwrap();
        self.client(owner).await
    }

    pub async fn client(&self, owner: &Identity) -> Client {
        Client::connect(&self.address, self.identity, owner).await.unwrap()
    }
}
