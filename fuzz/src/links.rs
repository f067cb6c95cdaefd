//! A router: its modules, its peers and its disk are not to be trusted.

use arbitrary::{Arbitrary, Unstructured};
use veritee_ids::Op;
use veritee_node_core::record::{put, put_front, records};
use veritee_node_core::{AppIndex, Limits, LinkIndex, ModuleIndex, Remote, RouteIn, RouteOut, Router, Time};

const US: [u8; 32] = [1; 32];
const PEER: [u8; 32] = [2; 32];
const OWNER: [u8; 32] = [3; 32];
const APPLICATION: [u8; 16] = [4; 16];
const NUMBER: u32 = 7;
/// Connections that go out to the peer, come in from it, and stay here.
const OUT: u16 = 5;
const INTO: u16 = 6;
const HERE: u16 = 8;
const STEPS_MAX: usize = 200;
const SEGMENT: u32 = 1;

/// What happens to a router.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Bytes of the peer, as they are.
    Bytes(&'a [u8]),
    /// A message of the peer with a front that is right.
    Message {
        kind: u8,
        channel: u8,
        body: &'a [u8],
    },
    /// The greeting and the binding that a peer must begin with.
    Greet {
        life: u8,
    },
    Bind {
        channel: u8,
        connection: u8,
    },
    /// The link breaks, and comes back.
    Link {
        up: bool,
        dialed: bool,
    },
    /// An output of a module.
    Output {
        target: bool,
        call: u8,
        bytes: &'a [u8],
    },
    /// A module takes its calls.
    Deliver {
        target: bool,
        limit: u8,
    },
    Module {
        target: bool,
        up: bool,
    },
    /// Time passes.
    Tick {
        millis: u16,
    },
    /// What goes to the peer and to the disk.
    Fill {
        bytes: u16,
    },
    Store {
        bytes: u16,
    },
    /// What a disk gives back after a crash.
    Replay {
        frame: &'a [u8],
    },
    Routes {
        set: bool,
    },
}

/// Drives a router.
///
/// # Panics
/// When a promise is broken.
pub fn links(data: &[u8]) {
    segment(data);
    let mut node = Node::new();
    let mut bytes = Unstructured::new(data);
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            return;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { return };
        node.step(&step);
    }
}

/// A segment of the outbox reads as what is written again to the same bytes.
fn segment(data: &[u8]) {
    let Ok(mut read) = records(data, SEGMENT) else { return };
    let mut again = Vec::new();
    put_front(&mut again, SEGMENT);
    for (application, frame) in read.by_ref() {
        put(&mut again, application, frame);
    }
    assert_eq!(again.len() + read.left(), data.len());
    assert_eq!(data[..again.len()], again);
}

struct Node {
    router: Router,
    app: AppIndex,
    modules: [ModuleIndex; 2],
    up: [bool; 2],
    link: Option<LinkIndex>,
    /// Bytes of the peer that are no whole message yet.
    arrived: Vec<u8>,
    now: u64,
    positions: [u64; 2],
}

impl Node {
    fn new() -> Self {
        let limits = Limits { owner_arrived_bytes_max: 64 << 10, ..Limits::default() };
        let mut router = Router::new(limits, US, [9; 16]);
        let owner = router.add_owner(OWNER);
        let app = router.add_application(owner, APPLICATION, NUMBER);
        let modules = ["source", "target"].map(|name| router.module(app, name));
        let mut node =
            Self { router, app, modules, up: [false; 2], link: None, arrived: Vec::new(), now: 0, positions: [0; 2] };
        node.routes(true);
        node.module(0, true);
        node.module(1, true);
        node.link(true, true);
        node
    }

    fn step(&mut self, step: &Step<'_>) {
        match *step {
            Step::Bytes(bytes) => self.input(bytes),
            Step::Message { kind, channel, body } => self.message(kind, u32::from(channel), body),
            Step::Greet { life } => self.message(1, 0, &[&[1, 0, 0, 0][..], &[life; 16]].concat()),
            Step::Bind { channel, connection } => {
                let connection = u16::from(connection).to_le_bytes();
                let body = [&OWNER[..], &APPLICATION, &connection].concat();
                self.message(2, u32::from(channel), &body);
            }
            Step::Link { up, dialed } => self.link(up, dialed),
            Step::Output { target, call, bytes } => self.output(usize::from(target), u64::from(call), bytes),
            Step::Deliver { target, limit } => self.deliver(usize::from(target), limit),
            Step::Module { target, up } => self.module(usize::from(target), up),
            Step::Tick { millis } => {
                self.now += u64::from(millis) * 1000;
                self.router.tick(Time(self.now));
            }
            Step::Fill { bytes } => self.fill(usize::from(bytes)),
            Step::Store { bytes } => self.store(usize::from(bytes)),
            Step::Replay { frame } => {
                self.router.replay(self.app, SEGMENT, frame);
            }
            Step::Routes { set } => self.routes(set),
        }
        while self.router.next_action().is_some() {}
        while self.router.take_release().is_some() {}
        self.link = self.link.filter(|link| self.router.has_link(*link));
    }

    fn routes(&mut self, set: bool) {
        let [source, target] = self.modules;
        let peer = || Remote::Node { identity: PEER, address: "peer:1".to_owned() };
        for connection in [OUT, INTO, HERE] {
            if !set {
                self.router.unroute(self.app, connection);
                continue;
            }
            if connection != INTO {
                let to = if connection == OUT { peer() } else { Remote::Here(target) };
                let route = RouteOut { source, source_row: connection, target: to };
                self.router.route_out(self.app, connection, route);
            }
            if connection != OUT {
                let from = if connection == INTO { peer() } else { Remote::Here(source) };
                let route = RouteIn { target, target_row: connection, source: from, deadline: 5000, port: 0 };
                self.router.route_in(Time(self.now), self.app, connection, route);
            }
        }
    }

    fn link(&mut self, up: bool, dialed: bool) {
        self.arrived.clear();
        if !up && let Some(link) = self.link.take() {
            self.router.link_down(Time(self.now), link);
        }
        if up && self.link.is_none() {
            self.link = self.router.link_up(&PEER, dialed);
        }
    }

    fn message(&mut self, kind: u8, channel: u32, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("inputs are short").to_le_bytes();
        let front = [&length[..3], &[kind], &channel.to_le_bytes()].concat();
        self.input(&[&front, body].concat());
    }

    fn input(&mut self, bytes: &[u8]) {
        let Some(link) = self.link else { return };
        self.arrived.extend_from_slice(bytes);
        match self.router.link_input(Time(self.now), link, &self.arrived) {
            Ok(taken) => {
                assert!(taken <= self.arrived.len());
                self.arrived.drain(..taken);
            }
            Err(_) => {
                assert!(!self.router.has_link(link), "the router forgets a link that is at fault");
                self.link = None;
                self.arrived.clear();
            }
        }
    }

    fn output(&mut self, module: usize, call: u64, bytes: &[u8]) {
        if !self.up[module] {
            return;
        }
        self.positions[module] += 1;
        let position = self.positions[module];
        if self.router.output(Time(self.now), self.modules[module], position, call, bytes).is_err() {
            self.module(module, false);
        }
    }

    fn deliver(&mut self, module: usize, limit: u8) {
        let mut left = limit;
        let mut push = |_: u64, _: Op, _: &[u8]| {
            let fits = left > 0;
            left = left.saturating_sub(1);
            fits
        };
        if self.up[module] {
            self.router.deliver(self.modules[module], &mut push);
        }
    }

    fn module(&mut self, module: usize, up: bool) {
        if up == self.up[module] {
            return;
        }
        self.up[module] = up;
        if up {
            self.router.module_up(self.modules[module], 0);
        } else {
            self.router.module_down(self.modules[module]);
        }
    }

    fn fill(&mut self, bytes_max: usize) {
        let mut out = Vec::new();
        if let Some(link) = self.link {
            self.router.fill_link(link, &mut out, bytes_max);
        }
    }

    fn store(&mut self, bytes_max: usize) {
        let mut bytes = Vec::new();
        if self.router.fill_store(Time(self.now), SEGMENT, &mut bytes, bytes_max) > 0 {
            self.router.stored(Time(self.now));
        }
    }
}
