//! What an author's module looks like to the core, and what the core gives its handlers.

use core::fmt;
use veritee_ids::PortIndex;
use veritee_wire::Malformed;
use veritee_wire::ports::PortInfo;

/// An author's module: its state, its port table and its handlers. Implemented by the SDK's macro.
///
/// Handlers run to completion; nothing of the core is visible to them but [`Io`].
pub trait Program: Sized {
    /// The port table. A port's index in events and set-keys is its place here.
    const PORTS: &'static [PortInfo];
    /// Length of the state that `save` gives, in bytes; 0 when the state cannot be moved.
    const STATE_BYTES: usize;

    /// The initial state of an activation.
    fn start() -> Self;

    /// Handles an event of an input.
    ///
    /// # Errors
    /// [`Malformed`] when the payload does not decode. Nothing has happened then.
    fn input(&mut self, port: PortIndex, payload: &[u8], io: Io<'_>) -> Result<(), Malformed>;

    /// Handles a request. The answer may come now or later, through the token.
    ///
    /// # Errors
    /// [`Malformed`] when the payload does not decode. Nothing has happened then.
    fn handle(
        &mut self,
        port: PortIndex,
        payload: &[u8],
        token: ReplyToken,
        io: Io<'_>,
    ) -> Result<(), Malformed>;

    /// Goes on after a request of port `port` was answered.
    ///
    /// # Errors
    /// [`Malformed`] when the value does not decode. Nothing has happened then; the core calls again with
    /// [`Refusal::Malformed`].
    fn reply(
        &mut self,
        port: PortIndex,
        outcome: Result<&[u8], Refusal>,
        io: Io<'_>,
    ) -> Result<(), Malformed>;

    /// Handles a user entry. Public and unauthenticated.
    ///
    /// # Errors
    /// [`Malformed`] when the arguments do not decode. Nothing has happened then.
    fn entry(&mut self, port: PortIndex, arguments: &[u8], io: Io<'_>) -> Result<(), Malformed>;

    /// The deadline of an input or handler passed. Unauthenticated.
    fn late(&mut self, port: PortIndex, io: Io<'_>);

    /// Writes the state into `state`, which is `STATE_BYTES` long.
    fn save(&self, state: &mut [u8]);

    /// Takes a saved state.
    ///
    /// # Errors
    /// [`Malformed`] when it is not one. Nothing has happened then.
    fn restore(&mut self, state: &[u8]) -> Result<(), Malformed>;
}

/// Why a request has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The handler refused, with its own code (0 to 0xfff0).
    Refused(u16),
    /// The handler could not decode the request.
    Malformed,
    /// The owner aborted the wait.
    Aborted,
}

/// The right to answer one request, once. Dropping it leaves the requester waiting until its owner aborts.
#[derive(PartialEq, Eq, Debug)]
pub struct ReplyToken {
    pub(crate) slot: u16,
    pub(crate) generation: u32,
}

impl ReplyToken {
    /// Makes a token for a test harness, which keeps its own table.
    #[must_use]
    pub const fn from_parts(slot: u16, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// Slot and generation, for a test harness.
    #[must_use]
    pub const fn parts(&self) -> (u16, u32) {
        (self.slot, self.generation)
    }
}

/// The other side of [`Io`]: the core, or the SDK's test harness.
pub trait Wires {
    /// Emits an event on an output: one frame per connection wired to it, none if there is none.
    fn emit(&mut self, port: PortIndex, payload: &[u8]);
    /// Emits a request. False when the port has no connection: nothing was emitted.
    fn request(&mut self, port: PortIndex, payload: &[u8]) -> bool;
    /// Answers a request. Does nothing when the token is spent or its epoch was abandoned.
    fn answer(&mut self, token: ReplyToken, outcome: Result<&[u8], u16>);
    /// Sets the bytes that a user entry gives back to its caller.
    fn respond(&mut self, payload: &[u8]);
}

/// What a handler may do to the world. Emitting a request consumes it: a request ends the handler.
pub struct Io<'a> {
    wires: &'a mut dyn Wires,
}

impl fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}

impl<'a> Io<'a> {
    /// Gives handlers access to `wires`.
    pub fn new(wires: &'a mut dyn Wires) -> Self {
        Self { wires }
    }

    /// Emits an event on an output.
    pub fn emit(&mut self, port: PortIndex, payload: &[u8]) {
        self.wires.emit(port, payload);
    }

    /// Emits a request and ends the handler.
    ///
    /// # Errors
    /// Gives itself back when the port has no connection: nothing was emitted.
    pub fn request(self, port: PortIndex, payload: &[u8]) -> Result<(), Self> {
        if self.wires.request(port, payload) { Ok(()) } else { Err(self) }
    }

    /// Answers a request with a value or a refusal code.
    pub fn answer(&mut self, token: ReplyToken, outcome: Result<&[u8], u16>) {
        self.wires.answer(token, outcome);
    }

    /// Sets the bytes that a user entry gives back to its caller.
    pub fn respond(&mut self, payload: &[u8]) {
        self.wires.respond(payload);
    }
}
