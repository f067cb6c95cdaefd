//! Emulated TrustZone machines: a real OP-TEE and a real Linux on QEMU, started by our own monitor.
//!
//! [`packages`] gets what others built, [`build`] builds what is ours; [`machine`] puts both together: [`flash`], [`kernel`], [`tree`],
//! [`archive`] and the disk; [`running`] is a machine that is on.
//!
//! 1. Nothing is taken on trust: versions of core and kit are compared, keys are replaced where they occur exactly once.
//! 2. A machine is a folder. What lies on its disk survives; who copies the folder copies the machine.
//! 3. QEMU protects nothing from this machine's own user. Everything it hosts is simulated, and says so.

pub mod archive;
mod build;
pub mod flash;
pub mod kernel;
pub mod key;
mod machine;
pub mod packages;
mod running;
pub mod tree;

pub use build::{Builder, Programs};
pub use machine::{Machine, Order};
pub use packages::Packages;
pub use running::Running;

use std::path::{Path, PathBuf};

/// Why a machine could not be made or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A part is not what it should be.
    #[error("{part}: {reason}")]
    BadPart {
        /// Which.
        part: String,
        /// Why not.
        reason: String,
    },
    /// Something that others make cannot be had here.
    #[error("{what} cannot be had: {reason}")]
    Missing {
        /// What.
        what: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A program of ours cannot be built.
    #[error("cannot build {program}:\n{output}")]
    Build {
        /// Which.
        program: String,
        /// What the compiler said.
        output: String,
    },
    /// The machine does not do what it should.
    #[error("the machine in {}: {reason}", folder.display())]
    Machine {
        /// Its folder.
        folder: PathBuf,
        /// What happened.
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

impl MachineError {
    fn part(part: &str, reason: &str) -> Self {
        Self::BadPart { part: part.to_owned(), reason: reason.to_owned() }
    }
}

fn system(action: String) -> impl FnOnce(std::io::Error) -> MachineError {
    |source| MachineError::System { action, source }
}

fn read(path: &Path) -> Result<Vec<u8>, MachineError> {
    std::fs::read(path).map_err(system(format!("read {}", path.display())))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), MachineError> {
    std::fs::write(path, bytes).map_err(system(format!("write {}", path.display())))
}
