//! Random lives of a module: the C core and the Rust core must say and do the same.
//!
//! Both run the probe on a symmetric platform, under connections with the same keys and cipher, so that even the bytes of
//! frames must agree. Only what a session's keys go into differs, because the platforms derive them differently.

mod support;

use support::Random;
use veritee_c_core::{CModule, probe};
use veritee_conformance::desk::{Line, Taken};
use veritee_conformance::probe::{ADD, ASK, BURST, DOUBLE, RELAY, START, SUM};
use veritee_conformance::{Desk, subjects};
use veritee_ids::{
    CipherId, ConnectionId, ControlKind, ControlResult, Counter, Epoch, FrameKind, Op, OperationId, PortIndex,
    PriorEpoch, Role, RowIndex,
};
use veritee_session::{SealedRequest, Status};
use veritee_wire::layout::{EpochEnd, RequestName, SaveRequest, StateChunk};

const LIVES: u64 = 12;
const STEPS: u32 = 150;

const fn line(port: PortIndex, role: Role, row: u16) -> Line {
    let cipher = Some(CipherId::Spongent128);
    Line { row: RowIndex(row), connection: ConnectionId(100 + row), port, role, cipher }
}

/// Two rows of the output and two of a handler; the last line has the row of the first, under another connection.
const LINES: [Line; 8] = [
    line(ADD, Role::Receiver, 0),
    line(SUM, Role::Sender, 1),
    line(ASK, Role::Requester, 2),
    line(DOUBLE, Role::Handler, 3),
    line(RELAY, Role::Handler, 4),
    line(SUM, Role::Sender, 11),
    line(RELAY, Role::Handler, 6),
    Line { connection: ConnectionId(7), ..line(ADD, Role::Receiver, 0) },
];

/// One life, lived twice.
struct Twins {
    rust: Desk,
    c: Desk,
    random: Random,
    last: Option<(SealedRequest, SealedRequest)>,
}

/// What of a status both cores must agree on.
fn comparable(status: &Status, own_session: bool) -> String {
    let head = veritee_wire::layout::StatusHead {
        activation: veritee_ids::ActivationId([0; 16]),
        last_session: veritee_ids::SessionId([u8::from(own_session); 16]),
        // Pages of a board are smaller: the same status takes more requests.
        last_counter: Counter(0),
        rows: 0,
        ..status.head
    };
    format!("{head:?} {:?}", status.rows)
}

impl Twins {
    fn new(seed: u64) -> Self {
        let rust = Desk::start(subjects::symmetric());
        let c = Desk::start(&|| Box::new(CModule::new(probe())));
        Self { rust, c, random: Random::new(seed), last: None }
    }

    /// Enters both, and compares what they leave behind.
    fn enter(&mut self, does: impl Fn(&mut Desk) -> Taken) {
        let (rust, c) = (does(&mut self.rust), does(&mut self.c));
        assert_eq!(rust, c);
    }

    /// Asks both, and compares the answers.
    fn ask(&mut self, kind: ControlKind, body: &[u8]) {
        let requests = (self.rust.session.request_bytes(kind, body), self.c.session.request_bytes(kind, body));
        self.last = Some(requests);
        self.repeat();
    }

    fn ask_for<L: veritee_wire::Layout>(&mut self, kind: ControlKind, body: &L) {
        let mut bytes = vec![0; L::BYTES];
        body.encode(&mut bytes).expect("the buffer has the layout's length");
        self.ask(kind, &bytes);
    }

    /// Sends the last request, once more or for the first time.
    fn repeat(&mut self) {
        let Some((rust, c)) = &self.last else { return };
        let (rust, c) = (self.rust.send(rust), self.c.send(c));
        assert_eq!(rust, c);
    }

    fn compare_status(&mut self) {
        let statuses = [&mut self.rust, &mut self.c].map(|desk| {
            let status = desk.status();
            let own = status.head.last_session == desk.session.id();
            comparable(&status, own)
        });
        assert_eq!(statuses[0], statuses[1]);
        self.last = None;
    }

    fn set_key(&mut self) {
        let line = self.random.pick(&LINES);
        let known = self.rust.status().rows.into_iter().find(|row| row.row == line.row);
        self.c.status();
        let (epoch, next) = known.map_or((0, 0), |row| (row.epoch.0.max(row.pending_epoch.0), row.next.0));
        let prior = self.random.pick(PriorEpoch::ALL);
        let closing = (next + self.random.below(4)).saturating_sub(1);
        let epoch = (epoch + u32::try_from(self.random.below(3)).expect("below 3")).max(1);
        let mut set = line.set_key(epoch, prior, closing);
        match self.random.below(12) {
            0 => set.payload_type.0[0] ^= 1,
            1 => set.port = PortIndex(9),
            2 => set.row = RowIndex(12),
            3 => set.key[15] ^= 1,
            4 => set.role = Role::Sender,
            _ => {}
        }
        self.ask_for(ControlKind::SetKey, &set);
    }

    /// A frame that the module may be waiting for, or one beside it.
    fn frame(&mut self) {
        let line = self.random.pick(&LINES);
        let known = self.rust.status().rows.into_iter().find(|row| row.row == line.row);
        self.c.status();
        self.last = None;
        // The short form does not name the connection: a frame for another one in the same row means nothing here.
        if known.is_some_and(|row| row.connection != line.connection) {
            return;
        }
        let (epoch, next) = known.map_or((1, 0), |row| (row.epoch.0, row.next.0));
        let near = |random: &mut Random, number: u64| match random.below(8) {
            0 => number + 1,
            1 => number.saturating_sub(1),
            _ => number,
        };
        let epoch = u32::try_from(near(&mut self.random, u64::from(epoch))).expect("epochs are small");
        let counter = near(&mut self.random, next);
        let (kind, counter) = match line.role {
            Role::Receiver | Role::Sender => (FrameKind::Event, counter),
            Role::Handler => (FrameKind::Request, counter),
            Role::Requester => (FrameKind::Reply, counter.saturating_sub(1)),
        };
        let number = self.random.below(20).to_le_bytes();
        let code = self.random.pick(&[0_u8, 0, 0, 1, 2, 9]);
        let mut body = if kind == FrameKind::Reply { vec![code, 0] } else { Vec::new() };
        body.extend_from_slice(&number[..self.random.pick(&[4, 4, 4, 4, 4, 2, 6])]);
        let mut frame = line.seal(kind, epoch, counter, &body);
        if self.random.below(10) == 0 {
            let at = frame.len() - 1 - usize::try_from(self.random.below(16)).expect("below 16");
            frame[at] ^= 1;
        }
        self.enter(|desk| desk.frame(&line, &frame));
    }

    fn abort(&mut self) {
        let rows = self.rust.status().rows;
        self.c.status();
        let asking = rows.into_iter().find(|row| row.role == Role::Requester);
        let name =
            asking.map_or(RequestName { row: RowIndex(2), reserved: 0, epoch: Epoch(1), counter: Counter(0) }, |row| {
                let counter = Counter(row.next.0.saturating_sub(1 + self.random.below(8) / 7));
                RequestName { row: row.row, reserved: 0, epoch: row.epoch, counter }
            });
        self.ask_for(ControlKind::AbortRequest, &name);
    }

    fn operation(&mut self) {
        let kinds = [ControlKind::Freeze, ControlKind::Thaw, ControlKind::Thaw, ControlKind::Activate];
        let kind = self.random.pick(&kinds);
        let operation = OperationId([self.random.pick(&[5, 5, 5, 6, 0]); 16]);
        self.ask(kind, &operation.0);
    }

    fn state(&mut self) {
        let operation = OperationId([5; 16]);
        if self.random.below(2) == 0 {
            let offset = self.random.pick(&[0, 2, 4]);
            return self.ask_for(ControlKind::Save, &SaveRequest { operation, offset });
        }
        let (offset, bytes) = self.random.pick(&[(0_u32, 4_u16), (0, 2), (2, 2), (4, 2)]);
        let chunk = StateChunk { operation, offset, total: 4, length: bytes };
        let mut body = vec![0; 26];
        veritee_wire::Layout::encode(&chunk, &mut body).expect("26 bytes");
        body.resize(26 + usize::from(bytes), 9);
        self.ask(ControlKind::Restore, &body);
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..=6 => self.set_key(),
            7..=22 => self.frame(),
            23..=25 => {
                let (port, number) = (self.random.pick(&[START, BURST]), self.random.below(5));
                let number = u32::try_from(number).expect("below 5");
                self.enter(|desk| desk.entry(port, number));
            }
            26 | 27 => {
                let port = self.random.pick(&[ADD, SUM, PortIndex(9)]);
                self.enter(|desk| desk.enter(Op::Late, &port.0.to_le_bytes()));
            }
            28 => {
                let line = self.random.pick(&LINES);
                let kind = self.random.pick(&[ControlKind::CloseEpoch, ControlKind::Remove]);
                let [row, connection] = [line.row.0, line.connection.0].map(u16::to_le_bytes);
                self.ask(kind, &[row, connection].concat());
            }
            29 | 30 => self.operation(),
            31 | 32 => self.abort(),
            33 => self.state(),
            34 | 35 => self.repeat(),
            36 => {
                let challenge = [u8::try_from(self.random.below(200)).expect("below 200"); 16];
                self.rust.reopen(challenge);
                self.c.reopen(challenge);
                self.compare_status();
            }
            37 => {
                let length = usize::try_from(2 * self.random.below(20)).expect("below 40");
                let kind = self.random.pick(ControlKind::ALL);
                let seldom = matches!(kind, ControlKind::Disable | ControlKind::Status);
                // The core in C does not know them; the shared suite says what it makes of them.
                let rust_only = matches!(kind, ControlKind::Seal | ControlKind::Unseal);
                if (!seldom && !rust_only) || (kind == ControlKind::Disable && self.random.below(10) == 0) {
                    self.ask(kind, &vec![0; length]);
                }
            }
            _ => self.compare_status(),
        }
    }
}

#[test]
fn both_cores_say_and_do_the_same() {
    for seed in support::seeds(LIVES) {
        println!("VERITEE_SEED={seed}");
        let mut twins = Twins::new(seed);
        twins.ask(ControlKind::Activate, &[0; 16]);
        for line in LINES.iter().take(7) {
            let set = line.set_key(1, PriorEpoch::None, 0);
            if twins.random.below(4) > 0 {
                twins.ask_for(ControlKind::SetKey, &set);
            }
        }
        for _ in 0..STEPS {
            twins.step();
        }
        twins.compare_status();
    }
}

/// A life that does something is no accident: the random ones above would agree on nothing, too.
#[test]
fn the_lives_that_are_compared_are_lively() {
    let mut twins = Twins::new(0);
    twins.ask(ControlKind::Activate, &[0; 16]);
    for line in LINES.iter().take(7) {
        let ended = twins.rust.set_key(&line.set_key(1, PriorEpoch::None, 0));
        assert_eq!(ended, Ok(EpochEnd { epoch: Epoch(0), counter: Counter(0) }));
        assert_eq!(twins.c.set_key(&line.set_key(1, PriorEpoch::None, 0)), ended);
    }
    for _ in 0..400 {
        twins.step();
    }
    let accepted: u64 = twins.rust.status().rows.iter().map(|row| row.next.0 + 10 * u64::from(row.epoch.0)).sum();
    assert!(accepted > 20, "{accepted}");
    assert_ne!(twins.rust.name(ControlKind::Thaw, OperationId([1; 16])), ControlResult::Done);
}
