//! The daemon's end of an instance.

use crate::bell::Bell;
use crate::failed;
use crate::ring::{BODY_BYTES_MAX, Consumer, Lane, Mapping, Producer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use veritee_host::{Death, Full, HostError, Hosted, LoadRequest, Output};
use veritee_ids::Op;

/// Names of files in an instance's folder.
pub mod names {
    /// The image.
    pub const IMAGE: &str = "image";
    /// The shared memory.
    pub const RING: &str = "ring";
    /// Wakes the runner.
    pub const BELL_IN: &str = "bell-in";
    /// Wakes the daemon.
    pub const BELL_OUT: &str = "bell-out";
    /// Locked by the runner as long as it lives.
    pub const ALIVE: &str = "alive";
    /// Process id of the runner.
    pub const PID: &str = "pid";
    /// What the runner says.
    pub const LOG: &str = "runner.log";
}

/// The runner is ready.
pub(crate) const READY: u32 = 1;
/// How long a runner may take to start.
const START_SECONDS: i64 = 20;

/// An instance, seen by its daemon.
#[derive(Debug)]
pub struct Instance {
    mapping: Arc<Mapping>,
    calls: Producer,
    outputs: Consumer,
    bell_in: Bell,
    bell_out: Bell,
    process: OwnedFd,
    body: Box<[u8]>,
    death: Option<Death>,
}

impl Instance {
    /// Starts a runner and waits until it is ready.
    ///
    /// # Errors
    /// [`HostError::BadImage`] with the last words of a runner that did not come up; [`HostError::System`].
    pub fn start(program: &Path, arguments: &[OsString], request: &LoadRequest<'_>) -> Result<Self, HostError> {
        let folder = request.directory;
        let image = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(names::IMAGE));
        image.and_then(|mut file| io::Write::write_all(&mut file, request.image)).map_err(failed("write the image"))?;
        let mapping = Mapping::create(&folder.join(names::RING)).map_err(failed("make the ring"))?;
        let bells = [names::BELL_IN, names::BELL_OUT].map(|name| Bell::create(&folder.join(name)));
        let [bell_in, bell_out] = bells.map(|bell| bell.map_err(failed("make a doorbell")));
        File::create(folder.join(names::ALIVE)).map_err(failed("make the lock file"))?;
        let log = File::create(folder.join(names::LOG)).map_err(failed("make the runner's log"))?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(failed(format!("start the runner {}", program.display())))?;
        let process = process_of(child.id()).map_err(failed("watch the runner"))?;
        let mut instance = Self::new(mapping, (bell_in?, bell_out?), process);
        instance.wait_until_ready(folder)?;
        Ok(instance)
    }

    /// Takes over a living runner.
    ///
    /// # Errors
    /// [`HostError::NothingToAdopt`] when there is none.
    pub fn adopt(folder: &Path) -> Result<Self, HostError> {
        let nothing = || HostError::NothingToAdopt { directory: folder.to_owned() };
        let lock = rustix::fs::open(folder.join(names::ALIVE), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|_| nothing())?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Err(nothing());
        }
        let pid = fs::read_to_string(folder.join(names::PID)).map_err(|_| nothing())?;
        let process = process_of(pid.trim().parse().map_err(|_| nothing())?).map_err(|_| nothing())?;
        let mapping = Mapping::open(&folder.join(names::RING)).map_err(failed("open the ring"))?;
        let bells = [names::BELL_IN, names::BELL_OUT].map(|name| Bell::open(&folder.join(name), OFlags::NONBLOCK));
        let [bell_in, bell_out] = bells.map(|bell| bell.map_err(failed("open a doorbell")));
        let instance = Self::new(mapping, (bell_in?, bell_out?), process);
        instance.bell_out.ring();
        Ok(instance)
    }

    fn new(mapping: Mapping, (bell_in, bell_out): (Bell, Bell), process: OwnedFd) -> Self {
        let mapping = Arc::new(mapping);
        Self {
            calls: Producer::new(Arc::clone(&mapping), Lane::Calls),
            outputs: Consumer::new(Arc::clone(&mapping), Lane::Outputs),
            mapping,
            bell_in,
            bell_out,
            process,
            body: vec![0; BODY_BYTES_MAX].into_boxed_slice(),
            death: None,
        }
    }

    fn wait_until_ready(&mut self, folder: &Path) -> Result<(), HostError> {
        let limit = Timespec { tv_sec: START_SECONDS, tv_nsec: 0 };
        while self.mapping.state().load(Ordering::Acquire) != READY {
            let mut waits = [PollFd::new(&self.bell_out, PollFlags::IN), PollFd::new(&self.process, PollFlags::IN)];
            let ready = poll(&mut waits, Some(&limit)).map_err(|error| failed("wait for the runner")(error.into()))?;
            let ended = !waits[1].revents().is_empty();
            self.bell_out.take();
            if ended || ready == 0 {
                self.end();
                return Err(why_not_started(self.death(), folder));
            }
        }
        Ok(())
    }

    fn wake_runner(&self) {
        fence(Ordering::SeqCst);
        if self.mapping.runner_sleeps().swap(0, Ordering::SeqCst) == 1 {
            self.bell_in.ring();
        }
    }
}

fn process_of(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// The last words of a runner that did not come up.
fn why_not_started(death: Option<Death>, folder: &Path) -> HostError {
    let log = fs::read_to_string(folder.join(names::LOG)).unwrap_or_default();
    let last = log.lines().last().map(str::to_owned);
    let reason = last.or_else(|| death.map(|death| death.reason)).unwrap_or_else(|| "no answer in time".to_owned());
    HostError::BadImage { reason }
}

impl Hosted for Instance {
    fn wake_fd(&self) -> BorrowedFd<'_> {
        self.bell_out.as_fd()
    }

    fn death_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    fn push(&mut self, call: u64, op: Op, input: &[u8]) -> Result<(), Full> {
        if input.len() > BODY_BYTES_MAX {
            return Err(Full);
        }
        self.calls.push(call, u32::from(op.code()), input).map_err(|_| Full)
    }

    fn flush(&mut self) {
        self.wake_runner();
    }

    fn pull(&mut self, limit: usize, sink: &mut dyn FnMut(Output<'_>)) -> Result<usize, HostError> {
        self.bell_out.take();
        let mut given = 0;
        while given < limit {
            let popped = self.outputs.pop(&mut self.body);
            let Some(record) = popped.map_err(|_| broken("its output ring makes no sense"))? else { break };
            sink(Output { position: record.end, call: record.call, bytes: &self.body[..record.length] });
            given += 1;
        }
        // Sleep announced first, then looked again: no output can slip in between unnoticed.
        self.mapping.daemon_sleeps().store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.outputs.waits() {
            self.bell_out.ring();
        }
        Ok(given)
    }

    fn release(&mut self, position: u64) {
        self.outputs.release(position);
        self.wake_runner();
    }

    fn death(&mut self) -> Option<Death> {
        if self.death.is_none() {
            self.death = death_of(&self.process, &self.mapping);
        }
        self.death.clone()
    }

    fn end(&mut self) {
        _ = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
    }
}

fn broken(reason: &str) -> HostError {
    HostError::BrokenChannel { reason: reason.to_owned() }
}

/// How a process ended; for one that an earlier daemon started only that it did.
fn death_of(process: &OwnedFd, mapping: &Mapping) -> Option<Death> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let reason = match rustix::process::waitid(WaitId::PidFd(process.as_fd()), options) {
        Ok(None) => return None,
        Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => mapping.last_words().unwrap_or_else(|| format!("exit code {code}")),
            (_, Some(signal)) => signal_words(signal),
            _ => "it ended".to_owned(),
        },
        Err(_) => {
            let mut waits = [PollFd::new(process, PollFlags::IN)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut waits, Some(&now)) != Ok(1) {
                return None;
            }
            let unknown = || "it ended; a daemon that is gone had started it".to_owned();
            mapping.last_words().unwrap_or_else(unknown)
        }
    };
    Some(Death { reason })
}

fn signal_words(signal: i32) -> String {
    match signal {
        4 => "signal 4 (SIGILL): the module panicked".to_owned(),
        // How an image ends that asked for a heap: its panic handler knows.
        5 => "signal 5 (SIGTRAP): the module panicked after its heap had no room".to_owned(),
        9 => "signal 9 (SIGKILL)".to_owned(),
        11 => "signal 11 (SIGSEGV): the module touched memory that is not its own".to_owned(),
        31 => "signal 31 (SIGSYS): the module tried a system call that the sandbox refuses".to_owned(),
        other => format!("signal {other}"),
    }
}

impl Drop for Instance {
    /// The runner lives on: another daemon may adopt it. A dead one is reaped.
    fn drop(&mut self) {
        _ = self.death();
    }
}
