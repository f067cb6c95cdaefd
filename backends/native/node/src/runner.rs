//! The runner: a process that enters one image for each call in its ring.

use crate::bell::Bell;
use crate::image::{Entry, map};
use crate::instance::{READY, names};
use crate::ring::{BODY_BYTES_MAX, Consumer, Lane, Mapping, Producer, RECORD_HEADER_BYTES};
use crate::sandbox;
use rustix::fs::{FlockOperation, OFlags};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use veritee_host::{OutputReader, OutputRecord};
use veritee_ids::Status;

/// Operation of the first entry into an image.
const BOOT: u32 = 0;
/// Output area at first; it grows when the module needs more.
const OUTPUT_BYTES: usize = 64 * 1024;
/// How often a runner looks again before it sleeps.
const LOOKS: usize = 4;

/// Runs an instance until it is ended. `arguments`: the instance's folder, then options.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let Some((folder, options)) = arguments.split_first() else { return refuse("no folder") };
    let allow_unconfined = options.iter().any(|option| option == "--allow-unconfined");
    match Runner::start(Path::new(folder), allow_unconfined) {
        Ok(mut runner) => runner.serve(),
        Err(reason) => refuse(&reason),
    }
}

/// The last line of the runner's log is what the daemon reports.
#[expect(clippy::print_stderr, reason = "standard error is the runner's log")]
fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::from(2)
}

struct Runner {
    entry: Entry,
    mapping: Arc<Mapping>,
    calls: Consumer,
    outputs: Producer,
    bell_in: Bell,
    bell_out: Bell,
    input: Box<[u8]>,
    output: Box<[u8]>,
    /// Bytes of the output area that are offered to the module.
    offered: usize,
    /// Locked as long as this process lives.
    _alive: File,
}

impl Runner {
    /// Maps the image, boots it, and gives everything else up.
    fn start(folder: &Path, allow_unconfined: bool) -> Result<Self, String> {
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
        let image = fs::read(folder.join(names::IMAGE)).map_err(words("the image cannot be read"))?;
        let entry = map(&image)?;
        let measurement = Sha256::digest(&image).into();
        // Inside the sandbox even giving memory back is a refused system call.
        drop(image);
        let mapping = Arc::new(mapping);
        let mut runner = Self {
            entry,
            calls: Consumer::new(Arc::clone(&mapping), Lane::Calls),
            outputs: Producer::new(Arc::clone(&mapping), Lane::Outputs),
            mapping,
            bell_in: bell_in.map_err(words("a doorbell cannot be opened"))?,
            bell_out: bell_out.map_err(words("a doorbell cannot be opened"))?,
            input: vec![0; BODY_BYTES_MAX].into_boxed_slice(),
            output: vec![0; BODY_BYTES_MAX].into_boxed_slice(),
            offered: OUTPUT_BYTES,
            _alive: alive,
        };
        _ = rustix::process::setsid();
        _ = rustix::thread::set_name(c"veritee-module");
        let keep = [runner.bell_in.as_fd(), runner.bell_out.as_fd(), runner._alive.as_fd()];
        sandbox::enter(&keep, allow_unconfined)?;
        runner.boot(&measurement)?;
        Ok(runner)
    }

    fn boot(&mut self, measurement: &[u8; 32]) -> Result<(), String> {
        self.input[..32].copy_from_slice(measurement);
        if self.enter(BOOT, 32) == 0 {
            return Err("the module does not start: no randomness".to_owned());
        }
        Ok(())
    }

    fn enter(&mut self, op: u32, length: usize) -> usize {
        let output = &mut self.output[..self.offered];
        // SAFETY: both areas are this process's own, distinct, and as long as said; only this thread touches them.
        unsafe { (self.entry)(op, self.input.as_mut_ptr(), length, output.as_mut_ptr(), output.len()) }
    }

    /// Serves calls for ever.
    fn serve(&mut self) -> ExitCode {
        self.mapping.daemon_sleeps().store(1, Ordering::SeqCst);
        self.mapping.state().store(READY, Ordering::Release);
        self.bell_out.ring();
        loop {
            match self.calls.pop(&mut self.input) {
                Ok(Some(call)) => {
                    self.call(call.call, call.tag, call.length);
                    self.calls.release(call.end);
                }
                Ok(None) => self.sleep(|runner| runner.calls.waits()),
                Err(_) => return ExitCode::from(3),
            }
        }
    }

    /// Enters the module once there is room for the largest output that it was offered.
    fn call(&mut self, call: u64, op: u32, length: usize) {
        loop {
            while self.outputs.room() < self.offered + 2 * RECORD_HEADER_BYTES {
                self.sleep(|runner| runner.outputs.room() >= runner.offered + 2 * RECORD_HEADER_BYTES);
            }
            let written = self.enter(op, length).min(self.offered);
            if self.grow(written) {
                continue;
            }
            let pushed = self.outputs.push(call, op, &self.output[..written]);
            debug_assert!(pushed.is_ok(), "there was room before");
            break;
        }
        fence(Ordering::SeqCst);
        if self.mapping.daemon_sleeps().swap(0, Ordering::SeqCst) == 1 {
            self.bell_out.ring();
        }
    }

    /// Offers more room if the module asked for it and it can be had. Nothing happened in the module then.
    fn grow(&mut self, written: usize) -> bool {
        let Some(Ok(OutputRecord::Result(result))) = OutputReader::new(&self.output[..written]).next() else {
            return false;
        };
        let wanted = usize::try_from(result.value).unwrap_or(usize::MAX);
        let grows = result.status == Status::NoRoom && wanted > self.offered && wanted <= BODY_BYTES_MAX;
        if grows {
            self.offered = wanted;
        }
        grows
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
