//! Loading a module onto a board, one request at a time, so that other modules have their turns between.

use crate::state::GuestId;
use std::sync::mpsc;
use std::time::Instant;
use veritee_host::HostError;
use veritee_sancus_format::ModuleImage;

/// A module that is to be loaded.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) image: ModuleImage,
    pub(crate) label: String,
    /// Who waits; gone when his patience ended.
    pub(crate) answer: mpsc::Sender<Result<Loaded, HostError>>,
    pub(crate) step: Step,
    /// When it is given up.
    pub(crate) until: Instant,
}

/// What is to be done next for an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Make room, reserve.
    Reserve,
    /// Write the text from this offset on.
    Write { handle: u8, offset: usize },
    /// Enable it.
    Enable { handle: u8 },
}

/// A module that was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loaded {
    pub(crate) guest: GuestId,
}

impl Order {
    /// The handle that it has on the board, if it has one.
    pub(crate) const fn handle(&self) -> Option<u8> {
        match self.step {
            Step::Reserve => None,
            Step::Write { handle, .. } | Step::Enable { handle } => Some(handle),
        }
    }

    /// Answers whoever waits; false when nobody does.
    pub(crate) fn answer(&self, outcome: Result<Loaded, HostError>) -> bool {
        self.answer.send(outcome).is_ok()
    }
}
