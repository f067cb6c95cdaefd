//! Modules in plain `cargo test`: a [`Harness`] holds one, feeds it and shows what it emits.
//!
//! It keeps the rules of a node and of the core (one open request, `busy` meanwhile, a table of tokens, padded bodies,
//! events that do not decode), without keys and without processes. What it cannot show is what the network does: order,
//! loss and replay never reach a module's code.
//!
//! ```
//! # mod lamp {
//! # use veritee::Payload;
//! #[derive(Payload, PartialEq, Debug)]
//! pub struct Press { pub times: u8 }
//! #[derive(Payload, PartialEq, Debug)]
//! pub struct Light { pub on: bool }
//!
//! #[derive(Default)]
//! pub struct Lamp { on: bool }
//!
//! #[veritee::module]
//! impl Lamp {
//!     #[output]
//!     fn light(state: Light);
//!
//!     #[input]
//!     fn pressed(&mut self, mut io: Io<'_>, press: Press) {
//!         self.on ^= press.times % 2 == 1;
//!         io.light(&Light { on: self.on });
//!     }
//! }
//! # }
//! # use lamp::{Lamp, Light, Press};
//! use veritee_harness::{Entered, Harness};
//!
//! let mut lamp = Harness::<Lamp>::new();
//! lamp.send("pressed", &Press { times: 1 });
//! assert_eq!(lamp.emitted::<Light>("light"), [Light { on: true }]);
//!
//! // An authentic event that does not decode is accepted, counted, and runs nothing.
//! assert_eq!(lamp.offer_bytes("pressed", &[1, 0, 0, 0]), Entered::Malformed);
//! assert!(lamp.is_quiet());
//! ```

mod recorder;

use recorder::Recorder;
use std::collections::BTreeSet;
use veritee::{Message, decode};
use veritee_ids::{PortIndex, PortKind};
use veritee_module::{Call, Program, Refusal, ReplyToken};
use veritee_wire::Malformed;
use veritee_wire::ports::{FLAG_LATE, PortInfo};

/// Reply tokens of a module that asks for no other number.
const TOKENS: usize = 4;

/// What an entry into the module came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// The function ran.
    Accepted,
    /// The bytes did not decode: nothing ran. An event is accepted all the same; a request is answered as malformed.
    Malformed,
    /// A request is open, or no token is free: nothing ran, a node tries again.
    Busy,
    /// `late` was entered before, and no event was accepted since: nothing ran.
    Duplicate,
}

/// A request that entered a handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u32);

/// A module between scripted wires. All outputs and requests are connected at first.
///
/// # Panics
/// Its functions panic, and so fail the test, when a port does not exist, is of another kind or carries another type, and
/// when the module does what would halt it on a node: emitting more than a port's `emits`.
#[derive(Debug)]
pub struct Harness<P> {
    program: P,
    wires: Recorder,
    /// Ports on which `late` was entered since the last event.
    late: BTreeSet<u16>,
    malformed: u64,
}

impl<P: Program> Default for Harness<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Program> Harness<P> {
    /// A module in its initial state.
    #[must_use]
    pub fn new() -> Self {
        Self { program: P::start(), wires: Recorder::new(P::PORTS, TOKENS), late: BTreeSet::new(), malformed: 0 }
    }

    /// A module with `tokens = N` in its attribute.
    #[must_use]
    pub fn with_tokens(mut self, tokens: usize) -> Self {
        self.wires = Recorder::new(P::PORTS, tokens);
        self
    }

    /// The module's state.
    pub const fn program(&self) -> &P {
        &self.program
    }

    /// The module's state, to set a scene.
    pub const fn program_mut(&mut self) -> &mut P {
        &mut self.program
    }

    /// Lets an event enter an input.
    ///
    /// # Panics
    /// When the module is busy.
    #[track_caller]
    pub fn send<T: Message>(&mut self, input: &str, payload: &T) {
        let (port, _) = typed::<P, T>(input, &[PortKind::Input]);
        accepted(payload.give(|bytes| self.enter_port(port, bytes)), input);
    }

    /// Lets a request enter a handler; [`answer`](Self::answer) shows what comes of it.
    ///
    /// # Panics
    /// When the module is busy.
    #[track_caller]
    pub fn ask<T: Message>(&mut self, handler: &str, payload: &T) -> Ticket {
        let (port, _) = typed::<P, T>(handler, &[PortKind::Handler]);
        accepted(payload.give(|bytes| self.enter_port(port, bytes)), handler);
        Ticket(self.wires.last_ticket)
    }

    /// What a request was answered with; `None` as long as the module keeps its token.
    ///
    /// # Panics
    /// When the answer is not an `A`.
    #[track_caller]
    pub fn answer<A: Message>(&mut self, ticket: Ticket) -> Option<Result<A, Refusal>> {
        let answer = self.wires.answers.remove(&ticket.0)?;
        Some(answer.map(|bytes| decode(&bytes).expect("the handler answers with another type")))
    }

    /// Lets a request enter a handler that answers at once.
    ///
    /// # Errors
    /// The handler's refusal.
    ///
    /// # Panics
    /// When the module is busy, or keeps the token.
    #[track_caller]
    pub fn call<T: Message, A: Message>(&mut self, handler: &str, payload: &T) -> Result<A, Refusal> {
        let ticket = self.ask(handler, payload);
        self.answer(ticket).expect("the handler did not answer at once: use `ask` and `answer`")
    }

    /// Calls an entry.
    ///
    /// # Panics
    /// When the module is busy.
    #[track_caller]
    pub fn enter<T: Message>(&mut self, entry: &str, arguments: &T) {
        let (port, _) = typed::<P, T>(entry, &[PortKind::Entry]);
        accepted(arguments.give(|bytes| self.enter_port(port, bytes)), entry);
    }

    /// Calls an entry and reads its response.
    ///
    /// # Panics
    /// When the module is busy, or its response is not an `R`.
    #[track_caller]
    pub fn enter_for<T: Message, R: Message>(&mut self, entry: &str, arguments: &T) -> R {
        self.enter(entry, arguments);
        let response = self.wires.response.take().unwrap_or_default();
        decode(&response).expect("the entry responds with another type")
    }

    /// Offers a payload to an input, handler or entry, and tells what became of it.
    #[track_caller]
    pub fn offer<T: Message>(&mut self, port: &str, payload: &T) -> Entered {
        let (port, _) = typed::<P, T>(port, &[PortKind::Input, PortKind::Handler, PortKind::Entry]);
        payload.give(|bytes| self.enter_port(port, bytes))
    }

    /// Offers bytes, however wrong, to an input, handler or entry; those of events are padded to an even length.
    #[track_caller]
    pub fn offer_bytes(&mut self, port: &str, bytes: &[u8]) -> Entered {
        let (port, _) = find::<P>(port, &[PortKind::Input, PortKind::Handler, PortKind::Entry]);
        self.enter_port(port, bytes)
    }

    /// Says that the deadline of an input or handler passed.
    ///
    /// # Panics
    /// When the port has no `#[late]`.
    #[track_caller]
    pub fn late(&mut self, port: &str) -> Entered {
        let (index, info) = find::<P>(port, &[PortKind::Input, PortKind::Handler]);
        assert!(info.flags & FLAG_LATE != 0, "`{port}` has no `#[late({port})]`");
        if self.wires.open.is_some() {
            return Entered::Busy;
        }
        if !self.late.insert(index.0) {
            return Entered::Duplicate;
        }
        self.wires.begin();
        let late = self.program.run(index, Call::Late, &mut self.wires);
        debug_assert!(late.is_ok(), "`late` has nothing to decode");
        Entered::Accepted
    }

    /// Takes what was emitted on an output since the last look, oldest first.
    ///
    /// # Panics
    /// When the output carries another type.
    #[track_caller]
    pub fn emitted<T: Message>(&mut self, output: &str) -> Vec<T> {
        let (port, _) = typed::<P, T>(output, &[PortKind::Output]);
        let bodies = self.wires.take_emitted(port);
        bodies.iter().map(|body| decode(body).expect("the port table holds the type")).collect()
    }

    /// Nothing was emitted since the last look, and no request is open.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.wires.emitted.is_empty() && self.wires.open.is_none()
    }

    /// The open request, if it was emitted on this port.
    ///
    /// # Panics
    /// When the port carries another type.
    #[track_caller]
    pub fn requested<T: Message>(&self, request: &str) -> Option<T> {
        let (port, _) = typed::<P, T>(request, &[PortKind::Request]);
        let (open, body) = self.wires.open.as_ref()?;
        (*open == port).then(|| decode(body).expect("the port table holds the type"))
    }

    /// Answers the open request.
    ///
    /// # Panics
    /// When no request is open, or its answer has another type.
    #[track_caller]
    pub fn reply<A: Message>(&mut self, answer: &A) {
        let (port, _) = self.wires.open.as_ref().expect("no request is open");
        let info = &P::PORTS[usize::from(port.0)];
        assert!(info.reply_type == A::HASH, "`{}` is answered by {}, not {}", info.name, info.reply_name, A::NAME);
        answer.give(|bytes| self.reply_bytes(bytes));
    }

    /// Answers the open request with bytes, however wrong: those that do not decode enter as [`Refusal::Malformed`].
    ///
    /// # Panics
    /// When no request is open.
    #[track_caller]
    pub fn reply_bytes(&mut self, answer: &[u8]) {
        self.resume(Ok(answer));
    }

    /// Refuses or aborts the open request.
    ///
    /// # Panics
    /// When no request is open.
    #[track_caller]
    pub fn refuse(&mut self, refusal: Refusal) {
        self.resume(Err(refusal));
    }

    /// Cuts an output or request off: emissions go nowhere, requests come back at once.
    #[track_caller]
    pub fn disconnect(&mut self, port: &str) {
        let (port, _) = find::<P>(port, &[PortKind::Output, PortKind::Request]);
        self.wires.cut.insert(port.0);
    }

    /// Connects an output or request again.
    #[track_caller]
    pub fn connect(&mut self, port: &str) {
        let (port, _) = find::<P>(port, &[PortKind::Output, PortKind::Request]);
        self.wires.cut.remove(&port.0);
    }

    /// How often something entered that did not decode.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// How many events were emitted on outputs without a connection.
    #[must_use]
    pub const fn unconnected(&self) -> u64 {
        self.wires.unconnected
    }

    /// The state of a `movable` module, as an update saves it.
    ///
    /// # Panics
    /// When the module is not at rest: a request is open or a token is held.
    #[must_use]
    #[track_caller]
    pub fn save(&self) -> Vec<u8> {
        assert!(self.wires.is_at_rest(), "a module is saved only at rest: a request is open or a token is held");
        let mut state = vec![0; P::STATE_BYTES];
        self.program.save(&mut state);
        state
    }

    /// A module that takes over a saved state.
    ///
    /// # Errors
    /// [`Malformed`] when it is not one.
    pub fn restored(state: &[u8]) -> Result<Self, Malformed> {
        let mut harness = Self::new();
        harness.program.restore(state)?;
        Ok(harness)
    }

    fn enter_port(&mut self, port: PortIndex, bytes: &[u8]) -> Entered {
        let kind = P::PORTS[usize::from(port.0)].kind;
        let token = if kind == PortKind::Handler { self.wires.free_token() } else { None };
        if self.wires.open.is_some() || (kind == PortKind::Handler && token.is_none()) {
            return Entered::Busy;
        }
        self.wires.begin();
        self.late.remove(&port.0);
        let body = padded(bytes, 2);
        let entered = match (kind, token) {
            (PortKind::Handler, Some(slot)) => self.handle(port, &body, slot),
            (PortKind::Entry, _) => self.program.run(port, Call::Entry(bytes), &mut self.wires),
            _ => self.program.run(port, Call::Input(&body), &mut self.wires),
        };
        self.malformed += u64::from(entered.is_err());
        if entered.is_ok() { Entered::Accepted } else { Entered::Malformed }
    }

    /// Issues a token; a request that does not decode is answered as such.
    fn handle(&mut self, port: PortIndex, body: &[u8], slot: u16) -> Result<(), Malformed> {
        let ticket = self.wires.issue(slot);
        let token = ReplyToken { slot, generation: ticket };
        let handled = self.program.run(port, Call::Request(body, token), &mut self.wires);
        if handled.is_err() {
            self.wires.settle(slot, ticket, Err(Refusal::Malformed));
        }
        handled
    }

    #[track_caller]
    fn resume(&mut self, outcome: Result<&[u8], Refusal>) {
        let (port, _) = self.wires.open.take().expect("no request is open");
        self.wires.begin();
        let body = outcome.map(|bytes| padded(bytes, 0));
        let outcome = body.as_deref().map_err(|refusal| *refusal);
        if self.program.run(port, Call::Reply(outcome), &mut self.wires).is_err() {
            self.malformed += 1;
            let again = self.program.run(port, Call::Reply(Err(Refusal::Malformed)), &mut self.wires);
            assert!(again.is_ok(), "a refusal always enters");
        }
    }
}

/// A body as it comes off a wire: padded with a zero to an even length of at least `least`.
fn padded(bytes: &[u8], least: usize) -> Vec<u8> {
    let mut body = bytes.to_vec();
    body.resize(bytes.len().next_multiple_of(2).max(least), 0);
    body
}

#[track_caller]
fn accepted(entered: Entered, port: &str) {
    assert!(entered == Entered::Accepted, "`{port}` was not accepted: {entered:?}");
}

/// Finds a port by name.
#[track_caller]
fn find<P: Program>(name: &str, kinds: &[PortKind]) -> (PortIndex, &'static PortInfo) {
    let found = P::PORTS.iter().position(|port| port.name == name && kinds.contains(&port.kind));
    let found = found.and_then(|index| Some((PortIndex(u16::try_from(index).ok()?), &P::PORTS[index])));
    found.unwrap_or_else(|| {
        let fitting = P::PORTS.iter().filter(|port| kinds.contains(&port.kind));
        let names: Vec<&str> = fitting.map(|port| port.name).collect();
        let wanted: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        panic!("there is no {} `{name}` in this module; there are: {}", wanted.join(" or "), names.join(", "))
    })
}

/// Finds a port by name and checks its payload type.
#[track_caller]
fn typed<P: Program, T: Message>(name: &str, kinds: &[PortKind]) -> (PortIndex, &'static PortInfo) {
    let (index, info) = find::<P>(name, kinds);
    assert!(info.payload_type == T::HASH, "`{name}` carries {}, not {}", shown(info.payload_name), shown(T::NAME));
    (index, info)
}

fn shown(name: &str) -> &str {
    if name.is_empty() { "nothing" } else { name }
}
