//! What an author's module looks like to the core, and what the core gives its handlers.

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
    const STATE_BYTES: usize = 0;

    /// The initial state of an activation.
    fn start() -> Self;

    /// Runs the function of a port.
    ///
    /// # Errors
    /// [`Malformed`] when what came does not decode. Nothing has happened then; after a reply the core calls again with
    /// [`Refusal::Malformed`].
    fn run(&mut self, port: PortIndex, call: Call<'_>, io: Io<'_>) -> Result<(), Malformed>;

    /// Writes the state into `state`, which is `STATE_BYTES` long.
    fn save(&self, _state: &mut [u8]) {}

    /// Takes a saved state.
    ///
    /// # Errors
    /// [`Malformed`] when it is not one. Nothing has happened then.
    fn restore(&mut self, _state: &[u8]) -> Result<(), Malformed> {
        Err(Malformed)
    }
}

/// Why a port's function runs.
#[derive(PartialEq, Eq, Debug)]
pub enum Call<'a> {
    /// An event of an input was accepted.
    Input(&'a [u8]),
    /// A request was accepted. The answer may come now or later, through the token.
    Request(&'a [u8], ReplyToken),
    /// The open request is answered, or will never be.
    Reply(Result<&'a [u8], Refusal>),
    /// Somebody called a user entry. Public and unauthenticated.
    Entry(&'a [u8]),
    /// The host says that the deadline of an input or handler passed. Unauthenticated.
    Late,
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
    /// Its place in the table of tokens.
    pub slot: u16,
    /// How often the place was taken: a spent token fits no later request.
    pub generation: u32,
}

/// What a handler may do to the world: the core's side, or the SDK's test harness.
pub trait Wires {
    /// Emits an event on an output: one frame per connection wired to it, none if there is none.
    fn emit(&mut self, port: PortIndex, payload: &[u8]);
    /// Emits a request; the handler must end then. False when the port has no connection: nothing was emitted.
    fn request(&mut self, port: PortIndex, payload: &[u8]) -> bool;
    /// Answers a request with a value or a refusal code. Does nothing when the token is spent or its epoch was abandoned.
    fn answer(&mut self, token: ReplyToken, outcome: Result<&[u8], u16>);
    /// Sets the bytes that a user entry gives back to its caller.
    fn respond(&mut self, payload: &[u8]);
}

/// [`Wires`], as handlers get them.
pub type Io<'a> = &'a mut dyn Wires;
