//! What the driver knows of one module on a board, shared between the daemon and the board's thread.

use crate::message::Boot;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use veritee_host::Death;
use veritee_ids::Status;
use veritee_wire::OutputWriter;
use veritee_wire::layout::EntryResult;
use veritee_wire::output::RESULT_RECORD_BYTES;

/// Calls of one module that wait for their turn on the line.
pub(crate) const CALLS_MAX: usize = 16;

/// What a call brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// Enter the module.
    Enter { op: u16, bytes: Vec<u8> },
    /// The board cannot take it: this is the answer, in its turn.
    Answered(Status),
}

/// A call of the daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) input: Input,
}

/// An output that the daemon has not released.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Left {
    pub(crate) position: u64,
    pub(crate) call: u64,
    pub(crate) bytes: Vec<u8>,
}

/// A module on a board, or one that was there.
#[derive(Debug)]
pub(crate) struct Guest {
    /// The life of the board that it lives in.
    pub(crate) boot: Boot,
    pub(crate) handle: u8,
    /// A driver of the board's own: it is not unloaded.
    pub(crate) driver: bool,
    pub(crate) label: String,
    pub(crate) calls: VecDeque<Call>,
    pub(crate) outputs: VecDeque<Left>,
    /// Outputs before this one were given to the daemon.
    pub(crate) given: usize,
    /// Position of the newest output.
    pub(crate) position: u64,
    pub(crate) wake: OwnedFd,
    pub(crate) death_bell: OwnedFd,
    pub(crate) death: Option<Death>,
    /// It is to be unloaded.
    pub(crate) ending: bool,
    /// It is not on the board any more.
    pub(crate) gone: bool,
    /// The daemon does not hold it any more.
    pub(crate) dropped: bool,
}

impl Guest {
    pub(crate) fn new(boot: Boot, handle: u8, driver: bool, label: &str) -> io::Result<Self> {
        Ok(Self {
            boot,
            handle,
            driver,
            label: label.to_owned(),
            calls: VecDeque::new(),
            outputs: VecDeque::new(),
            given: 0,
            position: 0,
            wake: bell()?,
            death_bell: bell()?,
            death: None,
            ending: false,
            gone: false,
            dropped: false,
        })
    }

    /// It can be entered.
    pub(crate) const fn lives(&self) -> bool {
        self.death.is_none() && !self.ending && !self.gone
    }

    /// Adds an output and rings.
    pub(crate) fn leave(&mut self, position: u64, call: u64, bytes: Vec<u8>) {
        self.position = position;
        self.outputs.push_back(Left { position, call, bytes });
        ring(&self.wake);
    }

    /// Answers all calls at the front that need no board.
    pub(crate) fn answer_refused(&mut self) {
        while let Some(Call { number, input: Input::Answered(status) }) = self.calls.front() {
            let (number, output) = (*number, answer(*status));
            self.calls.pop_front();
            // The room of the output before it is all that it can free.
            self.leave(self.position, number, output);
        }
    }

    /// Notes its end, once.
    pub(crate) fn die(&mut self, reason: &str) {
        if self.death.is_none() {
            self.death = Some(Death { reason: reason.to_owned() });
            self.calls.clear();
            ring(&self.death_bell);
        }
    }
}

/// A descriptor that is readable once it was rung.
pub(crate) fn bell() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

pub(crate) fn ring(bell: &OwnedFd) {
    // Full means that it rings already.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

pub(crate) fn silence(bell: &OwnedFd) {
    let _ = rustix::io::read(bell, &mut [0; 8]);
}

/// An output that says nothing but a status.
fn answer(status: Status) -> Vec<u8> {
    let mut bytes = vec![0; RESULT_RECORD_BYTES];
    let writer = OutputWriter::new(&mut bytes).expect("the result fits");
    writer.finish(EntryResult { status, reserved: 0, value: 0 });
    bytes
}
