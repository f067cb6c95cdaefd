//! Doorbells: named pipes in the instance's folder. A later daemon finds them by name.

use rustix::fs::{CWD, Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// One doorbell. Open for reading and writing on both sides, so that nobody's death closes it.
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// Makes a doorbell.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
        Self::open(path, OFlags::NONBLOCK)
    }

    /// Opens a doorbell; with `flags` `NONBLOCK` waiting returns at once.
    pub(crate) fn open(path: &Path, flags: OFlags) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC | flags, Mode::empty())?))
    }

    /// Rings. A bell that is full rings anyway.
    pub(crate) fn ring(&self) {
        _ = rustix::io::write(&self.0, &[1]);
    }

    /// Takes all rings; on a blocking bell waits for the first.
    pub(crate) fn take(&self) {
        let mut rings = [0; 256];
        _ = rustix::io::read(&self.0, &mut rings);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
