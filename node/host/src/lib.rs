//! What a platform gives a node: the second seam of a backend.
//!
//! A backend's node side implements [`Platform`] (loads images, adopts instances after a restart of the daemon) and
//! [`Hosted`] (one running instance: calls go in, outputs come out, death is noticed). The daemon knows nothing else of
//! any TEE. Everything that comes out of an instance is untrusted bytes.

mod board;
mod output;

pub use board::{Board, ReserveRequest};
pub use output::{OutputReader, OutputRecord};

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_ids::Op;

/// What it takes to start an instance.
#[derive(Debug)]
pub struct LoadRequest<'a> {
    /// The image's bytes, as the owner sent them.
    pub image: &'a [u8],
    /// A folder of this instance alone, existing and empty. What the platform keeps there survives the daemon.
    pub directory: &'a Path,
    /// A name for people: logs, process titles.
    pub label: &'a str,
    /// What [`Platform::reserve`] gave for this module; empty without a reservation.
    pub place: &'a [u8],
    /// The owner of the module is this node's provider: he may hold the node's devices.
    pub provider: bool,
}

/// Why an instance could not be started, adopted or spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The image is not one of this platform, or is damaged.
    #[error("the image is refused: {reason}")]
    BadImage {
        /// What is wrong with it.
        reason: String,
    },
    /// A place cannot be had, or is not the request's to use.
    #[error("{reason}")]
    NoRoom {
        /// What was wanted, and what there is.
        reason: String,
    },
    /// The device that instances run on does not answer. It may later.
    #[error("{reason}")]
    Unreachable {
        /// Which, and what to check.
        reason: String,
    },
    /// Somebody else has it, or may have it.
    #[error("{reason}")]
    Denied {
        /// What, and who may.
        reason: String,
    },
    /// There is no living instance to adopt in this folder.
    #[error("no living instance in {}", directory.display())]
    NothingToAdopt {
        /// The folder.
        directory: PathBuf,
    },
    /// The instance or its channel broke the rules of the channel.
    #[error("the instance broke its channel: {reason}")]
    BrokenChannel {
        /// Which rule.
        reason: String,
    },
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was being done.
        action: String,
        /// The system's error.
        source: std::io::Error,
    },
}

/// The call number of an output that answers no call: a driver's interrupt made it. No call ever has it.
pub const UNASKED: u64 = u64::MAX;

/// The channel into the instance is full: try again after it was drained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// How an instance ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Death {
    /// For people: `exit code 3`, `signal 9 (SIGKILL)`, `system call refused (SIGSYS)`.
    pub reason: String,
}

/// One output of an instance: everything that one call left behind.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Position in the instance's channel just behind this output; hand it to [`Hosted::release`].
    pub position: u64,
    /// The call that it answers, as given to [`Hosted::push`]; [`UNASKED`] if it answers none.
    pub call: u64,
    /// Output records (`veritee_wire::output`). Untrusted.
    pub bytes: &'a [u8],
}

/// A kind of TEE on this node.
pub trait Platform: Send + Sync {
    /// Its word in descriptors: `native`, `sgx`, …
    fn name(&self) -> &'static str;

    /// How it runs modules on this machine, for people; nothing where its word says it all.
    fn here(&self) -> Option<String> {
        None
    }

    /// Picks the place where a module is to run, and keeps nothing: the node remembers it and names it from now on in
    /// [`ReserveRequest::taken`]. What `need` and place say is between this and the owner's side of the platform. May take
    /// seconds. By default images run anywhere: the place is empty.
    ///
    /// # Errors
    /// [`HostError::NoRoom`] when no board has so much; [`HostError::Unreachable`] when the board does not answer;
    /// [`HostError::BadImage`] when the need makes no sense.
    fn reserve(&self, request: &ReserveRequest<'_>) -> Result<Vec<u8>, HostError> {
        let _ = request;
        Ok(Vec::new())
    }

    /// The boards behind this node that instances run on, with what is free there beside the places that are `taken`.
    /// Empty for platforms of the node itself. Returns at once.
    fn boards(&self, taken: &[&[u8]]) -> Vec<Board> {
        let _ = taken;
        Vec::new()
    }

    /// Starts an instance of an image.
    ///
    /// # Errors
    /// [`HostError::BadImage`] when the image is refused; [`HostError::System`] when the system is;
    /// [`HostError::NoRoom`], [`HostError::Unreachable`] and [`HostError::Denied`] as said there.
    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Hosted>, HostError>;

    /// Takes over an instance that an earlier daemon started in `directory` and that still lives.
    /// Outputs that were not released are given again, from the oldest one.
    ///
    /// # Errors
    /// [`HostError::NothingToAdopt`] when there is none.
    fn adopt(&self, directory: &Path) -> Result<Box<dyn Hosted>, HostError>;

    /// Runs the platform's helper process when the daemon's own program is started with
    /// `runner PLATFORM ARGUMENTS…`. Returns when the instance ends.
    fn runner(&self, arguments: &[std::ffi::OsString]) -> ExitCode;
}

/// One running instance. All methods return at once.
pub trait Hosted: Send {
    /// Readable while outputs wait. Stays readable until [`pull`](Self::pull) has taken them.
    fn wake_fd(&self) -> BorrowedFd<'_>;

    /// Readable once the instance has ended.
    fn death_fd(&self) -> BorrowedFd<'_>;

    /// Queues a call. Calls are entered in order; each gets exactly one output while the instance lives.
    ///
    /// # Errors
    /// [`Full`] when the channel has no room; nothing was queued.
    fn push(&mut self, call: u64, op: Op, input: &[u8]) -> Result<(), Full>;

    /// Wakes the instance if it sleeps. Called once after a batch of pushes.
    fn flush(&mut self);

    /// Gives the outputs that wait, oldest first, at most `limit` of them; each is given once. Their room in the channel
    /// is not free before [`release`](Self::release): until then they survive a crash of the daemon.
    ///
    /// # Errors
    /// [`HostError::BrokenChannel`] when the instance wrote nonsense: it should be ended.
    fn pull(&mut self, limit: usize, sink: &mut dyn FnMut(Output<'_>)) -> Result<usize, HostError>;

    /// Frees the room of all outputs up to `position`.
    fn release(&mut self, position: u64);

    /// Why calls wait for longer than the instance needs, as while its board is not reached; none usually.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// How it ended, once it has.
    fn death(&mut self) -> Option<Death>;

    /// Ends the instance. Its death is reported as usual.
    fn end(&mut self);
}
