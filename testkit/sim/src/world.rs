//! Modules, connections, and everything that was ever emitted.

use crate::oracle::{Input, Oracle, Output, Stream, Wired};
use crate::{Choices, Summary};
use veritee_ciphers::AeadKey;
use veritee_conformance::desk::{HANDLE, open_session, take_apart};
use veritee_conformance::probe::{ADD, ASK, DOUBLE, RELAY, SUM};
use veritee_conformance::subjects::InProcess;
use veritee_conformance::{Subject, desk::Taken};
use veritee_ids::{ActivationId, CipherId, ConnectionId, FrameKind, Op, PortIndex, RowIndex, Status};
use veritee_module::Refusal;
use veritee_seal::{Aead, Nonce};
use veritee_session::keys::EpochRecord;
use veritee_session::{KeySource, OwnerRoot, OwnerSession};
use veritee_wire::layout::Frame;

/// Modules of a world.
pub const MODULES: usize = 3;

/// A module and the owner's session with it.
pub struct Node {
    pub(crate) subject: Box<dyn Subject>,
    pub(crate) session: OwnerSession,
    pub(crate) activation: ActivationId,
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Node({})", self.activation)
    }
}

/// A connection of the descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) from: (usize, PortIndex, RowIndex),
    pub(crate) to: (usize, PortIndex, RowIndex),
    pub(crate) cipher: CipherId,
    /// The owner's durable record of the newest epoch.
    pub(crate) record: Option<EpochRecord>,
    /// The activation whose sending end was given an epoch.
    pub(crate) sender_keyed: Option<ActivationId>,
}

impl Connection {
    pub(crate) fn requests(&self) -> bool {
        self.from.1 == ASK
    }

    /// The module and row where a frame of this connection enters.
    pub(crate) fn entrance(&self, backward: bool) -> (usize, RowIndex) {
        let end = if backward { self.from } else { self.to };
        (end.0, end.2)
    }
}

/// A frame that the attacker holds.
#[derive(Clone, Debug)]
pub struct Captured {
    pub(crate) connection: usize,
    pub(crate) backward: bool,
    pub(crate) frame: Vec<u8>,
    pub(crate) delivered: bool,
}

/// A deployment.
#[derive(Debug)]
pub struct World {
    pub(crate) choices: Choices,
    pub(crate) nodes: Vec<Node>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) captured: Vec<Captured>,
    pub(crate) root: OwnerRoot,
    /// The attacker's view.
    pub oracle: Oracle,
    /// Counts.
    pub summary: Summary,
    records: Vec<(EpochRecord, CipherId)>,
}

const WIRING: [(usize, PortIndex, usize, PortIndex); 6] =
    [(0, SUM, 1, ADD), (1, SUM, 2, ADD), (2, SUM, 0, ADD), (0, SUM, 2, ADD), (0, ASK, 1, RELAY), (1, ASK, 2, DOUBLE)];

impl World {
    /// The world of a seed, deployed by its owner.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let choices = Choices::new(seed);
        let connections = (0_u16..).zip(WIRING).map(|(number, (from, output, to, input))| Connection {
            id: ConnectionId(number + 1),
            from: (from, output, RowIndex(number)),
            to: (to, input, RowIndex(number)),
            cipher: CipherId::ALL[usize::from(number) % CipherId::ALL.len()],
            record: None,
            sender_keyed: None,
        });
        let mut world = Self {
            choices,
            nodes: Vec::new(),
            connections: connections.collect(),
            captured: Vec::new(),
            root: OwnerRoot::new([3; 32]),
            oracle: Oracle::default(),
            summary: Summary::default(),
            records: Vec::new(),
        };
        for module in 0..MODULES {
            let node = world.fresh_node(module);
            world.nodes.push(node);
        }
        world
    }

    /// A fresh activation with a session.
    pub(crate) fn fresh_node(&mut self, module: usize) -> Node {
        let mut subject: Box<dyn Subject> = Box::new(InProcess::new(None));
        let (activation, session) = open_session(&mut *subject, self.choices.bytes());
        self.oracle.starts(module);
        Node { subject, session, activation }
    }

    /// Opens another session with a module.
    pub(crate) fn reopen(&mut self, module: usize) {
        let challenge = self.choices.bytes();
        let node = &mut self.nodes[module];
        (_, node.session) = open_session(&mut *node.subject, challenge);
    }

    pub(crate) fn remember(&mut self, record: EpochRecord, cipher: CipherId) {
        self.records.push((record, cipher));
        self.summary.epochs += 1;
    }

    fn key(&self, header: &Frame) -> Option<(AeadKey, [u8; 16])> {
        let same = |record: &EpochRecord| record.connection == header.connection && record.epoch == header.epoch;
        let (record, cipher) = self.records.iter().find(|(record, _)| same(record))?;
        let secret = self.root.connection_key(record, header.direction());
        Some((AeadKey::of(*cipher, &secret), *secret.expose()))
    }

    /// The body of a frame that a module emitted or accepted, opened with the owner's keys.
    fn body(&self, frame: &[u8]) -> Option<(Frame, Vec<u8>, [u8; 16])> {
        let (header, body, tag) = Frame::split(frame).ok()?;
        let (key, secret) = self.key(&header)?;
        let mut body = body.to_vec();
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        key.open(nonce, &header.associated(HANDLE), &mut body, tag).ok()?;
        Some((header, body, secret))
    }

    /// Enters a frame at a row; the oracle sees what comes of it.
    pub(crate) fn deliver(&mut self, module: usize, row: RowIndex, frame: &[u8]) -> Status {
        let input = [&row.0.to_le_bytes(), frame].concat();
        let taken = take_apart(&self.nodes[module].subject.enter(Op::Event, &input));
        if taken.result.status != Status::Accepted {
            self.summary.repelled += 1;
            return taken.result.status;
        }
        self.summary.accepted += 1;
        let Ok((header, _, _)) = Frame::split(frame) else { return taken.result.status };
        let stream = stream_of(&header);
        self.oracle.accepts(stream, header.counter, frame);
        let Some((_, body, _)) = self.body(frame) else { return taken.result.status };
        let wired = self.connections.iter().find(|connection| connection.id == header.connection);
        let Some(wired) = wired else { return taken.result.status };
        let input = match header.kind {
            FrameKind::Event => Input::Event(wired.to.1, body),
            FrameKind::Request => Input::Request(wired.to.1, body),
            FrameKind::Reply => Input::Reply(wired.from.1, outcome_of(&body)),
        };
        self.judge(module, &input, &taken);
        taken.result.status
    }

    /// Enters something unauthenticated.
    pub(crate) fn enter(&mut self, module: usize, op: Op, port: PortIndex, argument: &[u8]) {
        let input = [&port.0.to_le_bytes(), argument].concat();
        let taken = take_apart(&self.nodes[module].subject.enter(op, &input));
        if taken.result.status == Status::Accepted {
            let input = match op {
                Op::Late => Input::Late(port),
                _ => Input::Entry(port, argument.to_vec()),
            };
            self.judge(module, &input, &taken);
        }
    }

    /// Lets the oracle compare what a module emitted with what its source emits.
    pub(crate) fn judge(&mut self, module: usize, input: &Input, taken: &Taken) {
        let outputs = self.capture(&taken.frames);
        let wired = Wired { sum: self.is_wired(module, SUM), ask: self.is_wired(module, ASK) };
        self.oracle.runs(module, input, &outputs, wired);
    }

    /// A port of which some connection has an epoch at this activation.
    fn is_wired(&self, module: usize, port: PortIndex) -> bool {
        let activation = Some(self.nodes[module].activation);
        let mut wired = self.connections.iter().filter(|wired| (wired.from.0, wired.from.1) == (module, port));
        wired.any(|wired| wired.sender_keyed == activation)
    }

    /// Takes what a module emitted into the attacker's hands; gives it in the words of the source.
    fn capture(&mut self, frames: &[Vec<u8>]) -> Vec<Output> {
        let mut outputs = Vec::new();
        let mut fanned: Option<Vec<u8>> = None;
        let mut seen = Vec::new();
        for frame in frames {
            self.summary.emitted += 1;
            let Some((header, body, secret)) = self.body(frame) else { continue };
            self.oracle.emits(stream_of(&header), header.counter, secret, frame);
            let Some(connection) = self.connections.iter().position(|wired| wired.id == header.connection) else {
                continue;
            };
            let backward = header.kind == FrameKind::Reply;
            self.captured.push(Captured { connection, backward, frame: frame.clone(), delivered: false });
            match header.kind {
                FrameKind::Event if fanned.as_ref() == Some(&body) && !seen.contains(&connection) => {
                    seen.push(connection);
                }
                FrameKind::Event => {
                    fanned = Some(body.clone());
                    seen = vec![connection];
                    outputs.push(Output::Event(SUM, body));
                }
                FrameKind::Request => outputs.push(Output::Request(ASK, body)),
                FrameKind::Reply => outputs.push(Output::Answer(answer_of(&body))),
            }
        }
        outputs
    }
}

fn stream_of(header: &Frame) -> Stream {
    Stream { connection: header.connection, epoch: header.epoch, direction: header.direction() }
}

fn outcome_of(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    match body.split_first_chunk::<2>() {
        Some(([0, 0], value)) => Ok(value.to_vec()),
        Some((code, _)) if *code != [1, 0] => Err(Refusal::Refused(u16::from_le_bytes(*code) - 2)),
        _ => Err(Refusal::Malformed),
    }
}

fn answer_of(body: &[u8]) -> Result<Vec<u8>, u16> {
    match outcome_of(body) {
        Ok(value) => Ok(value),
        Err(Refusal::Refused(code)) => Err(code),
        Err(_) => Err(u16::MAX),
    }
}
