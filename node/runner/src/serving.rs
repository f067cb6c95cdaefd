//! The runner's end of an instance: a process that gives each call in its ring to the platform's part of it.

use crate::bell::Bell;
use crate::instance::{READY, names};
use crate::ring::{BODY_BYTES_MAX, Broken, Consumer, Lane, Mapping, Producer, RECORD_HEADER_BYTES};
use crate::sandbox::{self, Limits};
use rustix::fs::{FlockOperation, OFlags};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use veritee_host::{OutputReader, OutputRecord};
use veritee_ids::Status;

/// Output area at first; it grows when the module needs more.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Exit code of a runner whose daemon wrote nonsense into the ring.
const BROKEN_RING: i32 = 3;
/// Exit code of a runner that left last words.
const LAST_WORDS: i32 = 4;
/// How often a runner looks again before it sleeps.
const LOOKS: usize = 4;
/// Front of a call in a batch: length and operation.
pub(crate) const CALL_HEADER_BYTES: usize = 8;
/// Bytes of a batch: one call of any length, or many short ones.
const BATCH_BYTES: usize = CALL_HEADER_BYTES + BODY_BYTES_MAX;

/// The platform's part of a runner: what holds the module.
pub trait Body {
    /// Most calls that one crossing into the module takes.
    const CALLS_MAX: usize;
    /// Bytes that the platform may add to the outputs of one crossing.
    const EXTRA_BYTES: usize;

    /// Enters the module with calls, in order, and gives the output of each to `sink` in the same order. The outputs of one
    /// crossing have `room` bytes together; a call that does not fit any more is left for the next crossing.
    ///
    /// Called inside the sandbox: it must not need memory or files from the system.
    ///
    /// # Errors
    /// Why the module is no more; the runner then ends with these as its last words.
    fn enter(&mut self, batch: &mut Batch, room: usize, sink: &mut dyn FnMut(&[u8])) -> Result<(), &'static str>;
}

/// Calls that enter the module together.
///
/// Bytes: for each call its length (u32), its operation (u32), its input, padded to eight.
#[derive(Debug)]
pub struct Batch {
    bytes: Box<[u8]>,
    calls: VecDeque<Call>,
    end: usize,
}

/// One call of a batch.
#[derive(Clone, Copy, Debug)]
struct Call {
    op: u32,
    /// Where it begins in the batch, and how long its input is.
    start: usize,
    length: usize,
}

/// What the ring knows of a call: its number, its operation, and the cursor behind it.
type Ticket = (u64, u32, u64);

impl Batch {
    fn new(calls: usize) -> Self {
        Self { bytes: vec![0; BATCH_BYTES].into_boxed_slice(), calls: VecDeque::with_capacity(calls), end: 0 }
    }

    /// The first calls as bytes.
    #[must_use]
    pub fn front(&self, calls: usize) -> &[u8] {
        let start = self.calls.front().map_or(0, |call| call.start);
        let end = self.calls.get(calls).map_or(self.end, |call| call.start);
        &self.bytes[start..end]
    }

    /// How many calls there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Operation and input of the first call.
    pub fn first(&mut self) -> Option<(u32, &mut [u8])> {
        let call = self.calls.front()?;
        let start = call.start + CALL_HEADER_BYTES;
        Some((call.op, &mut self.bytes[start..start + call.length]))
    }

    /// Operations of the calls, in order.
    pub fn ops(&self) -> impl Iterator<Item = u32> {
        self.calls.iter().map(|call| call.op)
    }

    /// Takes what waits in the ring, as far as it fits.
    fn fill(&mut self, ring: &mut Consumer, tickets: &mut VecDeque<Ticket>, most: usize) -> Result<(), Broken> {
        if self.calls.is_empty() {
            self.end = 0;
        }
        while self.calls.len() < most {
            let start = self.end;
            let Some(length) = ring.next_length()? else { break };
            let room = self.bytes.len().checked_sub(start + CALL_HEADER_BYTES);
            if room.is_none_or(|room| room < length) {
                break;
            }
            let Some(record) = ring.pop(&mut self.bytes[start + CALL_HEADER_BYTES..])? else { break };
            let length = u32::try_from(record.length).map_err(|_| Broken)?;
            self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
            self.bytes[start + 4..start + CALL_HEADER_BYTES].copy_from_slice(&record.tag.to_le_bytes());
            self.calls.push_back(Call { op: record.tag, start, length: record.length });
            tickets.push_back((record.call, record.tag, record.end));
            let end = start + CALL_HEADER_BYTES + record.length;
            self.end = end.next_multiple_of(8).min(self.bytes.len());
        }
        Ok(())
    }
}

/// Ends a runner that could not start. The last line of its log is what the daemon reports.
#[must_use]
#[expect(clippy::print_stderr, reason = "standard error is the runner's log")]
pub fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::from(2)
}

/// An instance's folder, seen by its runner before it confines itself.
#[derive(Debug)]
pub struct Prepared {
    /// The image, as the owner sent it.
    pub image: Vec<u8>,
    mapping: Arc<Mapping>,
    bell_in: Bell,
    bell_out: Bell,
    /// Locked as long as this process lives.
    alive: File,
}

impl Prepared {
    /// Opens everything in an instance's folder that its runner needs.
    ///
    /// # Errors
    /// What cannot be opened, in words.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let words = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
        let alive = File::options()
            .read(true)
            .write(true)
            .open(folder.join(names::ALIVE))
            .map_err(words("the lock file cannot be opened"))?;
        rustix::fs::flock(&alive, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| "another runner lives in this folder")?;
        // By the runner itself: a daemon that is killed right after it started one finds it again.
        fs::write(folder.join(names::PID), std::process::id().to_string())
            .map_err(words("the pid file cannot be written"))?;
        let mapping = Mapping::open(&folder.join(names::RING)).map_err(words("the ring cannot be opened"))?;
        let bell_in = Bell::open(&folder.join(names::BELL_IN), OFlags::empty());
        let bell_out = Bell::open(&folder.join(names::BELL_OUT), OFlags::NONBLOCK);
        Ok(Self {
            image: fs::read(folder.join(names::IMAGE)).map_err(words("the image cannot be read"))?,
            mapping: Arc::new(mapping),
            bell_in: bell_in.map_err(words("a doorbell cannot be opened"))?,
            bell_out: bell_out.map_err(words("a doorbell cannot be opened"))?,
            alive,
        })
    }

    /// Joins the instance's folder with the platform's part. Everything is allocated here.
    #[must_use]
    pub fn serve<B: Body>(self, body: B) -> Server<B> {
        let Self { image, mapping, bell_in, bell_out, alive } = self;
        // Inside the sandbox even giving memory back is a refused system call.
        drop(image);
        Server {
            calls: Consumer::new(Arc::clone(&mapping), Lane::Calls),
            outputs: Producer::new(Arc::clone(&mapping), Lane::Outputs),
            batch: Batch::new(B::CALLS_MAX),
            tickets: VecDeque::with_capacity(B::CALLS_MAX),
            offered: OUTPUT_BYTES,
            mapping,
            bell_in,
            bell_out,
            alive,
            body,
        }
    }
}

/// A runner, ready to serve.
#[derive(Debug)]
pub struct Server<B> {
    mapping: Arc<Mapping>,
    calls: Consumer,
    outputs: Producer,
    bell_in: Bell,
    bell_out: Bell,
    alive: File,
    batch: Batch,
    tickets: VecDeque<Ticket>,
    /// Bytes of output that are offered to the module.
    offered: usize,
    /// The platform's part.
    pub body: B,
}

impl<B: Body> Server<B> {
    /// Gives everything up that the instance does not need. `keep` stays open as well.
    ///
    /// # Errors
    /// Which wall cannot be built.
    pub fn confine(&self, keep: &[BorrowedFd<'_>], limits: &Limits) -> Result<(), String> {
        _ = rustix::process::setsid();
        _ = rustix::thread::set_name(c"veritee-module");
        let mut kept = vec![self.bell_in.as_fd(), self.bell_out.as_fd(), self.alive.as_fd()];
        kept.extend_from_slice(keep);
        sandbox::enter(&kept, limits)
    }

    /// Serves calls for ever. The end is at once: inside the sandbox nothing can be given back.
    pub fn run(&mut self) -> ! {
        self.mapping.daemon_sleeps().store(1, Ordering::SeqCst);
        self.mapping.state().store(READY, Ordering::Release);
        self.bell_out.ring();
        loop {
            if self.batch.fill(&mut self.calls, &mut self.tickets, B::CALLS_MAX).is_err() {
                end(BROKEN_RING);
            }
            if self.batch.is_empty() {
                self.sleep(|runner| runner.calls.waits());
            } else if let Err(reason) = self.cross() {
                self.mapping.leave_words(reason);
                end(LAST_WORDS);
            }
        }
    }

    /// Enters the module once there is room for the largest output that it was offered.
    fn cross(&mut self) -> Result<(), &'static str> {
        let needed = self.offered + B::EXTRA_BYTES + (B::CALLS_MAX + 1) * 2 * RECORD_HEADER_BYTES;
        while self.outputs.room() < needed {
            self.sleep(|runner| runner.outputs.room() >= needed);
        }
        let (mut taken, mut wanted) = (0, None);
        let Self { batch, tickets, outputs, calls, offered, body, .. } = self;
        let room = *offered;
        body.enter(batch, room, &mut |output| {
            if taken == 0 && wanted.is_none() {
                wanted = more_room(output, room);
            }
            // Nothing happened in a module that asked for more room.
            let (None, Some(&(number, op, end))) = (wanted, tickets.get(taken)) else { return };
            let pushed = outputs.push(number, op, output);
            debug_assert!(pushed.is_ok(), "there was room before");
            calls.release(end);
            taken += 1;
        })?;
        if taken == 0 && wanted.is_none() {
            return Err("the module answers nothing");
        }
        batch.calls.drain(..taken);
        tickets.drain(..taken);
        *offered = wanted.unwrap_or(room);
        if taken > 0 {
            self.wake_daemon();
        }
        Ok(())
    }

    fn wake_daemon(&self) {
        fence(Ordering::SeqCst);
        if self.mapping.daemon_sleeps().swap(0, Ordering::SeqCst) == 1 {
            self.bell_out.ring();
        }
    }

    /// Sleeps until the daemon rings, unless what is waited for is there. Announced first, then looked again.
    fn sleep(&self, ready: impl Fn(&Self) -> bool) {
        for _ in 0..LOOKS {
            if ready(self) {
                return;
            }
            rustix::thread::sched_yield();
        }
        let sleeps: &AtomicU32 = self.mapping.runner_sleeps();
        sleeps.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if ready(self) {
            sleeps.store(0, Ordering::SeqCst);
            return;
        }
        self.bell_in.take();
    }
}

/// Ends the process without running anything that belongs to it.
fn end(code: i32) -> ! {
    // SAFETY: the call ends the process; nothing runs after it.
    unsafe { libc::_exit(code) }
}

/// The room that a module asks for in its output, if it can be had.
fn more_room(output: &[u8], offered: usize) -> Option<usize> {
    let Some(Ok(OutputRecord::Result(result))) = OutputReader::new(output).next() else { return None };
    let wanted = usize::try_from(result.value).unwrap_or(usize::MAX);
    (result.status == Status::NoRoom && wanted > offered && wanted <= BODY_BYTES_MAX).then_some(wanted)
}
