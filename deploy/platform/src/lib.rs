//! What a platform gives an owner: the third seam of a backend.
//!
//! A backend's image builder and verifier together implement [`OwnerPlatform`]: build an image from source and compute its
//! reference measurement; judge evidence, and say which secret the session starts from.

mod ports;

pub use ports::{Port, PortTable};

use std::path::{Path, PathBuf};
use veritee_ids::{ActivationId, Challenge, CipherId, Freshness};

/// The framework's sources, that images are built from: as `VERITEE_HOME` names them, or where this program was built.
///
/// # Errors
/// [`PlatformError::MissingTool`] when they are not there.
pub fn framework() -> Result<PathBuf, PlatformError> {
    let built_from = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folder = std::env::var_os("VERITEE_HOME").map_or_else(built_from, PathBuf::from);
    let folder = folder.canonicalize().unwrap_or(folder);
    check_framework(&folder).map(|()| folder)
}

/// Whether a folder has the framework's sources.
///
/// # Errors
/// [`PlatformError::MissingTool`] when it has not.
pub fn check_framework(folder: &Path) -> Result<(), PlatformError> {
    if folder.join("trusted").is_dir() && folder.join("sdk").is_dir() {
        return Ok(());
    }
    Err(PlatformError::MissingTool {
        tool: format!("the sources of Veritee in {}", folder.display()),
        advice: "set VERITEE_HOME to a checkout".to_owned(),
    })
}

/// Languages that a module can be written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// A `no_std` library crate.
    Rust,
    /// C files.
    C,
}

/// What is to be built.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct BuildOrder<'a> {
    /// The module's name in the descriptor.
    pub module: &'a str,
    /// The language of the source.
    pub language: Language,
    /// Folder of the source: a crate with `Cargo.toml`, or C files.
    pub source: &'a Path,
    /// The target folder that all modules share; everything generated goes there.
    pub target: &'a Path,
    /// The owner's Ed25519 public key: measured into the image.
    pub owner: &'a [u8; 32],
    /// Ciphers of the module's connections: the image links those that need linking, and no others.
    pub ciphers: &'a [CipherId],
    /// Called with each line that a compiler says.
    pub talk: &'a (dyn Fn(&str) + Sync),
}

/// An image with what an owner knows of it.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// Where its bytes are.
    pub path: PathBuf,
    /// Its reference measurement.
    pub measurement: Vec<u8>,
    /// Its port table.
    pub ports: PortTable,
}

/// What the owner's policy allows, as far as a verifier needs it.
#[derive(Clone, Debug, Default)]
pub struct VerifyPolicy {
    /// Names of unprotected or simulated platforms that are allowed: `native`, `sgx-simulated`, …
    pub allow_simulated: Vec<String>,
    /// Freshness sources that are allowed; empty allows `hardware-rng` and `persistent-counter`.
    pub freshness: Vec<Freshness>,
}

/// What evidence proved.
#[derive(Clone, Debug)]
pub struct Verified {
    /// This life of the module.
    pub activation: ActivationId,
    /// The measurement that the evidence states.
    pub measurement: Vec<u8>,
    /// True for simulated and unprotected TEEs.
    pub simulated: bool,
    /// Where the activation's uniqueness comes from.
    pub freshness: Freshness,
    /// How a session starts from here.
    pub start: SessionStart,
}

/// How a control session starts after evidence was accepted.
#[derive(Clone, Debug)]
pub enum SessionStart {
    /// X25519: the bytes of the transcript with the module's fresh key.
    Agreement {
        /// The transcript, then the agreement key.
        transcript: Vec<u8>,
    },
    /// A symmetric platform: session keys are derived by the platform's own key from this block.
    Symmetric {
        /// The transcript block.
        block: Vec<u8>,
    },
}

/// Why an image could not be built, or evidence was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// A tool that the build needs is missing.
    #[error("{tool} is missing: {advice}")]
    MissingTool {
        /// The tool.
        tool: String,
        /// What to install.
        advice: String,
    },
    /// The compiler refused the source.
    #[error("module {module} does not build:\n{output}")]
    Build {
        /// The module.
        module: String,
        /// What the compiler said.
        output: String,
    },
    /// The source or image is not what it should be.
    #[error("module {module}: {reason}")]
    BadImage {
        /// The module.
        module: String,
        /// What is wrong.
        reason: String,
    },
    /// Evidence does not have the expected form.
    #[error("evidence is malformed")]
    MalformedEvidence,
    /// A claim of the evidence differs.
    #[error("evidence refused: {claim} is {actual}, expected {expected}")]
    ClaimDiffers {
        /// Which claim.
        claim: &'static str,
        /// What was expected.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// The policy does not allow this platform or its freshness source.
    #[error("the policy does not allow {what}: {advice}")]
    Policy {
        /// What it is.
        what: String,
        /// What to do.
        advice: String,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was being done.
        action: String,
        /// The system's error.
        source: std::io::Error,
    },
}

/// A kind of TEE, as an owner sees it.
pub trait OwnerPlatform: Send + Sync {
    /// Its word in descriptors.
    fn name(&self) -> &'static str;

    /// The languages that it takes, preferred first.
    fn languages(&self) -> &'static [Language];

    /// Largest payload of an event in bytes.
    fn payload_bytes_max(&self) -> usize;

    /// The word that a policy must allow because this platform never protects a module; `None` where evidence decides.
    fn unprotected(&self) -> Option<&'static str> {
        None
    }

    /// Builds an image and computes its reference measurement.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or
    /// [`PlatformError::System`], as said there.
    fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError>;

    /// Judges evidence over `challenge` against a reference measurement and a policy.
    ///
    /// # Errors
    /// [`PlatformError::MalformedEvidence`], [`PlatformError::ClaimDiffers`] or [`PlatformError::Policy`].
    fn verify(
        &self, evidence: &[u8], challenge: Challenge, measurement: &[u8], policy: &VerifyPolicy,
    ) -> Result<Verified, PlatformError>;
}
