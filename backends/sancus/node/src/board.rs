//! One board: what daemon and thread share, and the thread's life.

use crate::guest::{bell, ring, silence};
use crate::line::{Line, LineError, Patience};
use crate::loading::Order;
use crate::port::{Port, advice};
use crate::state::State;
use crate::worker::{Fault, Memory, Worker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use veritee_host::HostError;

/// A board, as the node's configuration names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardConfig {
    /// Its name.
    pub name: String,
    /// Its port: a serial line of the machine, `unix:PATH` or `tcp:HOST:PORT`.
    pub port: String,
    /// Bits per second of a serial line.
    pub baud: u32,
    /// Names of its drivers, in the order of the board's table. Those without a name are `driver-1`, `driver-2`, …
    pub drivers: Vec<String>,
}

/// A board with its driver.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) config: BoardConfig,
    pub(crate) patience: Patience,
    state: Mutex<State>,
    /// The board came up, or went.
    pub(crate) changed: Condvar,
    bell: OwnedFd,
    stop: OwnedFd,
}

impl Board {
    pub(crate) fn new(config: BoardConfig, patience: Patience) -> io::Result<Self> {
        let (state, changed) = (Mutex::new(State::new()), Condvar::new());
        Ok(Self { config, patience, state, changed, bell: bell()?, stop: bell()? })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread: there is something to do.
    pub(crate) fn ring(&self) {
        ring(&self.bell);
    }

    /// Before the thread looks at the state: what comes later rings again.
    pub(crate) fn silence(&self) {
        silence(&self.bell);
    }

    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state().stopping = true;
        ring(&self.stop);
    }

    /// Waits until the board answers; else says why it does not.
    pub(crate) fn wait_until_up(&self) -> Result<MutexGuard<'_, State>, String> {
        let state = self.state();
        let down = |state: &mut State| !state.trouble.is_empty() && !state.stopping;
        let waited = self.changed.wait_timeout_while(state, self.patience.up, down);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.trouble.is_empty() { Ok(state) } else { Err(self.describe(&state.trouble)) }
    }

    /// A board's trouble as a sentence.
    pub(crate) fn describe(&self, trouble: &str) -> String {
        format!("the board {} at {} cannot be used: {trouble}", self.config.name, self.config.port)
    }

    /// Name of the driver at a place of the board's table.
    pub(crate) fn driver_name(&self, place: usize) -> String {
        self.config.drivers.get(place).cloned().unwrap_or_else(|| format!("driver-{}", place + 1))
    }

    fn run(&self) {
        let mut memory = Memory::default();
        let started = Instant::now();
        loop {
            let ended = self.session(&mut memory, started);
            if matches!(ended, Fault::Line(LineError::Stopped)) || self.state().stopping {
                return;
            }
            self.down(&ended);
            let pause = self.patience.retry;
            let timeout = Timespec {
                tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: pause.subsec_nanos().into(),
            };
            // Whether it was rung or is tired, the loop looks again.
            let _ = poll(&mut [PollFd::new(&self.stop, PollFlags::IN)], Some(&timeout));
        }
    }

    fn session(&self, memory: &mut Memory, started: Instant) -> Fault {
        let port = match Port::open(&self.config.port, self.config.baud) {
            Ok(port) => port,
            Err(error) => return Fault::Open(error),
        };
        let line = Line::new(port, self.patience, self.stop.as_fd());
        let mut worker = Worker::new(self, line, memory, started);
        match worker.work() {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    /// Notes that the board does not answer. Modules on it may live on; those that are to end count as ended.
    fn down(&self, fault: &Fault) {
        let trouble = match fault {
            Fault::Open(error) => format!("cannot open it: {error}; {}", advice(&self.config.port, error)),
            Fault::Line(LineError::Port(error)) => format!("{error}; {}", advice(&self.config.port, error)),
            Fault::Line(LineError::Silent) => {
                format!("it does not answer; check power, cable and baud rate ({})", self.config.baud)
            }
            Fault::Line(LineError::Noise) => {
                format!("nothing gets through undamaged; check cable, ground and baud rate ({})", self.config.baud)
            }
            Fault::Version(version) => format!(
                "its firmware speaks version {version} of the serial line, this node {}; update the older one",
                crate::message::LINE_VERSION
            ),
            other => format!("{other}; is it a board with Veritee's firmware?"),
        };
        let mut state = self.state();
        if state.trouble != trouble {
            tracing::warn!("{}", self.describe(&trouble));
        }
        state.trouble = trouble;
        for guest in state.guests.values_mut().filter(|guest| guest.ending) {
            guest.die("it was ended");
        }
        self.give_up_late_orders(&mut state);
        self.changed.notify_all();
    }

    /// Answers orders whose time is over.
    pub(crate) fn give_up_late_orders(&self, state: &mut State) {
        let now = Instant::now();
        let (late, rest): (VecDeque<Order>, _) =
            core::mem::take(&mut state.orders).into_iter().partition(|order| order.until <= now);
        state.orders = rest;
        for order in late {
            let trouble = if state.trouble.is_empty() { "loading takes too long" } else { &state.trouble };
            let reason = self.describe(trouble);
            order.answer(Err(HostError::Unreachable { reason }));
        }
    }
}

/// The thread of a board; ends with this.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(crate) fn start(config: BoardConfig, patience: Patience) -> io::Result<Self> {
        let board = Arc::new(Board::new(config, patience)?);
        let name = format!("board {}", board.config.name);
        let thread = std::thread::Builder::new().name(name).spawn({
            let board = Arc::clone(&board);
            move || board.run()
        })?;
        Ok(Self { board, thread: Some(thread) })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.board.stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.board.changed.notify_all();
    }
}

/// How long an order may take: to come up, and for each byte at least half the speed of the slowest usual line.
pub(crate) fn order_patience(text_bytes: usize) -> Duration {
    Duration::from_secs(20) + Duration::from_millis(u64::try_from(text_bytes).unwrap_or(u64::MAX) * 2)
}
