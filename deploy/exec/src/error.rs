//! What can go wrong while acting, by who is to blame.

use std::path::PathBuf;
use veritee_ids::{ConnectionId, ControlKind, ControlResult, Epoch, Status};
use veritee_node_client::{ClientError, IdentityError};
use veritee_node_protocol::FailureKind;
use veritee_platform::PlatformError;
use veritee_session::SessionError;

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes")]
    NoEntropy,
    /// A file cannot be read, written or locked.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another process of the tool works on this application.
    #[error("another veritee is working on this application ({} is locked); wait for it to end", .0.display())]
    Locked(PathBuf),
    /// The state folder does not fit.
    #[error("the state in {} does not fit: {reason}", path.display())]
    BadState {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The descriptor is refused.
    #[error("the descriptor is refused:\n  {}", .0.join("\n  "))]
    Descriptor(Vec<String>),
    /// The descriptor cannot be read.
    #[error(transparent)]
    Model(#[from] veritee_model::ModelError),
    /// The owner's identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A node is not enrolled.
    #[error("node {node} is not known: add it with `veritee node add {node} ADDRESS --fingerprint F --token T`")]
    UnknownNode {
        /// The node.
        node: String,
    },
    /// A node did not do what it was asked.
    #[error("node {node}: {source}")]
    Node {
        /// The node.
        node: String,
        /// What the client says.
        source: ClientError,
    },
    /// A node answered with something else than was asked.
    #[error("node {node} gave an answer that makes no sense to {asked}")]
    StrangeAnswer {
        /// The node.
        node: String,
        /// What was asked.
        asked: &'static str,
    },
    /// A node process did not start.
    #[error("node {node} does not start: {reason}")]
    NodeStart {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// Building or verifying failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// Evidence of a module was refused, or the session could not be opened.
    #[error("module {module}: {source}")]
    Session {
        /// The module.
        module: String,
        /// Why.
        source: SessionError,
    },
    /// Evidence of a module was refused.
    #[error("module {module}: {source}")]
    Evidence {
        /// The module.
        module: String,
        /// Why.
        source: PlatformError,
    },
    /// Only its provider may ask this of a driver.
    #[error("{module} is a driver: only its provider may {} it", kind.word())]
    NotOurs {
        /// The module.
        module: String,
        /// What was to be asked.
        kind: ControlKind,
    },
    /// A provider refused.
    #[error("{0}")]
    Provider(String),
    /// A provider cannot be reached.
    #[error("{0}")]
    ProviderUnreached(String),
    /// A module that runs is not the one of the descriptor's sources any more.
    #[error("module {module} was changed since it was loaded; `veritee up` replaces it")]
    Changed {
        /// The module.
        module: String,
    },
    /// A module's sealed counters went back: somebody restored an earlier state of it.
    #[error(
        "module {module} is older than itself: on connection {connection} it sealed epoch {} counter {} before, now epoch {} counter {}. \
         Somebody restored an earlier state of it, as a snapshot of its machine does, so there may be two of it; {}",
        before.0, before.1, now.0, now.1,
        if *disabled { "this one is disabled, and `veritee up` starts a new one once `veritee down` removed it" }
        else { "it could not be disabled: take the application down" }
    )]
    WentBack {
        /// The module.
        module: String,
        /// The connection.
        connection: ConnectionId,
        /// Epoch and counter before.
        before: (Epoch, u64),
        /// Epoch and counter now.
        now: (Epoch, u64),
        /// Whether it could be disabled.
        disabled: bool,
    },
    /// A module was disabled, by its owner or because it was older than itself.
    #[error("module {module} is disabled; `veritee up` starts a new one once `veritee down` removed it")]
    Disabled {
        /// The module.
        module: String,
    },
    /// The place of a module was taken by somebody else while the module was replaced.
    #[error("the place of module {module} was taken meanwhile; the next `veritee up` finds another one")]
    Moved {
        /// The module.
        module: String,
    },
    /// The application does not have a driver, or no more.
    #[error("{0}")]
    NotLent(String),
    /// A driver's proof does not hold.
    #[error("{driver} did not prove that it took the key: the provider's answer is not the driver's")]
    NotGranted {
        /// The driver.
        driver: String,
    },
    /// The owner has no credential for a board.
    #[error(
        "you have no key of {what}: its provider makes one for you with \
             `veritee provider vendor-key`, and `veritee node key` takes it"
    )]
    NoCredential {
        /// Which board of which node.
        what: String,
    },
    /// A module refused an entry.
    #[error("module {module} answers {status} to {asked}")]
    Refused {
        /// The module.
        module: String,
        /// What it was asked.
        asked: String,
        /// Its status.
        status: &'static str,
    },
    /// A module refused a control request.
    #[error("module {module} refuses {}: {}", kind.word(), result.word())]
    Control {
        /// The module.
        module: String,
        /// What was asked.
        kind: ControlKind,
        /// Why.
        result: ControlResult,
    },
    /// A module cannot seal its state.
    #[error("{module}: {reason}")]
    CannotSeal {
        /// The module.
        module: String,
        /// Why.
        reason: String,
    },
    /// Somebody else signed the image that runs: he could open what it seals for its signer.
    #[error(
        "the image of {module} is signed by {signer}…, yours by {own}…: whoever has that key could open the state. Load yours \
         with `veritee down` and `veritee up`, or save it `--for enclave`"
    )]
    ForeignSigner {
        /// The module.
        module: String,
        /// Who signed what runs; the first digits.
        signer: String,
        /// Who signs the owner's images; the first digits.
        own: String,
    },
    /// A module did not come to rest.
    #[error(
        "module {module} does not come to rest: it waits for a reply, or owes one; nothing was saved, and it goes on"
    )]
    Restless {
        /// The module.
        module: String,
    },
    /// A sealed state is older than the newest one that the owner has seen.
    #[error(
        "{} is an old state of {module}: its number is {counter}, and {witnessed} was saved after it", path.display()
    )]
    RolledBack {
        /// The module.
        module: String,
        /// The file.
        path: PathBuf,
        /// Its number.
        counter: u64,
        /// The newest number.
        witnessed: u64,
    },
    /// Nobody knows whether a sealed state is the newest.
    #[error(
        "no journal here has seen state {counter} of {module}: if there is a newer one, nobody notices that this one is old; \
             --unwitnessed restores it all the same"
    )]
    Unwitnessed {
        /// The module.
        module: String,
        /// Its number.
        counter: u64,
    },
    /// A sealed state does not open.
    #[error("module {module} cannot take the state in {}: {reason}", path.display())]
    NotOpened {
        /// The module.
        module: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A module runs that would have to end.
    #[error("module {module} runs, and its present state would be lost; --replace ends it first")]
    Lives {
        /// The module.
        module: String,
    },
    /// A restore was interrupted.
    #[error("module {module} has a part of a saved state; `veritee state restore {module}` finishes it")]
    HalfRestored {
        /// The module.
        module: String,
    },
    /// A delegation cannot be used.
    #[error("the delegation in {} cannot be used: {reason}", path.display())]
    BadDelegation {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A module does not take a delegation that is sound otherwise.
    #[error(
        "module {module} refuses the delegation with serial {serial}: its owner revoked it, and the module takes higher ones only \
             (or somebody attested the module at the same moment; then try again)"
    )]
    Revoked {
        /// The module.
        module: String,
        /// The delegation's serial.
        serial: u64,
    },
    /// A module does not let a delegate open an epoch.
    #[error("module {module} refuses epoch {epoch}: the delegation is for epochs {} to {}", epochs.0, epochs.1)]
    EpochNotDelegated {
        /// The module.
        module: String,
        /// The epoch.
        epoch: Epoch,
        /// First and last epoch of the delegation.
        epochs: (Epoch, Epoch),
    },
    /// There is no delegation on this platform.
    #[error(
        "{module} is on {platform}, where nobody can be delegated: whoever knows a module's key is its owner there; \
             delegates reach modules on {} only",
        crate::delegation::platforms()
    )]
    NotDelegable {
        /// The module.
        module: String,
        /// Its platform.
        platform: String,
    },
    /// A connection, entry or module that does not exist.
    #[error("there is no {what} {name:?}{}", did_you_mean(candidates))]
    NoSuch {
        /// What it should be.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is.
        candidates: Vec<String>,
    },
    /// All slots of a direct connection are held.
    #[error("all callers' slots of {connection} are held by other processes; wait with --wait, or raise `callers`")]
    NoSlot {
        /// The connection.
        connection: String,
    },
    /// A direct event or request did not get through.
    #[error("{connection}: {what}")]
    Direct {
        /// The connection.
        connection: String,
        /// What happened.
        what: String,
    },
    /// The program of a node is missing.
    #[error("the program veritee-node is missing: {0}")]
    NoProgram(String),
}

fn did_you_mean(candidates: &[String]) -> String {
    if candidates.is_empty() { String::new() } else { format!("; there is: {}", candidates.join(", ")) }
}

impl ExecError {
    /// A module's refusal of an entry.
    pub(crate) fn refused(module: &str, asked: impl Into<String>, status: u16) -> Self {
        let status = Status::try_from(status).map_or("an unknown status", Status::word);
        Self::Refused { module: module.to_owned(), asked: asked.into(), status }
    }

    /// What a node refused, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Node { source: ClientError::Refused(failure), .. } => Some(failure.kind),
            _ => None,
        }
    }

    /// A file that cannot be used.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
