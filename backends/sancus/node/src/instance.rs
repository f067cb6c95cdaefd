//! The daemon's end of a module on a board.

use crate::board::Board;
use crate::guest::{CALLS_MAX, Call, Input, silence};
use crate::message::Boot;
use crate::short::shorten;
use crate::state::GuestId;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use veritee_host::{Death, Full, HostError, Hosted, Output};
use veritee_ids::{Op, Status};

/// A module on a board, seen by its daemon. Dropped without an end, it stays there, for another daemon.
pub(crate) struct Instance {
    board: Arc<Board>,
    guest: GuestId,
    wake: OwnedFd,
    death: OwnedFd,
}

impl Instance {
    /// The end of a guest that was just made.
    pub(crate) fn of(board: Arc<Board>, guest: GuestId) -> Result<Self, HostError> {
        let fds = {
            let state = board.state();
            let found = state.guests.get(&guest);
            found.map(|found| (found.wake.try_clone(), found.death_bell.try_clone()))
        };
        match fds {
            Some((Ok(wake), Ok(death))) => Ok(Self { board, guest, wake, death }),
            Some((Err(source), _) | (_, Err(source))) => {
                Err(HostError::System { action: "hear the board's doorbells".to_owned(), source })
            }
            None => Err(HostError::Unreachable { reason: "the board was reset".to_owned() }),
        }
    }
}

impl Hosted for Instance {
    fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn death_fd(&self) -> BorrowedFd<'_> {
        self.death.as_fd()
    }

    fn push(&mut self, call: u64, op: Op, input: &[u8]) -> Result<(), Full> {
        let mut state = self.board.state();
        let input_max = state.hello.as_ref().map_or(INPUT_BYTES_MAX, |hello| usize::from(hello.input_max));
        let Some(guest) = state.guests.get_mut(&self.guest) else { return Err(Full) };
        if !guest.lives() || guest.calls.len() >= CALLS_MAX {
            return Err(Full);
        }
        let bytes = if op == Op::Event { shorten(input) } else { Ok(input.to_vec()) };
        let input = match bytes {
            Ok(bytes) if bytes.len() <= input_max.min(INPUT_BYTES_MAX) => Input::Enter { op: op.code(), bytes },
            // The board has no room for it, now or ever.
            Ok(_) => Input::Answered(Status::Refused),
            Err(status) => Input::Answered(status),
        };
        guest.calls.push_back(Call { number: call, input });
        Ok(())
    }

    fn flush(&mut self) {
        self.board.ring();
    }

    fn pull(&mut self, limit: usize, sink: &mut dyn FnMut(Output<'_>)) -> Result<usize, HostError> {
        let mut state = self.board.state();
        let Some(guest) = state.guests.get_mut(&self.guest) else { return Ok(0) };
        let waiting = guest.outputs.len() - guest.given;
        let taken = waiting.min(limit);
        if taken == waiting {
            silence(&guest.wake);
        }
        for left in guest.outputs.iter().skip(guest.given).take(taken) {
            sink(Output { position: left.position, call: left.call, bytes: &left.bytes });
        }
        guest.given += taken;
        Ok(taken)
    }

    fn release(&mut self, position: u64) {
        let mut state = self.board.state();
        let Some(guest) = state.guests.get_mut(&self.guest) else { return };
        let boot = guest.boot;
        let mut freed = Vec::new();
        while guest.given > 0 && guest.outputs.front().is_some_and(|left| left.position <= position) {
            freed.extend(guest.outputs.pop_front().map(|left| left.position));
            guest.given -= 1;
        }
        if state.hello.as_ref().is_some_and(|hello| hello.boot == boot) {
            freed.into_iter().for_each(|position| state.release(position));
        }
        if state.ring.releasable().is_some() {
            drop(state);
            self.board.ring();
        }
    }

    fn trouble(&self) -> Option<String> {
        let state = self.board.state();
        (!state.trouble.is_empty()).then(|| self.board.describe(&state.trouble))
    }

    fn death(&mut self) -> Option<Death> {
        self.board.state().guests.get(&self.guest)?.death.clone()
    }

    fn end(&mut self) {
        let mut state = self.board.state();
        let down = !state.trouble.is_empty();
        if let Some(guest) = state.guests.get_mut(&self.guest) {
            guest.ending = true;
            if down {
                // It is unloaded when the board is back.
                guest.die("it was ended");
            }
        }
        drop(state);
        self.board.ring();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut state = self.board.state();
        let Some(guest) = state.guests.get_mut(&self.guest) else { return };
        guest.dropped = true;
        let (dead, boot) = (guest.death.is_some(), guest.boot);
        if dead && state.hello.as_ref().is_some_and(|hello| hello.boot == boot) {
            let id = self.guest;
            let left: Vec<u64> =
                state.guests.get(&id).into_iter().flat_map(|guest| &guest.outputs).map(|left| left.position).collect();
            left.into_iter().for_each(|position| state.release(position));
        }
        state.sweep();
    }
}

/// Where a module is, kept in its folder: for a daemon that comes later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Whereabouts {
    pub(crate) board: String,
    pub(crate) boot: Boot,
    pub(crate) handle: u8,
    pub(crate) driver: bool,
    pub(crate) label: String,
}

impl Whereabouts {
    pub(crate) fn keep(&self, folder: &Path) -> std::io::Result<()> {
        let boot: String = self.boot.iter().map(|byte| format!("{byte:02x}")).collect();
        let kind = if self.driver { "driver" } else { "module" };
        let text = format!("{FORM}\n{}\n{boot}\n{}\n{kind}\n{}\n", self.board, self.handle, self.label);
        let mut file = fs::File::create(folder.join(FILE))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    pub(crate) fn find(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(FILE)).ok()?;
        let mut lines = text.lines();
        if lines.next()? != FORM {
            return None;
        }
        let board = lines.next()?.to_owned();
        let boot = u64::from_str_radix(lines.next()?, 16).ok()?.to_be_bytes();
        let handle = lines.next()?.parse().ok()?;
        let driver = match lines.next()? {
            "driver" => true,
            "module" => false,
            _ => return None,
        };
        Some(Self { board, boot, handle, driver, label: lines.next()?.to_owned() })
    }
}

const FILE: &str = "whereabouts";
const FORM: &str = "veritee-sancus 1";
/// Largest input of a call, whatever the board says.
const INPUT_BYTES_MAX: usize = 512;
