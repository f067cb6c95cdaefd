//! What an owner knows of an application, durable: a journal in `.veritee/` beside the descriptor.
//!
//! A line of JSON an entry, each synced before the effect that it announces. A torn last line is an entry that was not
//! written. Numbers and rows of connections wait in memory until the first effect: verbs that only look write nothing.
//! The folder is locked while a process of the tool uses it.

use crate::home::sync_folder;
use crate::{ExecError, hex, random};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use veritee_ids::{ActivationId, ApplicationId, ConnectionId, Epoch};
use veritee_session::keys::EpochRecord;

/// Version of the journal.
const VERSION: u32 = 2;
const JOURNAL: &str = "journal";
const LOCK: &str = "lock";

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "entry", deny_unknown_fields)]
enum Entry {
    /// The first line.
    Application { version: u32, name: String, id: String },
    /// A connection has its number and rows.
    Assigned { connection: String, assignment: Assignment },
    /// A connection is gone.
    Removed { connection: String },
    /// An epoch is about to be opened.
    Epoch { connection: u16, epoch: u32, salt: String, source: String, target: String },
    /// Where a module is.
    Placed { module: String, place: Placed },
    /// A module is gone.
    Forgotten { module: String },
    /// A module is about to seal its state under the next number, in an operation.
    Sealing { module: String, counter: u64, operation: String },
    /// A sealed state is durable: an older one is refused from now on.
    Sealed { module: String, counter: u64, file: PathBuf },
    /// A delegation is about to be signed.
    Delegating(Delegating),
    /// Modules are about to refuse delegations with lower serials.
    Revoking { below: u64 },
}

/// A delegation that was given out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegating {
    /// Its serial.
    pub serial: u64,
    /// The delegate's fingerprint.
    pub delegate: String,
    /// First and last epoch that he may open.
    pub epochs: (u32, u32),
    /// Its last second, since 1970.
    pub not_after: u64,
}

/// Number and rows of a connection; they stay as long as it exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// Its ends and its cipher: with others it is another connection.
    pub shape: String,
    /// Its number.
    pub id: u16,
    /// Row at the source; `None` for direct connections.
    pub source_row: Option<u16>,
    /// Rows at the target: one, or one a caller.
    pub target_rows: Vec<u16>,
}

/// Where a module is, and what is given back when it goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Its node.
    pub node: String,
    /// For a driver: its board, and which one it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent: Option<(String, String)>,
}

/// What is known of a module's sealed states.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seals {
    /// The highest number that was taken.
    taken: u64,
    /// The newest state that came to be: its number, and where it was put.
    pub witnessed: Option<(u64, PathBuf)>,
}

/// The state of an application, loaded and locked.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    journal: File,
    /// Entries that were decided and not written yet.
    waiting: Vec<Entry>,
    _lock: File,
    /// The application's UUID.
    pub application: ApplicationId,
    /// Connections by name.
    pub assigned: BTreeMap<String, Assignment>,
    /// The newest epoch of each connection (and caller's slot), durable before its first set-key left.
    pub epochs: BTreeMap<u16, EpochRecord>,
    /// Places of modules.
    pub placed: BTreeMap<String, Placed>,
    /// Sealed states of modules.
    pub seals: BTreeMap<String, Seals>,
    /// Delegations that were given out, by serial.
    pub delegations: BTreeMap<u64, Delegating>,
    /// The lowest serial of a delegation that modules may accept.
    pub serial_floor: u64,
}

impl State {
    /// Opens the state of an application, or begins one; `known` is the UUID that an application of which the state was
    /// lost has at its nodes.
    ///
    /// # Errors
    /// [`ExecError::Locked`] while another process uses it; [`ExecError::BadState`] when it belongs to another application
    /// or version; [`ExecError::File`].
    pub fn open(folder: &Path, name: &str, known: Option<ApplicationId>) -> Result<Self, ExecError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(ExecError::file("make", folder))?;
        let lock = lock(&folder.join(LOCK))?;
        let path = folder.join(JOURNAL);
        let text = if path.exists() {
            fs::read_to_string(&path).map_err(ExecError::file("read", &path))?
        } else {
            String::new()
        };
        let journal = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let mut state = Self {
            folder: folder.to_owned(),
            journal: journal.map_err(ExecError::file("open", &path))?,
            waiting: Vec::new(),
            _lock: lock,
            application: ApplicationId([0; 16]),
            assigned: BTreeMap::new(),
            epochs: BTreeMap::new(),
            placed: BTreeMap::new(),
            seals: BTreeMap::new(),
            delegations: BTreeMap::new(),
            serial_floor: 0,
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole == 0 {
            state.begin(name, known)?;
        } else {
            if whole < text.len() {
                // The last entry was being written when the tool ended: its effect never began.
                let length = u64::try_from(whole).unwrap_or(u64::MAX);
                state.journal.set_len(length).map_err(ExecError::file("mend", &path))?;
            }
            for line in text[..whole].lines() {
                let entry = serde_json::from_str(line).map_err(|error| state.bad(error.to_string()))?;
                state.take(entry, name)?;
            }
        }
        Ok(state)
    }

    /// Whether a folder holds a state.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        fs::metadata(folder.join(JOURNAL)).is_ok_and(|journal| journal.len() > 0)
    }

    fn begin(&mut self, name: &str, known: Option<ApplicationId>) -> Result<(), ExecError> {
        let path = self.folder.join(JOURNAL);
        self.journal.set_len(0).map_err(ExecError::file("begin", &path))?;
        self.application = known.map_or_else(|| random().map(ApplicationId), Ok)?;
        let id = hex(&self.application.0);
        self.waiting.push(Entry::Application { version: VERSION, name: name.to_owned(), id });
        Ok(())
    }

    /// Makes durable what was decided so far. Due before the first effect.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn keep(&mut self) -> Result<(), ExecError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = self.waiting.iter().map(line).collect();
        self.append(&lines.concat())?;
        self.waiting.clear();
        sync_folder(&self.folder.join(JOURNAL))
    }

    fn bad(&self, reason: impl Into<String>) -> ExecError {
        ExecError::BadState { path: self.folder.join(JOURNAL), reason: reason.into() }
    }

    fn take(&mut self, entry: Entry, name: &str) -> Result<(), ExecError> {
        match entry {
            Entry::Application { version, .. } if version != VERSION => {
                return Err(self.bad(format!("it has version {version}, this tool writes {VERSION}")));
            }
            Entry::Application { name: found, .. } if found != name => {
                let advice = "take `down` the other one first, or move its `.veritee` folder away";
                return Err(self.bad(format!("it belongs to the application {found:?}, not {name:?}; {advice}")));
            }
            Entry::Application { id, .. } => self.application = ApplicationId(self.bytes(&id)?),
            Entry::Assigned { connection, assignment } => {
                self.assigned.insert(connection, assignment);
            }
            Entry::Removed { connection } => {
                self.assigned.remove(&connection);
            }
            Entry::Epoch { connection, epoch, salt, source, target } => {
                let record = EpochRecord {
                    application: self.application,
                    connection: ConnectionId(connection),
                    epoch: Epoch(epoch),
                    salt: self.bytes(&salt)?,
                    source: ActivationId(self.bytes(&source)?),
                    target: ActivationId(self.bytes(&target)?),
                };
                self.epochs.insert(connection, record);
            }
            Entry::Placed { module, place } => {
                self.placed.insert(module, place);
            }
            Entry::Forgotten { module } => {
                self.placed.remove(&module);
            }
            Entry::Sealing { module, counter, .. } => self.seals.entry(module).or_default().taken = counter,
            Entry::Sealed { module, counter, file } => self.seals.entry(module).or_default().take(counter, file),
            Entry::Delegating(delegation) => {
                self.delegations.insert(delegation.serial, delegation);
            }
            Entry::Revoking { below } => self.serial_floor = self.serial_floor.max(below),
        }
        Ok(())
    }

    fn bytes<const N: usize>(&self, text: &str) -> Result<[u8; N], ExecError> {
        unhex(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| self.bad(format!("{text:?} is no number")))
    }

    /// Writes an entry, behind those that wait, and waits for the disk.
    fn write(&mut self, entry: &Entry) -> Result<(), ExecError> {
        self.keep()?;
        self.append(&line(entry))
    }

    fn append(&mut self, lines: &str) -> Result<(), ExecError> {
        let written = self.journal.write_all(lines.as_bytes()).and_then(|()| self.journal.sync_data());
        written.map_err(ExecError::file("write", self.folder.join(JOURNAL)))
    }

    /// Gives a connection its number and rows; durable with the next entry, or [`keep`](Self::keep).
    pub fn assign(&mut self, connection: &str, assignment: &Assignment) {
        if self.assigned.get(connection) == Some(assignment) {
            return;
        }
        let entry = Entry::Assigned { connection: connection.to_owned(), assignment: assignment.clone() };
        self.waiting.push(entry);
        self.assigned.insert(connection.to_owned(), assignment.clone());
    }

    /// Forgets a connection.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn remove(&mut self, connection: &str) -> Result<(), ExecError> {
        self.write(&Entry::Removed { connection: connection.to_owned() })?;
        self.assigned.remove(connection);
        Ok(())
    }

    /// Records an epoch before its first set-key leaves.
    ///
    /// # Errors
    /// [`ExecError::File`]: nothing may be sent then.
    pub fn record(&mut self, record: &EpochRecord) -> Result<(), ExecError> {
        self.write(&Entry::Epoch {
            connection: record.connection.0,
            epoch: record.epoch.0,
            salt: hex(&record.salt),
            source: hex(&record.source.0),
            target: hex(&record.target.0),
        })?;
        self.epochs.insert(record.connection.0, *record);
        Ok(())
    }

    /// Remembers where a module is.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn place(&mut self, module: &str, place: &Placed) -> Result<(), ExecError> {
        if self.placed.get(module) == Some(place) {
            return Ok(());
        }
        self.write(&Entry::Placed { module: module.to_owned(), place: place.clone() })?;
        self.placed.insert(module.to_owned(), place.clone());
        Ok(())
    }

    /// Forgets a module.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn forget(&mut self, module: &str) -> Result<(), ExecError> {
        self.write(&Entry::Forgotten { module: module.to_owned() })?;
        self.placed.remove(module);
        Ok(())
    }

    /// Takes the next number of a module's sealed states, before the module hears of it. `now`, in seconds since 1970, sees to it
    /// that a journal that was lost, copied or restored gives no number again that a state has already.
    ///
    /// # Errors
    /// [`ExecError::File`]: nothing may be sent then.
    pub fn take_seal(&mut self, module: &str, operation: &str, now: u64) -> Result<u64, ExecError> {
        let counter = now.max(self.taken_seal(module) + 1);
        self.write(&Entry::Sealing { module: module.to_owned(), counter, operation: operation.to_owned() })?;
        self.seals.entry(module.to_owned()).or_default().taken = counter;
        Ok(counter)
    }

    /// The highest number of a module's sealed states that was taken.
    #[must_use]
    pub fn taken_seal(&self, module: &str) -> u64 {
        self.seals.get(module).map_or(0, |known| known.taken)
    }

    /// Witnesses a sealed state: from now on an older one is refused.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn witness(&mut self, module: &str, counter: u64, file: &Path) -> Result<(), ExecError> {
        self.write(&Entry::Sealed { module: module.to_owned(), counter, file: file.to_owned() })?;
        self.seals.entry(module.to_owned()).or_default().take(counter, file.to_owned());
        Ok(())
    }

    /// A serial above all that this application's delegations ever had. `now`, in seconds since 1970, sees to that where a lost
    /// state knows of none.
    #[must_use]
    pub fn next_serial(&self, now: u64) -> u64 {
        let given = self.delegations.last_key_value().map_or(0, |(serial, _)| serial + 1);
        given.max(self.serial_floor).max(now)
    }

    /// Remembers a delegation, before it is signed.
    ///
    /// # Errors
    /// [`ExecError::File`]: nothing may be signed then.
    pub fn delegate(&mut self, delegation: &Delegating) -> Result<(), ExecError> {
        self.write(&Entry::Delegating(delegation.clone()))?;
        self.delegations.insert(delegation.serial, delegation.clone());
        Ok(())
    }

    /// Remembers that delegations with lower serials are revoked, before modules hear of it. A serial that was revoked stays so.
    ///
    /// # Errors
    /// [`ExecError::File`]: nothing may be sent then.
    pub fn revoke(&mut self, below: u64) -> Result<(), ExecError> {
        if below > self.serial_floor {
            self.write(&Entry::Revoking { below })?;
            self.serial_floor = below;
        }
        Ok(())
    }

    /// The state's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Seals {
    fn take(&mut self, counter: u64, file: PathBuf) {
        self.taken = self.taken.max(counter);
        self.witnessed = Some((counter, file));
    }
}

fn line(entry: &Entry) -> String {
    let mut line = serde_json::to_string(entry).expect("entries are JSON");
    line.push('\n');
    line
}

/// Takes a lock file, or says who is in the way.
fn lock(path: &Path) -> Result<File, ExecError> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(ExecError::file("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ExecError::Locked(path.to_owned())),
        Err(error) => Err(ExecError::file("lock", path)(error.into())),
    }
}

/// Bytes of a hexadecimal text.
/// Bytes of hexadecimal text.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}
