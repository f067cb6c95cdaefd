//! What a platform gives an owner: the third seam of a backend.
//!
//! A backend's image builder and verifier together implement [`OwnerPlatform`]: build an image from source and compute its
//! reference measurement; judge evidence, and say which secret the session starts from.

mod ports;
mod provider;

pub use ports::{Port, PortTable};
pub use provider::{BoardOrder, BoardRecord, BuiltBoard, Driver, DriverKeys, ProviderPlatform};

use std::path::{Path, PathBuf};
use veritee_ids::{ActivationId, Challenge, CipherId, Freshness};
use veritee_seal::Secret;
use veritee_session::Symmetric;
use zeroize::Zeroizing;

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
    /// Its module key, on symmetric platforms once it has its place.
    pub key: Option<Secret>,
    /// Who signed it, as its evidence will say; none where evidence does not.
    pub signer: Option<Vec<u8>>,
}

/// What a provider gave to this owner alone, so that he can derive module keys on one board: in the platform's own form,
/// JSON. It is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// Where an image will be, on platforms whose measurements depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Placement<'a> {
    /// What the node answered to the image's need, in the platform's own form. The node's claim: a wrong one costs only
    /// that the module does not load or is not what it claims to be.
    pub place: &'a [u8],
    /// The owner's credential for that board.
    pub credential: &'a Credential,
}

/// What a module must prove to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its reference measurement.
    pub measurement: &'a [u8],
    /// Its module key, on symmetric platforms.
    pub key: Option<&'a Secret>,
    /// The owner's credential for its board, on symmetric platforms.
    pub credential: Option<&'a Credential>,
}

/// What the owner's policy allows, as far as a verifier needs it.
#[derive(Clone, Debug, Default)]
pub struct VerifyPolicy {
    /// Names of unprotected or simulated platforms that are allowed: `native`, `sgx-simulated`, …
    pub allow_simulated: Vec<String>,
    /// Freshness sources that are allowed; empty allows `hardware-rng` and `persistent-counter`.
    pub freshness: Vec<Freshness>,
    /// What quotes must say, on platforms that prove by quotes.
    pub quotes: QuotePolicy,
}

/// What a quote must say beside the measurement, which is always compared. The default accepts every signer, and platforms
/// that are up to date only.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuotePolicy {
    /// Who must have signed the image (MRSIGNER), if it matters.
    pub signer: Option<[u8; 32]>,
    /// Lowest version that is accepted (ISVSVN).
    pub version_min: u16,
    /// What is accepted although the platform is not up to date: statuses in the vendor's words, as `SWHardeningNeeded`, and
    /// numbers of advisories.
    pub tcb: Vec<String>,
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
    /// Who signed the image, where the evidence says so.
    pub signer: Option<Vec<u8>>,
    /// What is not guaranteed although the policy accepted it, if people are to be told.
    pub caveat: Option<&'static str>,
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
    /// A symmetric platform: whoever knows the module key is the owner.
    Symmetric {
        /// The activation's secret with the transcript.
        known: Symmetric,
        /// Cipher of control sessions.
        cipher: CipherId,
    },
}

/// What an image says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// For programs: a JSON object.
    pub json: String,
    /// For people: lines.
    pub text: String,
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
    /// What the provider gave to the owner does not serve here.
    #[error("{reason}")]
    Credential {
        /// Why not, and what to do.
        reason: String,
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

/// Checks a claim that must be what was expected, as people read it.
///
/// # Errors
/// [`PlatformError::ClaimDiffers`].
pub fn same(
    claim: &'static str, expected: impl std::fmt::Display, actual: impl std::fmt::Display,
) -> Result<(), PlatformError> {
    let (expected, actual) = (expected.to_string(), actual.to_string());
    if expected == actual { Ok(()) } else { Err(PlatformError::ClaimDiffers { claim, expected, actual }) }
}

/// A kind of TEE, as an owner sees it.
pub trait OwnerPlatform: Send + Sync {
    /// Its word in descriptors.
    fn name(&self) -> &'static str;

    /// The languages that it takes, preferred first.
    fn languages(&self) -> &'static [Language];

    /// Largest payload of an event in bytes.
    fn payload_bytes_max(&self) -> usize;

    /// The ciphers that its modules can link, preferred first. All must be accepted by every module that has them.
    fn ciphers(&self) -> &'static [CipherId] {
        &[CipherId::Aes128Gcm, CipherId::Ascon128, CipherId::Spongent128]
    }

    /// Modules are on boards behind the node, for which owners need a credential.
    fn has_boards(&self) -> bool {
        false
    }

    /// The word that a policy must allow because this platform never protects a module; `None` where evidence decides.
    fn unprotected(&self) -> Option<&'static str> {
        None
    }

    /// Modules can seal their state to themselves.
    fn seals(&self) -> bool {
        false
    }

    /// Modules know their owner by his signature, so they know his delegates too. Elsewhere whoever knows a module's key is its
    /// owner, and there is no delegation.
    fn delegates(&self) -> bool {
        false
    }

    /// Builds an image and computes its reference measurement.
    ///
    /// # Errors
    /// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or
    /// [`PlatformError::System`], as said there.
    fn build(&self, order: &BuildOrder<'_>) -> Result<BuiltImage, PlatformError>;

    /// Shows the file of an image; `None` when it is none of this platform's, or the platform shows none.
    fn inspect(&self, file: &[u8]) -> Option<Result<Inspection, String>> {
        _ = file;
        None
    }

    /// What an image needs of its node before it is finished, in the platform's own form; `None` where images run
    /// anywhere.
    ///
    /// # Errors
    /// [`PlatformError::BadImage`] or [`PlatformError::System`].
    fn need(&self, _image: &BuiltImage) -> Result<Option<Vec<u8>>, PlatformError> {
        Ok(None)
    }

    /// Finishes an image for its place: computes its measurement and its module key.
    ///
    /// # Errors
    /// [`PlatformError::BadImage`], [`PlatformError::Credential`] or [`PlatformError::System`].
    fn place(&self, image: &BuiltImage, _placement: Placement<'_>) -> Result<BuiltImage, PlatformError> {
        Ok(image.clone())
    }

    /// Nodes load only what their provider signed: the finished image goes to him first.
    fn wants_signature(&self) -> bool {
        false
    }

    /// A driver of a board, as its provider describes it in the credential.
    ///
    /// # Errors
    /// [`PlatformError::Credential`] when the board has no such driver, or the platform has none at all.
    fn driver(&self, name: &str, _credential: &Credential) -> Result<Driver, PlatformError> {
        Err(PlatformError::Credential { reason: format!("the platform {} has no driver {name}", self.name()) })
    }

    /// Judges evidence over `challenge` against what the module must be and a policy.
    ///
    /// # Errors
    /// [`PlatformError::MalformedEvidence`], [`PlatformError::ClaimDiffers`], [`PlatformError::Policy`] or
    /// [`PlatformError::Credential`].
    fn verify(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
    ) -> Result<Verified, PlatformError>;

    /// The same, and tells each claim that it accepted, with what it is, as far as the platform's evidence has such.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); what was accepted before was told.
    fn examine(
        &self, evidence: &[u8], challenge: Challenge, expected: Expected<'_>, policy: &VerifyPolicy,
        accepted: &mut dyn FnMut(&str, &str),
    ) -> Result<Verified, PlatformError> {
        let verified = self.verify(evidence, challenge, expected, policy)?;
        accepted("freshness", verified.freshness.word());
        Ok(verified)
    }
}
