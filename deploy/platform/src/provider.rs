//! What a platform gives a provider: board keys, credentials for owners, drivers.

use crate::{Credential, PlatformError, PortTable, VerifyPolicy};
use std::path::{Path, PathBuf};
use veritee_seal::Secret;
use zeroize::Zeroizing;

/// A device of a board with its driver, as owners may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Driver {
    /// Its name: `led`, `button`, …
    pub name: String,
    /// Its number on the board: the device in grants.
    pub device: u16,
    /// It serves one application at a time.
    pub exclusive: bool,
    /// Its ports.
    pub ports: PortTable,
}

/// A driver, as its provider must know it to attest it.
#[derive(Clone, Debug)]
pub struct DriverKeys {
    /// What everybody may know.
    pub driver: Driver,
    /// What its node is given so that it serves as a module: the platform's image.
    pub image: Vec<u8>,
    /// Its reference measurement.
    pub measurement: Vec<u8>,
    /// Its module key.
    pub key: Secret,
    /// The provider's own credential for the board.
    pub credential: Credential,
    /// What the provider allows his own boards to be.
    pub policy: VerifyPolicy,
}

/// What a board is made with.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct BoardOrder<'a> {
    /// Names of its drivers, in the order in which they are enabled.
    pub drivers: &'a [String],
    /// It is emulated.
    pub simulated: bool,
    /// The emulated or real part has no board profile: for study, see the limits of the bare part.
    pub bare: bool,
    /// A folder for what is built.
    pub target: &'a Path,
    /// Called with each line that a compiler says.
    pub talk: &'a (dyn Fn(&str) + Sync),
}

/// Everything that a provider keeps of a board, in the platform's own form, JSON. It is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct BoardRecord(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for BoardRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoardRecord(..)")
    }
}

/// A board that was made.
#[derive(Clone, Debug)]
pub struct BuiltBoard {
    /// What the provider keeps.
    pub record: BoardRecord,
    /// What the board's program memory holds: for its flash, or for the emulator.
    pub firmware: PathBuf,
    /// The board's secret, for its key fuses or for the emulator: 16 bytes.
    pub secret: Secret,
}

/// A kind of TEE, as a provider sees it.
pub trait ProviderPlatform: Send + Sync {
    /// Its word in descriptors.
    fn name(&self) -> &'static str;

    /// Names of all drivers that boards can have.
    fn drivers(&self) -> Vec<String>;

    /// Makes a board: draws its secret, builds what it runs.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or [`PlatformError::System`].
    fn make(&self, order: &BoardOrder<'_>) -> Result<BuiltBoard, PlatformError>;

    /// What an owner is given: the vendor key of his vendor id on this board.
    ///
    /// # Errors
    /// [`PlatformError::Credential`] when the record is none.
    fn credential(&self, board: &BoardRecord, vendor: u16) -> Result<Credential, PlatformError>;

    /// The drivers with their keys of the board that its node calls `name`.
    ///
    /// # Errors
    /// [`PlatformError::Credential`] when the record is none.
    fn keys(&self, board: &BoardRecord, name: &str) -> Result<Vec<DriverKeys>, PlatformError>;

    /// Files that the node of a new board is put together with, beside the board's program memory: names and bytes. None of
    /// them is secret.
    ///
    /// # Errors
    /// [`PlatformError::Credential`] when the record is none; [`PlatformError::System`].
    fn node_files(&self, _built: &BuiltBoard) -> Result<Vec<(String, Vec<u8>)>, PlatformError> {
        Ok(Vec::new())
    }

    /// Signs the finished image of a module of the owner with this vendor id, on platforms that load nothing else.
    ///
    /// # Errors
    /// [`PlatformError::BadImage`] when the image is not what it calls itself, or not of this owner;
    /// [`PlatformError::Credential`] when the record is none, or the platform wants no signatures.
    fn sign(&self, _board: &BoardRecord, _vendor: u16, _image: &[u8]) -> Result<Vec<u8>, PlatformError> {
        Err(PlatformError::Credential { reason: format!("the platform {} wants no signatures", self.name()) })
    }
}
