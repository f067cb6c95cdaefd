//! The core of a module: the host enters it with whatever it likes; the owner and the peers know their keys.
//!
//! Random bytes never pass a tag, so some steps are sealed with the right keys: only so the code behind the tags is met.

use crate::tee::{FuzzTee, MODULE_KEY};
use arbitrary::{Arbitrary, Unstructured};
use std::collections::BTreeSet;
use veritee_conformance::desk::{APPLICATION, Line, Taken, owner, take_apart};
use veritee_conformance::probe::{ADD, ASK, DOUBLE, Probe, RELAY, ROWS, SUM, TOKENS};
use veritee_ids::{
    CipherId, ControlKind, ControlResult, Counter, Direction, Epoch, FrameKind, Op, OperationId, PriorEpoch, Role,
    Status,
};
use veritee_module::Module;
use veritee_seal::Secret;
use veritee_session::{Kdf, OwnerSession, Signer, Symmetric, agree};
use veritee_wire::Layout;
use veritee_wire::layout::{Frame, OperationName, RowName, Transcript};

const LINES: [Line; 5] = [
    Line::to(ADD, Role::Receiver),
    Line::to(SUM, Role::Sender),
    Line::to(ASK, Role::Requester),
    Line::to(DOUBLE, Role::Handler),
    Line::to(RELAY, Role::Handler),
];
/// The line of requests, in [`LINES`].
const ASK_LINE: u8 = 2;
const STEPS_MAX: usize = 200;
const OUTPUT_BYTES: usize = 64 * 1024;

/// What the module is entered with. Where a right number exists it is mostly taken, see [`near`].
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Anything at all, with as little room for the output as the host likes.
    Raw { op: u16, input: &'a [u8], room: u16 },
    /// The owner attests and opens a session, or loses interest in between.
    Open { challenge: u8, finish: bool },
    /// A request of the owner's with any body but a key.
    Control { kind: u8, body: [u8; 32], length: u8 },
    /// A request that was sent before.
    Repeat,
    /// The owner gives a key.
    SetKey { line: u8, epoch: u8, prior: u8, closing: u8 },
    /// The owner ends a row.
    Row { line: u8, remove: bool },
    /// A sealed frame of a peer, of the kind that the line takes.
    Frame { line: u8, epoch: u8, counter: u8, number: u32 },
    /// A sealed frame of any kind and body.
    Odd { line: u8, kind: u8, epoch: u8, counter: u8, body: [u8; 8], length: u8 },
    /// The reply to the last request that the module emitted.
    Answer { status: u8, number: u32 },
    /// An entry that is called by whoever the node knows.
    Entry { port: u8, number: u8 },
}

/// Runs a life of a module.
///
/// # Panics
/// When a promise is broken.
pub fn module(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    // Agreement is slow, so it is one of eight.
    let start: u8 = bytes.arbitrary().unwrap_or_default();
    let mut life = Life::new(start % 8 == 1);
    if !start.is_multiple_of(4) {
        life.deploy();
    }
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            return;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { return };
        life.step(&step);
    }
}

/// Connection, epoch, direction and number: what a nonce and its key are made of.
type Place = (u16, u32, u16, u64);

/// What a line's next frame should be.
#[derive(Clone, Copy, Default)]
struct Expected {
    epoch: u32,
    next: u64,
}

struct Life {
    module: Module<FuzzTee, Probe, ROWS, TOKENS, 4>,
    /// The module key, on a symmetric platform.
    key: Option<[u8; 16]>,
    session: Option<OwnerSession>,
    last_request: Vec<u8>,
    /// What was emitted and accepted: nothing twice.
    emitted: BTreeSet<Place>,
    accepted: BTreeSet<Place>,
    open_request: Option<Frame>,
    lines: [Expected; LINES.len()],
    halted: bool,
}

impl Life {
    fn new(agreement: bool) -> Self {
        Self {
            module: Module::new(FuzzTee::new(agreement)).expect("the fake TEE has entropy"),
            key: (!agreement).then_some(MODULE_KEY),
            session: None,
            last_request: Vec::new(),
            emitted: BTreeSet::new(),
            accepted: BTreeSet::new(),
            open_request: None,
            lines: [Expected::default(); LINES.len()],
            halted: false,
        }
    }

    /// As an owner does: opens a session, gives all keys, activates.
    fn deploy(&mut self) {
        self.open(1, true);
        for line in 0..=4 {
            self.set_key(line, 0, 2, 0);
        }
        self.control_layout(ControlKind::Activate, &OperationName { operation: OperationId([0; 16]) });
    }

    fn step(&mut self, step: &Step<'_>) {
        match *step {
            Step::Raw { op, input, room } => {
                self.enter_with(op, input, usize::from(room));
            }
            Step::Open { challenge, finish } => self.open(challenge, finish),
            Step::Control { kind, body, length } => {
                let kind = ControlKind::try_from(u16::from(kind)).unwrap_or(ControlKind::Status);
                if kind != ControlKind::SetKey {
                    self.control(kind, &body[..usize::from(length) % 33]);
                }
            }
            Step::Repeat => {
                let request = self.last_request.clone();
                self.enter(Op::Control, &request);
            }
            Step::SetKey { line, epoch, prior, closing } => self.set_key(line, epoch, prior, closing),
            Step::Row { line, remove } => {
                let line = pick(line);
                let kind = if remove { ControlKind::Remove } else { ControlKind::CloseEpoch };
                self.control_layout(kind, &RowName { row: line.row, connection: line.connection });
            }
            Step::Frame { line, epoch, counter, number } => {
                let kind = if pick(line).role == Role::Handler { FrameKind::Request } else { FrameKind::Event };
                let place = self.near(line, epoch, counter);
                self.frame(line, kind, place, &number.to_le_bytes());
            }
            Step::Odd { line, kind, epoch, counter, body, length } => {
                let kind = FrameKind::try_from(u16::from(kind % 4)).unwrap_or(FrameKind::Event);
                let place = self.near(line, epoch, counter);
                self.frame(line, kind, place, &padded(&body[..usize::from(length) % 9]));
            }
            Step::Answer { status, number } => self.answer(status, number),
            Step::Entry { port, number } => {
                let port = u16::from(port % 8).to_le_bytes();
                self.enter(Op::Entry, &[&port[..], &u32::from(number).to_le_bytes()].concat());
            }
        }
    }

    /// Epoch and counter that the line expects, or others.
    fn near(&self, line: u8, epoch: u8, counter: u8) -> (u32, u64) {
        let state = self.lines[index(line)];
        let epoch = u64::from(state.epoch).wrapping_add_signed(near(epoch));
        (u32::try_from(epoch).unwrap_or(0), state.next.wrapping_add_signed(near(counter)))
    }

    fn set_key(&mut self, line: u8, epoch: u8, prior: u8, closing: u8) {
        let state = self.lines[index(line)];
        let epoch = (i64::from(state.epoch) + 1).wrapping_add(near(epoch));
        let epoch = u32::try_from(epoch).unwrap_or(0);
        let prior = [PriorEpoch::Abandon, PriorEpoch::CloseAt, PriorEpoch::None][usize::from(prior % 3)];
        let closing = state.next.wrapping_add_signed(near(closing));
        if self.control_layout(ControlKind::SetKey, &pick(line).set_key(epoch, prior, closing)) {
            self.lines[index(line)] = Expected { epoch, next: 0 };
        }
    }

    fn answer(&mut self, status: u8, number: u32) {
        let Some(request) = self.open_request else { return };
        let status = u16::from(status % 4).to_le_bytes();
        let body = [&status[..], &number.to_le_bytes()].concat();
        self.frame(ASK_LINE, FrameKind::Reply, (request.epoch.0, request.counter.0), &body);
    }

    fn enter(&mut self, op: Op, input: &[u8]) -> Taken {
        self.enter_with(op.code(), input, OUTPUT_BYTES).expect("there is room for a result")
    }

    /// Enters, and judges the output; `None` when there was not even room for a result.
    fn enter_with(&mut self, op: u16, input: &[u8], room: usize) -> Option<Taken> {
        let mut output = vec![0; room];
        let mut input = input.to_vec();
        if op == Op::Entry.code() {
            // The probe emits as often as its caller says: a loop of its author's, which would only cost time here.
            input.iter_mut().take(6).skip(3).for_each(|byte| *byte = 0);
        }
        let length = self.module.enter(op, &mut input, &mut output);
        let output = output.get(..length).expect("the output lies in its room");
        if output.is_empty() {
            return None;
        }
        let taken = take_apart(output);
        assert!(!self.halted || taken.result.status == Status::Halted, "a halted module lives again");
        self.halted = taken.result.status == Status::Halted;
        let silent = taken.reply.is_empty() && taken.frames.is_empty();
        assert!(taken.result.status == Status::Accepted || silent, "a refusal leaves something behind");
        for frame in &taken.frames {
            let (header, body, _) = Frame::split(frame).expect("modules emit frames");
            assert!(body.len() <= veritee_ids::limits::PAYLOAD_BYTES_MAX + 2);
            assert!(self.emitted.insert(place(&header)), "a nonce is used twice: {header:?}");
            if header.kind == FrameKind::Request {
                self.open_request = Some(header);
            }
        }
        Some(taken)
    }

    fn open(&mut self, challenge: u8, finish: bool) {
        let taken = self.enter(Op::Attest, &[challenge; 16]);
        if !finish || taken.result.status != Status::Accepted {
            return;
        }
        if let Some(key) = self.key {
            let transcript = taken.reply.get(..Transcript::BYTES).expect("a transcript");
            let known = Symmetric::new(Kdf::HkdfSha256, &Secret::new(key), transcript).expect("a sound statement");
            self.session = Some(known.session(CipherId::Aes128Gcm));
            return;
        }
        let owner = owner();
        let signer = Signer::Owner(&owner);
        let opened = agree(&taken.reply, APPLICATION, &signer, [challenge; 32], CipherId::Aes128Gcm);
        let (input, session) = opened.expect("a sound statement");
        if self.enter(Op::Open, &input).result.status == Status::Accepted {
            self.session = Some(session);
        }
    }

    /// Whether the module did what was asked.
    fn control_layout<L: Layout>(&mut self, kind: ControlKind, body: &L) -> bool {
        let mut bytes = vec![0; L::BYTES];
        body.encode(&mut bytes).expect("the buffer has the layout's length");
        self.control(kind, &bytes)
    }

    fn control(&mut self, kind: ControlKind, body: &[u8]) -> bool {
        let Some(mut session) = self.session.take() else { return false };
        let request = session.request_bytes(kind, body);
        self.last_request.clone_from(&request.bytes);
        let taken = self.enter(Op::Control, &request.bytes);
        let accepted = taken.result.status == Status::Accepted;
        let answer = accepted.then(|| session.answer(&request, &taken.reply).expect("an authentic answer"));
        self.session = Some(session);
        answer.is_some_and(|answer| answer.result == ControlResult::Done)
    }

    fn frame(&mut self, number: u8, kind: FrameKind, (epoch, counter): (u32, u64), body: &[u8]) {
        let line = pick(number);
        let frame = line.seal(kind, epoch, counter, body);
        let taken = self.enter(Op::Event, &[&line.row.0.to_le_bytes(), &frame[..]].concat());
        if taken.result.status != Status::Accepted {
            return;
        }
        let (connection, epoch, counter) = (line.connection, Epoch(epoch), Counter(counter));
        let header = Frame { connection, kind, epoch, counter };
        assert!(self.accepted.insert(place(&header)), "a frame is accepted twice: {header:?}");
        if kind != FrameKind::Reply {
            self.lines[index(number)].next = counter.0.wrapping_add(1);
        }
    }
}

fn place(header: &Frame) -> Place {
    let backward = u16::from(header.direction() == Direction::Backward);
    (header.connection.0, header.epoch.0, backward, header.counter.0)
}

fn index(line: u8) -> usize {
    usize::from(line) % LINES.len()
}

fn pick(line: u8) -> Line {
    LINES[index(line)]
}

/// Mostly the right number, often one beside it, seldom any.
fn near(byte: u8) -> i64 {
    match byte % 16 {
        0..=8 => 0,
        9..=10 => -1,
        11 => -2,
        12..=13 => 1,
        _ => i64::from(byte) - 128,
    }
}

/// A body of the length that a sealed one has.
fn padded(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(2).max(2), 0);
    body
}
