//! The guarantee, executable.

use std::collections::{HashMap, HashSet};
use veritee_conformance::probe::Probe;
use veritee_ids::{ConnectionId, Counter, Direction, Epoch, PortIndex};
use veritee_module::{Call, Program, Refusal, ReplyToken, Wires};

/// One direction of one epoch of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stream {
    /// The connection.
    pub connection: ConnectionId,
    /// The epoch.
    pub epoch: Epoch,
    /// Along or against it.
    pub direction: Direction,
}

/// What enters a module, in the words of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// An event of an input.
    Event(PortIndex, Vec<u8>),
    /// A request of a handler.
    Request(PortIndex, Vec<u8>),
    /// The outcome of the open request.
    Reply(PortIndex, Result<Vec<u8>, Refusal>),
    /// A user entry: unauthenticated.
    Entry(PortIndex, Vec<u8>),
    /// A deadline: unauthenticated.
    Late(PortIndex),
}

/// What a module emits, in the words of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// An event on an output.
    Event(PortIndex, Vec<u8>),
    /// A request.
    Request(PortIndex, Vec<u8>),
    /// An answer to a request.
    Answer(Result<Vec<u8>, u16>),
}

/// The source of one activation, running beside the module.
#[derive(Debug, Default)]
struct Source {
    program: Probe,
    generation: u32,
}

/// Which ports of a module have a connection with an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wired {
    /// The output.
    pub sum: bool,
    /// The request.
    pub ask: bool,
}

/// The wires of the source: what it emits where somebody can see it.
struct Record {
    outputs: Vec<Output>,
    wired: Wired,
}

impl Wires for Record {
    fn emit(&mut self, port: PortIndex, payload: &[u8]) {
        if self.wired.sum {
            self.outputs.push(Output::Event(port, payload.to_vec()));
        }
    }

    fn request(&mut self, port: PortIndex, payload: &[u8]) -> bool {
        if self.wired.ask {
            self.outputs.push(Output::Request(port, payload.to_vec()));
        }
        self.wired.ask
    }

    fn answer(&mut self, _: ReplyToken, outcome: Result<&[u8], u16>) {
        self.outputs.push(Output::Answer(outcome.map(<[u8]>::to_vec)));
    }

    fn respond(&mut self, _: &[u8]) {}
}

/// Judges a run.
#[derive(Debug, Default)]
pub struct Oracle {
    emitted: HashMap<Stream, Vec<(Counter, Vec<u8>)>>,
    accepted: HashMap<Stream, Vec<Counter>>,
    used: HashSet<([u8; 16], u16, u64)>,
    sources: HashMap<usize, Source>,
    broken: Option<String>,
}

impl Oracle {
    /// What is broken, if anything is.
    #[must_use]
    pub const fn broken(&self) -> Option<&String> {
        self.broken.as_ref()
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// A module begins an activation.
    pub fn starts(&mut self, module: usize) {
        self.sources.insert(module, Source::default());
    }

    /// A frame was sealed under a key.
    pub fn emits(&mut self, stream: Stream, counter: Counter, key: [u8; 16], frame: &[u8]) {
        let fresh = self.used.insert((key, stream.direction.code(), counter.0));
        self.require(fresh, || format!("key and counter {counter} of {stream:?} were used twice"));
        self.emitted.entry(stream).or_default().push((counter, frame.to_vec()));
    }

    /// A frame was accepted.
    pub fn accepts(&mut self, stream: Stream, counter: Counter, frame: &[u8]) {
        let was_emitted = self
            .emitted
            .get(&stream)
            .is_some_and(|frames| frames.iter().any(|(number, bytes)| *number == counter && bytes == frame));
        self.require(was_emitted, || format!("{counter} of {stream:?} was accepted, but never emitted"));
        let accepted = self.accepted.entry(stream).or_default();
        let expected = accepted.last().map_or(Counter(0), |last| Counter(last.0 + 1));
        let again = accepted.contains(&counter);
        accepted.push(counter);
        // Replies answer requests: they come in any order of tokens, but each once.
        let in_order = stream.direction == Direction::Backward || counter == expected;
        self.require(in_order && !again, || format!("{stream:?} accepted {counter}, expected {expected}"));
    }

    /// A module took an input and emitted `outputs`: its source must do the same.
    pub fn runs(&mut self, module: usize, input: &Input, outputs: &[Output], wired: Wired) {
        let Some(source) = self.sources.get_mut(&module) else {
            return self.require(false, || format!("module {module} runs without an activation"));
        };
        let mut record = Record { outputs: Vec::new(), wired };
        source.run(input, &mut record);
        let expected = record.outputs;
        self.require(allows(&expected, outputs), || {
            format!("module {module} on {input:?} emitted {outputs:?}; its source emits {expected:?}")
        });
    }
}

/// The source's outputs, in order; an answer may be missing, because its epoch was abandoned meanwhile.
fn allows(expected: &[Output], outputs: &[Output]) -> bool {
    let mut outputs = outputs.iter().peekable();
    for expected in expected {
        if outputs.peek() == Some(&expected) {
            outputs.next();
        } else if !matches!(expected, Output::Answer(_)) {
            return false;
        }
    }
    outputs.next().is_none()
}

impl Source {
    fn run(&mut self, input: &Input, record: &mut Record) {
        self.generation += 1;
        let token = ReplyToken { slot: 0, generation: self.generation };
        let (port, call) = match input {
            Input::Event(port, payload) => (port, Call::Input(payload)),
            Input::Request(port, payload) => (port, Call::Request(payload, token)),
            Input::Reply(port, outcome) => (port, Call::Reply(outcome.as_deref().map_err(|refusal| *refusal))),
            Input::Entry(port, arguments) => (port, Call::Entry(arguments)),
            Input::Late(port) => (port, Call::Late),
        };
        let ran = self.program.run(*port, call, record);
        debug_assert!(ran.is_ok(), "the simulator enters only payloads that decode");
    }
}
