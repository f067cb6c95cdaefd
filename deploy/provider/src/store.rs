//! What a provider keeps: boards with their secrets, owners with their vendor ids, grants. One file, replaced at once and
//! durably before any effect of a change, under a lock: a service and other verbs may work beside each other.

use crate::ProviderError;
use crate::grants::Grant;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use veritee_exec::home::{BoardKey, Home, replace};
use veritee_exec::provider::ProviderAddress;
use veritee_exec::{ExecError, platforms};
use veritee_platform::{BoardRecord, DriverKeys, ProviderPlatform};
use zeroize::Zeroizing;

const FILE: &str = "provider.json";
/// Vendor ids of owners begin here: lower ones are the provider's.
const VENDOR_FIRST: u16 = 2;

/// A board.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its platform's word.
    pub platform: String,
    /// The node behind which it is, as the provider calls it.
    pub node: String,
    /// What the platform keeps of it. Secret.
    record: Box<serde_json::value::RawValue>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Board({} behind {})", self.platform, self.node)
    }
}

impl Board {
    pub(crate) fn record(&self) -> BoardRecord {
        BoardRecord(Zeroizing::new(self.record.get().as_bytes().to_vec()))
    }

    pub(crate) fn platform(&self) -> Result<Box<dyn ProviderPlatform>, ProviderError> {
        platforms::provider(&self.platform).ok_or_else(|| ProviderError::NoSuch {
            what: "platform with boards",
            name: self.platform.clone(),
            candidates: platforms::providers().iter().map(|platform| platform.name().to_owned()).collect(),
        })
    }

    /// The drivers with their keys of the board of this name.
    pub(crate) fn drivers(&self, name: &str) -> Result<Vec<DriverKeys>, ProviderError> {
        Ok(self.platform()?.keys(&self.record(), name).map_err(ExecError::from)?)
    }
}

/// Everything that is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Kept {
    /// Boards by name.
    pub(crate) boards: BTreeMap<String, Board>,
    /// Vendor ids of owners, by fingerprint; they stay for ever.
    pub(crate) vendors: BTreeMap<String, u16>,
    /// Owners who have a key of a board, by board.
    pub(crate) customers: BTreeMap<String, Vec<String>>,
    /// Short names of applications at drivers, by UUID in hexadecimal; they stay for ever.
    pub(crate) handles: BTreeMap<String, u16>,
    /// Drivers in use, or reserved.
    pub(crate) grants: Vec<Grant>,
}

/// A provider's folder: his identity, the nodes that know him, and what he keeps.
#[derive(Debug)]
pub struct Store {
    home: Home,
    path: PathBuf,
    pub(crate) kept: Kept,
}

impl Store {
    /// Opens a provider's folder, or begins one.
    ///
    /// # Errors
    /// [`ProviderError::Exec`] when it cannot be read, or is no provider's.
    pub fn open(folder: &Path) -> Result<Self, ProviderError> {
        let home = Home::at(folder.to_owned());
        home.identity()?;
        let path = folder.join(FILE);
        let kept = read(&path)?;
        Ok(Self { home, path, kept })
    }

    /// Reads again what another process may have changed.
    pub(crate) fn refresh(&mut self) -> Result<(), ProviderError> {
        self.kept = read(&self.path)?;
        Ok(())
    }

    /// Where the books are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// His identity and the nodes that know him.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Boards by name.
    #[must_use]
    pub const fn boards(&self) -> &BTreeMap<String, Board> {
        &self.kept.boards
    }

    /// Grants.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.kept.grants
    }

    /// Makes a change durable: nothing of it counts before.
    pub(crate) fn change<T>(
        &mut self, change: impl FnOnce(&mut Kept) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let _lock = lock(&self.path.with_extension("lock"))?;
        let mut kept = read(&self.path)?;
        let came = change(&mut kept)?;
        let text = Zeroizing::new(
            serde_json::to_string_pretty(&kept)
                .map_err(|error| ExecError::BadState { path: self.path.clone(), reason: error.to_string() })?,
        );
        replace(&self.path, text.as_bytes())?;
        self.kept = kept;
        Ok(came)
    }

    /// A board.
    pub(crate) fn board(&self, name: &str) -> Result<&Board, ProviderError> {
        self.kept.boards.get(name).ok_or_else(|| ProviderError::NoSuch {
            what: "board",
            name: name.to_owned(),
            candidates: self.kept.boards.keys().cloned().collect(),
        })
    }

    /// Names of a board's drivers.
    ///
    /// # Errors
    /// [`ProviderError::NoSuch`], [`ProviderError::Exec`].
    pub fn driver_names(&self, board: &str) -> Result<Vec<String>, ProviderError> {
        Ok(self.board(board)?.drivers(board)?.into_iter().map(|found| found.driver.name).collect())
    }

    /// A driver of a board, with its keys.
    pub(crate) fn driver(&self, board: &str, driver: &str) -> Result<DriverKeys, ProviderError> {
        let drivers = self.board(board)?.drivers(board)?;
        let names = || drivers.iter().map(|found| found.driver.name.clone()).collect();
        let found = drivers.iter().find(|found| found.driver.name == driver).cloned();
        found.ok_or_else(|| ProviderError::NoSuch { what: "driver", name: driver.to_owned(), candidates: names() })
    }

    /// Takes a new board into the books.
    ///
    /// # Errors
    /// [`ProviderError::Taken`], [`ProviderError::Exec`].
    pub fn add_board(
        &mut self, name: &str, node: &str, platform: &str, record: &BoardRecord,
    ) -> Result<(), ProviderError> {
        let record = serde_json::from_slice(&record.0)
            .map_err(|error| ExecError::BadState { path: self.path.clone(), reason: error.to_string() })?;
        let board = Board { platform: platform.to_owned(), node: node.to_owned(), record };
        self.change(|kept| match kept.boards.contains_key(name) {
            true => Err(ProviderError::Taken(name.to_owned())),
            false => {
                kept.boards.insert(name.to_owned(), board);
                Ok(())
            }
        })
    }

    /// The key of a board for an owner. His vendor id is drawn at the first one, and stays: one owner, one id; it is
    /// nobody else's, even when he is gone.
    ///
    /// # Errors
    /// [`ProviderError::NoSuch`], [`ProviderError::UsedUp`], [`ProviderError::Exec`].
    pub fn vendor_key(
        &mut self, board: &str, owner: &str, service: Option<ProviderAddress>,
    ) -> Result<BoardKey, ProviderError> {
        self.board(board)?;
        let vendor = self.change(|kept| {
            let customers = kept.customers.entry(board.to_owned()).or_default();
            if !customers.iter().any(|known| known == owner) {
                customers.push(owner.to_owned());
            }
            let next = kept.vendors.values().max().map_or(Some(VENDOR_FIRST), |last| last.checked_add(1));
            match kept.vendors.get(owner) {
                Some(vendor) => Ok(*vendor),
                None => {
                    let vendor = next.ok_or(ProviderError::UsedUp("owners"))?;
                    kept.vendors.insert(owner.to_owned(), vendor);
                    Ok(vendor)
                }
            }
        })?;
        let found = self.board(board)?;
        let credential = found.platform()?.credential(&found.record(), vendor).map_err(ExecError::from)?;
        let credential = serde_json::from_slice(&credential.0)
            .map_err(|error| ExecError::BadState { path: self.path.clone(), reason: error.to_string() })?;
        Ok(BoardKey { platform: found.platform.clone(), board: board.to_owned(), provider: service, credential })
    }
}

impl Store {
    /// Signs an image of an owner who has a key of the board.
    ///
    /// # Errors
    /// [`ProviderError::NoSuch`], [`ProviderError::Stranger`]; [`ProviderError::Exec`] when the image is refused.
    pub fn sign(&self, board: &str, owner: &str, image: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let found = self.board(board)?;
        let knows = self.kept.customers.get(board).is_some_and(|known| known.iter().any(|known| known == owner));
        let vendor = self.kept.vendors.get(owner).copied().filter(|_| knows);
        let vendor =
            vendor.ok_or_else(|| ProviderError::Stranger { owner: owner.to_owned(), board: board.to_owned() })?;
        Ok(found.platform()?.sign(&found.record(), vendor, image).map_err(ExecError::from)?)
    }
}

/// Reads the books; there are none at the beginning.
pub(crate) fn read(path: &Path) -> Result<Kept, ExecError> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&Zeroizing::new(text))
            .map_err(|error| ExecError::BadState { path: path.to_owned(), reason: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(source) => Err(ExecError::File { action: "read", path: path.to_owned(), source }),
    }
}

/// Waits for the lock; it is held for one change only.
fn lock(path: &Path) -> Result<File, ExecError> {
    let failed = |action| move |source| ExecError::File { action, path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(failed("open"))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed("lock")(error.into()))?;
    Ok(file)
}
