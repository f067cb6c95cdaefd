//! Sources of the board's freshness device.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use veritee_machine::{FreshnessKind, FreshnessSource};

/// Random numbers of the operating system.
pub(crate) struct Random;

impl FreshnessSource for Random {
    fn kind(&self) -> FreshnessKind {
        FreshnessKind::Random
    }

    fn draw(&mut self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random numbers");
        u128::from_le_bytes(bytes)
    }
}

/// Values of a block; a power-up wastes what is left of one.
const BLOCK: u64 = 1024;

/// A counter in a file, which holds the first value that is not reserved.
pub(crate) struct Counter {
    path: PathBuf,
    next: u64,
    reserved: u64,
}

impl Counter {
    /// Opens the file, or begins it; reserves a block.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let next = match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().with_context(|| format!("{} holds no counter", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => 1,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut this = Self { path: path.to_owned(), next, reserved: next };
        this.reserve().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(this)
    }

    /// Reserves a block: the file is on disk before any of its values is given.
    fn reserve(&mut self) -> std::io::Result<()> {
        let end = self.next + BLOCK;
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".new");
        let mut file = File::create(&temporary)?;
        writeln!(file, "{end}")?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.reserved = end;
        Ok(())
    }
}

impl FreshnessSource for Counter {
    fn kind(&self) -> FreshnessKind {
        FreshnessKind::Counter
    }

    /// # Panics
    /// The file cannot be written: rather no board than one that repeats a value.
    fn draw(&mut self) -> u128 {
        if self.next == self.reserved {
            self.reserve().expect("the file of the freshness counter can be written");
        }
        self.next += 1;
        u128::from(self.next - 1)
    }
}
