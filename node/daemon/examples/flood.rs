//! How fast two daemons carry frames between modules that cost nothing: one way, and to and fro.
//!
//! `cargo run --release -p veritee-node --example flood [EVENTS] [durable] [lanes=N] [idle=N]`
#![expect(clippy::print_stdout, reason = "it is its own printer")]

use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use veritee_host::{Death, Full, HostError, Hosted, LoadRequest, Output, Platform};
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, Op, Status};
use veritee_node::Config;
use veritee_node_client::{Client, Identity, enrol};
use veritee_node_protocol::{ModuleName, Remote, Request, Response};
use veritee_wire::layout::{EntryResult, Frame};
use veritee_wire::output::FRAME;
use veritee_wire::{Layout, OutputWriter};

/// Shared with the measuring thread.
#[derive(Debug, Default)]
struct Meter {
    accepted: AtomicU64,
    disordered: AtomicU64,
    /// Times between an emission and the arrival of its answer, in nanoseconds.
    trips: Mutex<Vec<u64>>,
}

#[derive(Clone, Debug, Default)]
struct Lean {
    meter: Arc<Meter>,
}

/// What a module does, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Source,
    Sink,
    Ping,
    Pong,
}

struct Module {
    part: Part,
    meter: Arc<Meter>,
    results: VecDeque<(u64, bool)>,
    /// Frames that a source may still emit, and over how many connections.
    left: u64,
    lanes: u16,
    emitted: u64,
    next: Vec<u64>,
    position: u64,
    released: u64,
    sent_at: Instant,
    wake: (OwnedFd, OwnedFd),
    death: (OwnedFd, Option<OwnedFd>),
    rung: bool,
    scratch: Box<[u8; 256]>,
}

const RING_BYTES: u64 = 1 << 20;

impl Module {
    fn ring(&mut self) {
        if !core::mem::replace(&mut self.rung, true) {
            rustix::io::write(&self.wake.1, &[1]).expect("a pipe with room");
        }
    }

    fn output(&mut self, call: u64, frame: Option<(u16, u64)>, sink: &mut dyn FnMut(Output<'_>)) {
        let mut writer = OutputWriter::new(&mut self.scratch[..]).expect("room");
        if let Some((connection, counter)) = frame {
            let header = Frame {
                connection: ConnectionId(connection),
                kind: FrameKind::Event,
                epoch: Epoch(1),
                counter: Counter(counter),
            };
            header.encode(writer.record(FRAME, 96).expect("room")).expect("room");
        }
        let length = writer.finish(EntryResult { status: Status::Accepted, reserved: 0, value: 0 });
        self.position += length as u64;
        sink(Output { position: self.position, call, bytes: &self.scratch[..length] });
    }
}

impl Hosted for Module {
    fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.0.as_fd()
    }

    fn death_fd(&self) -> BorrowedFd<'_> {
        self.death.0.as_fd()
    }

    fn push(&mut self, call: u64, op: Op, input: &[u8]) -> Result<(), Full> {
        if self.results.len() >= 8192 {
            return Err(Full);
        }
        if op == Op::Entry {
            self.left += u64::from(u32::from_le_bytes(input[2..6].try_into().expect("a count")));
            self.lanes = u16::from_le_bytes([input[6], input[7]]);
            self.results.push_back((call, self.part == Part::Ping));
            self.sent_at = Instant::now();
            return Ok(());
        }
        let (header, _) = Frame::decode_front(&input[2..]).expect("a frame");
        let lane = usize::from(header.connection.0);
        if self.next.len() <= lane {
            self.next.resize(lane + 1, 0);
        }
        let disordered = u64::from(self.next[lane] != header.counter.0);
        self.next[lane] += 1;
        if disordered > 0 {
            self.meter.disordered.fetch_add(1, Ordering::Relaxed);
        }
        let mut emits = self.part == Part::Pong;
        if self.part == Part::Ping {
            let now = Instant::now();
            let trip = u64::try_from((now - self.sent_at).as_nanos()).unwrap_or(u64::MAX);
            self.meter.trips.lock().expect("not poisoned").push(trip);
            self.sent_at = now;
            self.left -= 1;
            emits = self.left > 0;
        }
        self.meter.accepted.fetch_add(1, Ordering::Relaxed);
        self.results.push_back((call, emits));
        Ok(())
    }

    fn flush(&mut self) {
        self.ring();
    }

    fn pull(&mut self, limit: usize, sink: &mut dyn FnMut(Output<'_>)) -> Result<usize, HostError> {
        if core::mem::take(&mut self.rung) {
            rustix::io::read(&self.wake.0, &mut [0; 8][..]).expect("it was rung");
        }
        let mut taken = 0;
        while taken < limit
            && let Some((call, emits)) = self.results.pop_front()
        {
            let frame = emits.then(|| {
                self.emitted += 1;
                (if self.part == Part::Ping { 1 } else { 2 }, self.emitted - 1)
            });
            self.output(call, frame, sink);
            taken += 1;
        }
        while taken < limit && self.part == Part::Source && self.left > 0 && self.position - self.released < RING_BYTES
        {
            let lane = u16::try_from(self.emitted % u64::from(self.lanes)).expect("below a u16");
            self.output(0, Some((1 + lane, self.emitted / u64::from(self.lanes))), sink);
            self.emitted += 1;
            self.left -= 1;
            taken += 1;
        }
        Ok(taken)
    }

    fn release(&mut self, position: u64) {
        self.released = position;
        if self.part == Part::Source && self.left > 0 {
            self.ring();
        }
    }

    fn death(&mut self) -> Option<Death> {
        Some(Death { reason: "ended".to_owned() })
    }

    fn end(&mut self) {
        self.death.1 = None;
    }
}

impl Platform for Lean {
    fn name(&self) -> &'static str {
        "lean"
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError> {
        let part = match request.label {
            "source" => Part::Source,
            "ping" => Part::Ping,
            "pong" => Part::Pong,
            _ => Part::Sink,
        };
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (wake, death) = (pipe_with(flags).expect("a pipe"), pipe_with(flags).expect("a pipe"));
        Ok(Box::new(Module {
            part,
            meter: Arc::clone(&self.meter),
            results: VecDeque::new(),
            left: 0,
            lanes: 1,
            emitted: 0,
            next: Vec::new(),
            position: 0,
            released: 0,
            sent_at: Instant::now(),
            wake,
            death: (death.0, Some(death.1)),
            rung: false,
            scratch: Box::new([0; 256]),
        }))
    }

    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError> {
        Err(HostError::NothingToAdopt { directory: directory.to_owned() })
    }

    fn runner(&self, _arguments: &[std::ffi::OsString]) -> ExitCode {
        ExitCode::FAILURE
    }
}

struct Node {
    _folder: tempfile::TempDir,
    handle: veritee_node::Handle,
    client: Client,
}

const APP: [u8; 16] = [1; 16];

fn name(module: &str) -> ModuleName {
    ModuleName { application: APP, module: module.to_owned() }
}

impl Node {
    async fn start(lean: &Lean, owner: &Identity, durable: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::new(folder.path().join("state"));
        config.listen = vec!["127.0.0.1:0".to_owned()];
        config.outbox.wait_for_disk = durable;
        let (identity, token) = veritee_node::init(&config).expect("a new node");
        let handle = veritee_node::start(config, vec![Arc::new(lean.clone())]).expect("a node");
        let address = handle.address().to_string();
        enrol(&address, identity, &token, &owner.public()).await.expect("enrolled");
        let client = Client::connect(&address, identity, owner).await.expect("connected");
        Self { _folder: folder, handle, client }
    }

    async fn call(&self, request: Request) -> Response {
        self.client.call(request).await.expect("done")
    }

    async fn load(&self, module: &str) {
        let platform = "lean".to_owned();
        self.call(Request::Load { name: name(module), platform, image: vec![1], restart: false }).await;
    }

    fn remote(&self) -> Remote {
        Remote::Node { address: self.handle.address().to_string(), identity: self.handle.identity() }
    }

    async fn route_out(&self, connection: u16, source: &str, target: &Node) {
        let (source, target) = (source.to_owned(), target.remote());
        self.call(Request::RouteOut { application: APP, connection, source, source_row: 0, target }).await;
    }

    async fn route_in(&self, connection: u16, target: &str, source: &Node) {
        let (target, source) = (target.to_owned(), source.remote());
        let (target_row, deadline_ms, port) = (0, 0, 0);
        self.call(Request::RouteIn { application: APP, connection, target, target_row, source, deadline_ms, port })
            .await;
    }

    async fn enter(&self, module: &str, count: u32, lanes: u16) {
        let mut input = vec![0, 0];
        input.extend(count.to_le_bytes());
        input.extend(lanes.to_le_bytes());
        self.call(Request::Enter { name: name(module), op: Op::Entry.code(), input }).await;
    }
}

/// Median of a kept TCP connection's echo of 96 bytes, in nanoseconds.
fn tcp_echo() -> u64 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let echo = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        tcp.set_nodelay(true).expect("no delay");
        let mut bytes = [0; 96];
        while tcp.read_exact(&mut bytes).is_ok() && tcp.write_all(&bytes).is_ok() {}
    });
    let mut tcp = std::net::TcpStream::connect(address).expect("a connection");
    tcp.set_nodelay(true).expect("no delay");
    let mut bytes = [0; 96];
    let mut trips: Vec<u64> = (0..20_000)
        .map(|_| {
            let start = Instant::now();
            tcp.write_all(&bytes).expect("written");
            tcp.read_exact(&mut bytes).expect("read");
            u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    drop(tcp);
    echo.join().expect("it ends");
    percentile(&mut trips, 50)
}

fn percentile(trips: &mut [u64], percent: usize) -> u64 {
    trips.sort_unstable();
    trips[trips.len() * percent / 100]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let events: u32 = arguments.iter().find_map(|word| word.parse().ok()).unwrap_or(2_000_000);
    let durable = arguments.iter().any(|word| word == "durable");
    let lanes: u16 = arguments.iter().find_map(|word| word.strip_prefix("lanes=")?.parse().ok()).unwrap_or(1);
    let idle: u16 = arguments.iter().find_map(|word| word.strip_prefix("idle=")?.parse().ok()).unwrap_or(0);
    let lean = Lean::default();
    let owner = Identity::generate().expect("randomness");
    let first = Node::start(&lean, &owner, durable).await;
    let second = Node::start(&lean, &owner, durable).await;
    for (node, modules) in [(&first, ["source", "ping"]), (&second, ["sink", "pong"])] {
        for module in modules {
            node.load(module).await;
        }
    }
    second.route_in(1, "pong", &first).await;
    first.route_in(2, "ping", &second).await;
    first.route_out(1, "ping", &second).await;
    second.route_out(2, "pong", &first).await;
    let resident = resident_bytes();
    let started = Instant::now();
    for connection in (0..idle).map(|number| 20_000 + number) {
        second.route_in(connection, "sink", &first).await;
        first.route_out(connection, "source", &second).await;
    }
    if idle > 0 {
        let bytes = (resident_bytes() - resident) / u64::from(idle);
        println!("{idle} idle connections in {:?}, {bytes} bytes each, both ends together", started.elapsed());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.enter("ping", 20_000, 1).await;
    while lean.meter.trips.lock().expect("not poisoned").len() < 20_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut trips = core::mem::take(&mut *lean.meter.trips.lock().expect("not poisoned"));
    let (p50, p99) = (percentile(&mut trips, 50), percentile(&mut trips, 99));
    let echo = tcp_echo();
    println!("round trip p50 {p50} ns, p99 {p99} ns; TCP echo {echo} ns; ratio {:.2}", p50 as f64 / echo as f64);

    first.call(Request::Unroute { application: APP, connection: 1 }).await;
    second.call(Request::Unroute { application: APP, connection: 1 }).await;
    first.call(Request::Unroute { application: APP, connection: 2 }).await;
    second.call(Request::Unroute { application: APP, connection: 2 }).await;
    let before = lean.meter.accepted.load(Ordering::Relaxed);
    for lane in 1..=lanes {
        second.route_in(lane, "sink", &first).await;
        first.route_out(lane, "source", &second).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    let cpu = cpu_seconds();
    first.enter("source", events, lanes).await;
    while lean.meter.accepted.load(Ordering::Relaxed) - before < u64::from(events) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let used = cpu_seconds() - cpu;
    println!(
        "one way {events} events on {lanes} connections in {seconds:.3} s: {:.0}/s, {:.0} ns of processor each, disordered {}",
        f64::from(events) / seconds,
        used * 1e9 / f64::from(events),
        lean.meter.disordered.load(Ordering::Relaxed)
    );
    let left = first.call(Request::Drain { application: APP, wait_ms: 5000 }).await;
    println!("{left:?}");
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number of pages") * 4096
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
