//! The thread of a board, while the line works: what is done next, and what its outcome means.

use crate::board::Board;
use crate::guest::{Call, Guest, Input};
use crate::line::{Line, LineError};
use crate::message::{self, Boot, Code, HandleState, Hello, Nonsense, kind};
use crate::state::{GuestId, State, Unclaimed};
use core::convert::Infallible;
use std::io;
use std::time::{Duration, Instant};
use veritee_host::UNASKED;
use veritee_ids::Status;

mod load;

/// Why a session with a board ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Open(io::Error),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    #[error("version {0}")]
    Version(u16),
}

/// A call that the board was told, and whose outcome is not known yet.
#[derive(Debug)]
struct InFlight {
    /// Its number on the line.
    number: u32,
    guest: GuestId,
    call: Call,
}

/// What outlives a session.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    in_flight: Option<InFlight>,
    next_call: u32,
    /// The output that is fetched next.
    next_output: u32,
    boot: Option<Boot>,
}

/// What is done next.
#[derive(Debug)]
enum Job {
    Unload(GuestId),
    Release(u32),
    Fetch,
    UnloadOrphan(u8),
    Load,
    Enter(GuestId),
    Greet,
    Idle(Duration),
}

pub(crate) struct Worker<'a> {
    board: &'a Board,
    line: Line<'a>,
    memory: &'a mut Memory,
    started: Instant,
    /// Whose turn it was.
    last: GuestId,
    /// Orders and calls take turns.
    loads_next: bool,
    /// The board's ring has no room: no calls until then, unless something is released.
    starved: Option<Instant>,
    /// Nothing was to do for a moment.
    rested: bool,
    greeted: Instant,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(board: &'a Board, line: Line<'a>, memory: &'a mut Memory, started: Instant) -> Self {
        let greeted = Instant::now();
        Self { board, line, memory, started, last: 0, loads_next: false, starved: None, rested: false, greeted }
    }

    /// Works until something breaks.
    pub(crate) fn work(&mut self) -> Result<Infallible, Fault> {
        self.greet()?;
        self.fetch_all()?;
        let name = &self.board.config.name;
        tracing::info!(board = name, port = self.board.config.port, "a board is up");
        self.board.state().trouble.clear();
        self.board.changed.notify_all();
        loop {
            self.board.silence();
            let job = self.next_job();
            self.rested = matches!(job, Job::Idle(_));
            match job {
                Job::Unload(guest) => self.unload(guest)?,
                Job::Release(output) => self.release(output)?,
                Job::Fetch => self.fetch_all()?,
                Job::UnloadOrphan(handle) => self.unload_orphan(handle)?,
                Job::Load => self.load()?,
                Job::Enter(guest) => self.enter(guest)?,
                Job::Greet => self.greet()?,
                Job::Idle(patience) => self.line.idle(self.board.bell(), patience)?,
            }
        }
    }

    fn next_job(&mut self) -> Job {
        let now = Instant::now();
        let mut state = self.board.state();
        self.board.give_up_late_orders(&mut state);
        if !state.settled && now >= self.started + self.board.patience.claims {
            state.settle();
        }
        let state = &mut *state;
        // No call is on the board now: those in front of all others are next.
        state.guests.values_mut().filter(|guest| guest.lives()).for_each(Guest::answer_refused);
        if let Some((id, _)) = state.guests.iter().find(|(_, guest)| guest.ending && !guest.gone) {
            return Job::Unload(*id);
        }
        if self.starved.is_some_and(|until| now >= until) {
            self.starved = None;
        }
        let releasable = state.ring.releasable();
        let free = state.hello.as_ref().map_or(0, |hello| usize::from(hello.ring_free));
        if let Some(output) = releasable
            && (self.starved.is_some() || self.rested || state.ring.releasable_bytes() * 2 > free)
        {
            return Job::Release(output);
        }
        if self.line.attention {
            return Job::Fetch;
        }
        if state.settled
            && let Some(handle) = state.orphan()
        {
            return Job::UnloadOrphan(handle);
        }
        let caller = if self.starved.is_none() { state.next_caller(self.last) } else { None };
        let loads = !state.orders.is_empty();
        match caller {
            Some(guest) if !(loads && self.loads_next) => {
                self.loads_next = true;
                Job::Enter(guest)
            }
            _ if loads => {
                self.loads_next = false;
                Job::Load
            }
            _ => self.rest(now, releasable.is_some()),
        }
    }

    /// Nothing is to do but to look after the board now and then.
    fn rest(&self, now: Instant, releasable: bool) -> Job {
        let greet = self.greeted + self.board.patience.keepalive;
        if now >= greet {
            return Job::Greet;
        }
        let mut until = greet;
        if releasable {
            until = until.min(now + RELEASE_DELAY);
        }
        if let Some(starved) = self.starved {
            until = until.min(starved);
        }
        Job::Idle(until.saturating_duration_since(now))
    }

    /// Asks the board: what is behind the code, or the code.
    fn ask(&mut self, kind: u8, payload: &[u8]) -> Result<Result<Vec<u8>, Code>, Fault> {
        let response = self.line.request(kind, payload)?;
        Ok(message::open(&response)?.map(<[u8]>::to_vec))
    }

    /// Asks who the board is. Another life of it is the end of all modules on it; in the same one, a call whose outcome
    /// got lost is settled.
    fn greet(&mut self) -> Result<(), Fault> {
        let answer = self.ask(kind::HELLO, &[])?.map_err(|_| Nonsense)?;
        let hello = message::hello(&answer)?.map_err(Fault::Version)?;
        self.greeted = Instant::now();
        let (boot, last_call) = (hello.boot, hello.last_call);
        if self.memory.boot == Some(boot) {
            self.board.state().hello = Some(hello);
            return self.settle_call(last_call);
        }
        self.reset(hello)
    }

    fn reset(&mut self, hello: Hello) -> Result<(), Fault> {
        if self.memory.boot.is_some() {
            tracing::warn!(board = self.board.config.name, "the board was reset");
        }
        // Before anybody hears of it: whoever loads again at once finds the drivers.
        let listed = self.ask(kind::LIST, &[])?.map_err(|_| Nonsense)?;
        let handles = message::list(&listed)?;
        *self.memory = Memory {
            in_flight: None,
            next_call: hello.last_call.saturating_add(1),
            next_output: hello.oldest,
            boot: Some(hello.boot),
        };
        self.starved = None;
        let boot = hello.boot;
        let mut state = self.board.state();
        state.hello = Some(hello);
        state.handles = handles;
        state.reset(boot);
        Ok(())
    }

    /// Settles a call in flight, in the same life of the board: executed or not?
    fn settle_call(&mut self, last_call: u32) -> Result<(), Fault> {
        let Some(flight) = self.memory.in_flight.as_ref() else { return Ok(()) };
        if last_call >= flight.number {
            self.fetch_all()?;
            if let Some(flight) = self.memory.in_flight.take() {
                self.halted(flight.guest);
            }
        } else {
            self.put_back();
        }
        Ok(())
    }

    /// A call that was not executed goes back to where it came from.
    fn put_back(&mut self) {
        let Some(flight) = self.memory.in_flight.take() else { return };
        if let Some(guest) = self.board.state().guests.get_mut(&flight.guest)
            && guest.lives()
        {
            guest.calls.push_front(flight.call);
        }
    }

    /// A module that returns nothing has halted: it never will again.
    fn halted(&self, id: GuestId) {
        if let Some(guest) = self.board.state().guests.get_mut(&id) {
            tracing::warn!(board = self.board.config.name, module = guest.label, "a module halted");
            guest.die("it returned nothing: the module halted, or an interrupt ended it");
            guest.ending = true;
        }
    }

    /// Enters a module with its next call.
    fn enter(&mut self, id: GuestId) -> Result<(), Fault> {
        self.last = id;
        let Some((handle, call)) = self.next_call(id) else { return Ok(()) };
        let Input::Enter { op, bytes } = &call.input else { return Ok(()) };
        let number = self.memory.next_call;
        self.memory.next_call = number.saturating_add(1);
        let payload = message::call(handle, number, *op, bytes);
        self.memory.in_flight = Some(InFlight { number, guest: id, call });
        match self.ask(kind::CALL, &payload)? {
            Ok(answer) => {
                let (output, length, bytes) = message::called(&answer)?;
                if output == self.memory.next_output && bytes.len() == length {
                    self.took(output, number, handle, bytes.to_vec());
                } else if output < self.memory.next_output {
                    // Numbers begin anew after a reset.
                    return self.greet();
                } else {
                    self.fetch_all()?;
                }
                if self.memory.in_flight.is_some() { self.greet() } else { Ok(()) }
            }
            Err(Code::NoRoom) => {
                self.put_back();
                self.starved = Some(Instant::now() + STARVED_PAUSE);
                Ok(())
            }
            Err(Code::Nothing) => {
                self.memory.in_flight = None;
                self.halted(id);
                Ok(())
            }
            Err(Code::OldCall) => self.greet(),
            Err(Code::NoHandle | Code::WrongState) => self.unknown_guest(id),
            Err(_) => {
                self.refused_call();
                Ok(())
            }
        }
    }

    /// The board refused a call as such: the daemon gets that as its answer.
    fn refused_call(&mut self) {
        let Some(flight) = self.memory.in_flight.take() else { return };
        if let Some(guest) = self.board.state().guests.get_mut(&flight.guest) {
            guest.calls.push_front(Call { input: Input::Answered(Status::Malformed), ..flight.call });
        }
    }

    /// The board does not know a handle: it was reset, or lost the module.
    fn unknown_guest(&mut self, id: GuestId) -> Result<(), Fault> {
        self.memory.in_flight = None;
        self.greet()?;
        self.board.state().gone(id, "the board does not know it any more");
        Ok(())
    }

    fn next_call(&self, id: GuestId) -> Option<(u8, Call)> {
        let mut state = self.board.state();
        let guest = state.guests.get_mut(&id)?;
        Some((guest.handle, guest.calls.pop_front()?))
    }

    /// Takes an output: it answers the call in flight, or none of this daemon.
    fn took(&mut self, output: u32, call: u32, handle: u8, bytes: Vec<u8>) {
        self.memory.next_output = output.saturating_add(1);
        let answered = self.memory.in_flight.take_if(|flight| flight.number == call);
        let number = answered.map_or(UNASKED, |flight| flight.call.number);
        let mut state = self.board.state();
        let state: &mut State = &mut state;
        let length = bytes.len();
        if let Some((_, guest)) = state.claimant(handle) {
            let alive = guest.death.is_none();
            if alive {
                guest.leave(u64::from(output), number, bytes);
            }
            state.ring.fetched(output, length, alive);
        } else {
            if !state.settled {
                state.unclaimed.push(Unclaimed { handle, output, bytes });
            }
            state.ring.fetched(output, length, !state.settled);
        }
    }

    /// Fetches all outputs that wait, oldest first.
    fn fetch_all(&mut self) -> Result<(), Fault> {
        self.line.attention = false;
        while self.fetch()? {}
        Ok(())
    }

    /// Fetches one output; false when there is none.
    fn fetch(&mut self) -> Result<bool, Fault> {
        let Ok(answer) = self.ask(kind::FETCH, &message::fetch(self.memory.next_output, 0))? else { return Ok(false) };
        let part = message::fetched(&answer)?;
        if part.output < self.memory.next_output || part.offset != 0 {
            return Err(Nonsense.into());
        }
        let (output, call, handle, length) = (part.output, part.call, part.handle, part.length);
        let mut bytes = part.bytes.to_vec();
        while bytes.len() < length {
            let offset = u16::try_from(bytes.len()).map_err(|_| Nonsense)?;
            let Ok(answer) = self.ask(kind::FETCH, &message::fetch(output, offset))? else { return Ok(false) };
            let part = message::fetched(&answer)?;
            if (part.output, part.length, part.offset) != (output, length, bytes.len()) {
                return Err(Nonsense.into());
            }
            bytes.extend_from_slice(part.bytes);
        }
        self.took(output, call, handle, bytes);
        Ok(true)
    }

    fn release(&mut self, output: u32) -> Result<(), Fault> {
        let answer = self.ask(kind::RELEASE, &output.to_le_bytes())?;
        self.board.state().ring.released(output);
        self.starved = None;
        if answer.is_err() {
            self.greet()?;
        }
        Ok(())
    }

    /// Takes a guest off the board. What it left before is still fetched.
    fn unload(&mut self, id: GuestId) -> Result<(), Fault> {
        let Some((handle, driver, boot)) =
            self.board.state().guests.get(&id).map(|guest| (guest.handle, guest.driver, guest.boot))
        else {
            return Ok(());
        };
        if self.memory.boot == Some(boot) && !driver {
            self.unload_handle(handle)?;
        }
        self.board.state().gone(id, "it was ended");
        Ok(())
    }

    fn unload_orphan(&mut self, handle: u8) -> Result<(), Fault> {
        tracing::warn!(board = self.board.config.name, handle, "a module that nobody claims is unloaded");
        self.unload_handle(handle)
    }

    /// Unloads a handle, and fetches what it left: the next module with this handle must not be taken for it.
    fn unload_handle(&mut self, handle: u8) -> Result<(), Fault> {
        if let Err(code) = self.ask(kind::UNLOAD, &[handle, 0])?
            && code != Code::NoHandle
        {
            tracing::warn!(board = self.board.config.name, handle, ?code, "the board does not unload a module");
        }
        self.fetch_all()?;
        let mut state = self.board.state();
        state.handles.retain(|known| known.handle != handle || known.state == HandleState::Driver);
        let (left, rest): (Vec<_>, Vec<_>) =
            core::mem::take(&mut state.unclaimed).into_iter().partition(|left| left.handle == handle);
        state.unclaimed = rest;
        left.into_iter().for_each(|left| state.ring.release(left.output));
        Ok(())
    }
}

/// Releases wait so long for company.
const RELEASE_DELAY: Duration = Duration::from_millis(20);
/// Calls are tried again so long after the ring had no room.
const STARVED_PAUSE: Duration = Duration::from_millis(100);
