//! Who the owner is: his identity, his root, the nodes that know him. Files of mode 0600 in one folder.

use crate::provider::ProviderAddress;
use crate::state::{State, unhex};
use crate::{ExecError, hex, random};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use veritee_ids::ApplicationId;
use veritee_node_client::{Identity, parse_fingerprint};
use veritee_platform::Credential;
use veritee_session::{OwnerIdentity, OwnerRoot};
use zeroize::Zeroizing;

const IDENTITY: &str = "identity.key";
const ROOT: &str = "root.key";
const NODES: &str = "nodes.json";
const APPLICATIONS: &str = "applications.json";
const BOARDS: &str = "boards.json";

/// An owner's folder.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

/// A node that knows the owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownNode {
    /// `host:port`.
    pub address: String,
    /// Its identity in hexadecimal.
    pub fingerprint: String,
}

/// An application that is up: which it is at its nodes, should its state be lost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownApplication {
    /// Its name.
    pub name: String,
    /// The folders of its state and of copies of it.
    pub states: BTreeSet<PathBuf>,
}

/// What a provider gave to this owner alone for one board: a file that travels from him to the owner. It is secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardKey {
    /// The platform's word.
    pub platform: String,
    /// The board, as its provider and its node call it.
    pub board: String,
    /// The provider's service, for drivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderAddress>,
    /// The platform's credential.
    pub credential: Box<serde_json::value::RawValue>,
}

impl BoardKey {
    /// The platform's credential.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential(Zeroizing::new(self.credential.get().as_bytes().to_vec()))
    }
}

impl std::fmt::Debug for BoardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoardKey({} {})", self.platform, self.board)
    }
}

/// Keys of boards, by node and board.
pub type BoardKeys = BTreeMap<String, BTreeMap<String, BoardKey>>;

impl KnownNode {
    /// The identity's bytes.
    ///
    /// # Errors
    /// [`ExecError::BadState`] when they are none.
    pub fn identity(&self) -> Result<[u8; 32], ExecError> {
        parse_fingerprint(&self.fingerprint).map_err(|_| ExecError::BadState {
            path: NODES.into(),
            reason: format!("{:?} is no fingerprint", self.fingerprint),
        })
    }
}

impl Home {
    /// The folder of this user: `$VERITEE_HOME_DIR`, else `$XDG_CONFIG_HOME/veritee`, else `~/.config/veritee`.
    #[must_use]
    pub fn of_user() -> Self {
        let named = std::env::var_os("VERITEE_HOME_DIR").map(PathBuf::from);
        let config = std::env::var_os("XDG_CONFIG_HOME").map(|folder| PathBuf::from(folder).join("veritee"));
        let home = || std::env::home_dir().unwrap_or_default().join(".config/veritee");
        Self::at(named.or(config).unwrap_or_else(home))
    }

    /// An owner's folder anywhere.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The owner's identity; made when there is none.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::Identity`].
    pub fn identity(&self) -> Result<Identity, ExecError> {
        self.make()?;
        let path = self.folder.join(IDENTITY);
        if !path.exists() {
            Identity::generate()?.save(&path)?;
        }
        Ok(Identity::load(&path)?)
    }

    /// The same identity, as the modules' owner.
    ///
    /// # Errors
    /// As [`identity`](Self::identity).
    pub fn owner(&self) -> Result<OwnerIdentity, ExecError> {
        Ok(OwnerIdentity::from_seed(&self.identity()?.seed()))
    }

    /// The owner's root; made when there is none.
    ///
    /// # Errors
    /// [`ExecError::File`], [`ExecError::BadState`] or [`ExecError::NoEntropy`].
    pub fn root(&self) -> Result<OwnerRoot, ExecError> {
        self.make()?;
        let path = self.folder.join(ROOT);
        if !path.exists() {
            let bytes = Zeroizing::new(random::<32>()?);
            write_new(&path, bytes.as_slice())?;
        }
        let bytes = Zeroizing::new(fs::read(&path).map_err(ExecError::file("read", &path))?);
        let bytes: Result<[u8; 32], _> = bytes.as_slice().try_into();
        let reason = "a root has 32 bytes; restore it from a backup".to_owned();
        bytes.map(OwnerRoot::new).map_err(|_| ExecError::BadState { path, reason })
    }

    /// The nodes that know the owner, by name.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::BadState`].
    pub fn nodes(&self) -> Result<BTreeMap<String, KnownNode>, ExecError> {
        let path = self.folder.join(NODES);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let text = fs::read_to_string(&path).map_err(ExecError::file("read", &path))?;
        serde_json::from_str(&text).map_err(|error| ExecError::BadState { path, reason: error.to_string() })
    }

    /// Replaces the list of nodes.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn set_nodes(&self, nodes: &BTreeMap<String, KnownNode>) -> Result<(), ExecError> {
        self.make()?;
        let path = self.folder.join(NODES);
        let text = serde_json::to_string_pretty(nodes)
            .map_err(|error| ExecError::BadState { path: path.clone(), reason: error.to_string() })?;
        replace(&path, text.as_bytes())
    }

    /// The owner's keys of boards, by node and board.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::BadState`].
    pub fn boards(&self) -> Result<BoardKeys, ExecError> {
        let path = self.folder.join(BOARDS);
        if !path.exists() {
            return Ok(BoardKeys::new());
        }
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(ExecError::file("read", &path))?);
        serde_json::from_str(&text).map_err(|error| ExecError::BadState { path, reason: error.to_string() })
    }

    /// Takes the key of the board that descriptors call `name`, or replaces it.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::BadState`].
    pub fn add_board(&self, node: &str, name: &str, key: BoardKey) -> Result<(), ExecError> {
        self.make()?;
        let mut boards = self.boards()?;
        boards.entry(node.to_owned()).or_default().insert(name.to_owned(), key);
        let path = self.folder.join(BOARDS);
        let text = serde_json::to_string_pretty(&boards)
            .map_err(|error| ExecError::BadState { path: path.clone(), reason: error.to_string() })?;
        replace(&path, Zeroizing::new(text).as_bytes())
    }

    /// Applications that are up, by UUID in hexadecimal.
    fn applications(&self) -> Result<BTreeMap<String, KnownApplication>, ExecError> {
        let path = self.folder.join(APPLICATIONS);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let text = fs::read_to_string(&path).map_err(ExecError::file("read", &path))?;
        serde_json::from_str(&text).map_err(|error| ExecError::BadState { path, reason: error.to_string() })
    }

    fn set_applications(&self, known: &BTreeMap<String, KnownApplication>) -> Result<(), ExecError> {
        self.make()?;
        let path = self.folder.join(APPLICATIONS);
        let text = serde_json::to_string_pretty(known)
            .map_err(|error| ExecError::BadState { path: path.clone(), reason: error.to_string() })?;
        replace(&path, text.as_bytes())
    }

    /// The UUID of an application that is up and whose state was lost: the one of this name that had a state in this
    /// folder, or else the only one of this name whose states are not where they were. A second application of one name has
    /// a state of its own, and is not taken for the first one.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::BadState`].
    pub fn lost_application(&self, name: &str, state: &Path) -> Result<Option<ApplicationId>, ExecError> {
        let known = self.applications()?;
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        let named = || known.iter().filter(|(_, application)| application.name == name);
        let here = named().find(|(_, application)| application.states.contains(&state));
        let mut elsewhere =
            named().filter(|(_, application)| !application.states.iter().any(|state| State::exists(state)));
        let only = elsewhere.next().filter(|_| elsewhere.next().is_none());
        let found = here.or(only).and_then(|(id, _)| unhex(id)?.try_into().ok());
        Ok(found.map(ApplicationId))
    }

    /// Remembers where the state of an application is.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::BadState`].
    pub fn remember(&self, application: ApplicationId, name: &str, state: &Path) -> Result<(), ExecError> {
        let mut known = self.applications()?;
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        let new = || KnownApplication { name: name.to_owned(), states: BTreeSet::new() };
        if !known.entry(hex(&application.0)).or_insert_with(new).states.insert(state) {
            return Ok(());
        }
        self.set_applications(&known)
    }

    /// Forgets an application that is down.
    ///
    /// # Errors
    /// [`ExecError::File`] or [`ExecError::BadState`].
    pub fn forget(&self, application: ApplicationId) -> Result<(), ExecError> {
        let mut known = self.applications()?;
        match known.remove(&hex(&application.0)) {
            Some(_) => self.set_applications(&known),
            None => Ok(()),
        }
    }

    fn make(&self) -> Result<(), ExecError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(ExecError::file("make", &self.folder))
    }
}

/// Writes a new file of mode 0600, durably.
///
/// # Errors
/// [`ExecError::File`], also when there is one.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), ExecError> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(ExecError::file("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(ExecError::file("write", path))?;
    sync_folder(path)
}

/// Replaces a file at once and durably; the new one has mode 0600.
///
/// # Errors
/// [`ExecError::File`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), ExecError> {
    let draft = path.with_extension("draft");
    let _ = fs::remove_file(&draft);
    write_new(&draft, bytes)?;
    fs::rename(&draft, path).map_err(ExecError::file("replace", path))?;
    sync_folder(path)
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), ExecError> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(ExecError::file("sync", folder))
}
