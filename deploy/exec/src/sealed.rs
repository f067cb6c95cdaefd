//! Sealed states: a module's state in a file that only the module can read, and the owner's knowledge of the newest one.
//!
//! [`save`] takes one from a module, which goes on; [`restore`] starts a module anew from one. PROTOCOL sections 7 and 9.
//!
//! 1. A number is taken in the journal before the request leaves, and it is not below the clock: no two states of a module
//!    have one number, also where a journal was lost in between. It is witnessed after the file is durable: a save that was interrupted takes nothing from the file before it.
//! 2. The number is authenticated with the state, by the module itself: a file that was edited does not open.
//! 3. A file below the witnessed number is refused. Where nothing is witnessed, the owner has to say that he knows.

use crate::connect::Desks;
use crate::delegation::now;
use crate::deploy::{Deployment, Place, Runs, attest, bring_up_from, connect_all, look_desk, name_of};
use crate::desk::Desk;
use crate::home::replace;
use crate::state::{State, unhex};
use crate::{ExecError, hex, random};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use veritee_ids::{ApplicationId, ControlKind, Counter, Lifecycle, OperationId, SealPolicy};
use veritee_node_protocol::{FailureKind, Request};
use veritee_platform::BuiltImage;
use veritee_seal::sha256;
use veritee_wire::layout::SealHead;

/// Version of the file's form.
const VERSION: u32 = 1;
/// Folder of the files, in the state's.
const FOLDER: &str = "sealed";
/// How long a module may take to come to rest: it may wait for a reply.
const REST_PATIENCE: Duration = Duration::from_secs(10);
const REST_PAUSE: Duration = Duration::from_millis(20);

/// A sealed state, as its file has it. Nothing in it is secret; all but the measurement is authenticated by the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedState {
    #[serde(rename = "veritee-sealed-state")]
    version: u32,
    /// The application.
    application: String,
    /// The module.
    pub module: String,
    /// What sealed it.
    pub measurement: String,
    /// Who can open it.
    policy: String,
    /// Its number.
    pub counter: u64,
    name: String,
    tag: String,
    state: String,
}

/// What a save came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Saved {
    /// The module.
    pub module: String,
    /// The state's number.
    pub counter: u64,
    /// Who can open it.
    pub policy: &'static str,
    /// Where it is.
    pub file: PathBuf,
}

/// What is to be saved.
#[derive(Clone, Copy, Debug)]
pub struct SaveOrder<'a> {
    /// The module.
    pub module: &'a str,
    /// Who can open it.
    pub policy: SealPolicy,
    /// Another place for the file.
    pub to: Option<&'a Path>,
}

/// What a restore may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave {
    /// End a module that runs.
    pub replace: bool,
    /// Take a file although nothing is witnessed.
    pub unwitnessed: bool,
}

/// Where the state of a module is kept, unless its owner wants it elsewhere.
#[must_use]
pub fn path_of(state: &State, module: &str) -> PathBuf {
    state.folder().join(FOLDER).join(format!("{module}.json"))
}

/// Whose state it is, as it is authenticated.
fn subject(module: &str) -> [u8; 16] {
    let mut subject = [0; 16];
    subject.copy_from_slice(&sha256(module.as_bytes())[..16]);
    subject
}

impl SealedState {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ExecError::File`]; [`ExecError::BadState`] when it is none.
    pub fn read(path: &Path) -> Result<Self, ExecError> {
        let text = fs::read(path).map_err(ExecError::file("read", path))?;
        let bad = |reason: String| ExecError::BadState { path: path.to_owned(), reason };
        let sealed: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if sealed.version != VERSION {
            return Err(bad(format!("it has version {}, this tool reads {VERSION}", sealed.version)));
        }
        sealed.parts().ok_or_else(|| bad("it is no sealed state".to_owned())).map(|_| sealed)
    }

    /// What `unseal` needs, and the state. The application is the module's to say.
    fn parts(&self) -> Option<(SealHead, Vec<u8>)> {
        let head = SealHead {
            operation: OperationId([0; 16]),
            application: ApplicationId([0; 16]),
            subject: subject(&self.module),
            counter: Counter(self.counter),
            policy: SealPolicy::ALL.iter().copied().find(|policy| policy.word() == self.policy)?,
            name: unhex(&self.name)?.try_into().ok()?,
            tag: unhex(&self.tag)?.try_into().ok()?,
        };
        Some((head, unhex(&self.state)?))
    }
}

/// The image of a module whose platform can seal and whose state can move.
fn sealable<'a>(place: Place<'a>, module: &str) -> Result<&'a BuiltImage, ExecError> {
    let Some((target, Runs::Image(image))) = place.target.modules.get(module).map(|target| (target, &target.runs))
    else {
        let own = place.target.modules.iter().filter(|(_, target)| !target.is_driver());
        let candidates = own.map(|(name, _)| name.clone()).collect();
        return Err(ExecError::NoSuch { what: "module of your own", name: module.to_owned(), candidates });
    };
    let reason = match (place.platform(target)?.seals(), image.ports.state_bytes) {
        (false, _) => format!("modules on {} cannot seal their state; those on sgx can", target.platform),
        (true, 0) => "it has no movable state: `#[veritee::module(movable)]` gives it one".to_owned(),
        (true, _) => return Ok(image),
    };
    Err(ExecError::CannotSeal { module: module.to_owned(), reason })
}

/// Has a module seal its state into a file. The module goes on, also when something fails; what an interrupted call left at
/// rest goes on with the next call, or the next `up`.
///
/// # Errors
/// [`ExecError::CannotSeal`]; [`ExecError::ForeignSigner`]; [`ExecError::Restless`] when it does not come to rest; [`ExecError::Control`],
/// [`ExecError::Node`], [`ExecError::File`].
pub async fn save(place: Place<'_>, state: &mut State, order: SaveOrder<'_>) -> Result<Saved, ExecError> {
    let image = sealable(place, order.module)?;
    let mut desks = attest(place, state).await?;
    // What an interrupted call left at rest.
    resume(place, state, &mut desks, order.module).await?;
    let desk = crate::connect::desk(&mut desks, order.module);
    signed_by_owner(desk, order, image)?;
    let operation = OperationId(random()?);
    let counter = state.take_seal(order.module, &hex(&operation.0), now())?;
    place.talk.doing("seal", &format!("sealing the state of {}", order.module));
    let sealed = seal(desk, order, operation, counter).await;
    let kept = sealed.and_then(|(head, bytes)| keep(state, order, image, (&head, &bytes)));
    let resumed = resume(place, state, &mut desks, order.module).await;
    let saved = kept?;
    resumed.map(|()| saved)
}

/// A state for the signer goes to whoever signed the image that runs: its node may have signed it anew, which changes nothing
/// else that is attested.
fn signed_by_owner(desk: &Desk, order: SaveOrder<'_>, image: &BuiltImage) -> Result<(), ExecError> {
    if order.policy != SealPolicy::Signer || desk.attested.signer == image.signer {
        return Ok(());
    }
    let short = |signer: &Option<Vec<u8>>| signer.as_deref().map_or_else(|| "nobody".to_owned(), |by| hex(&by[..8]));
    let (signer, own) = (short(&desk.attested.signer), short(&image.signer));
    Err(ExecError::ForeignSigner { module: order.module.to_owned(), signer, own })
}

/// Brings the module to rest and reads its sealed state.
async fn seal(
    desk: &mut Desk, order: SaveOrder<'_>, operation: OperationId, counter: u64,
) -> Result<(SealHead, Vec<u8>), ExecError> {
    desk.operate(ControlKind::Freeze, operation).await?;
    let end = Instant::now() + REST_PATIENCE;
    while desk.status().await?.head.lifecycle != Lifecycle::Frozen {
        if Instant::now() > end {
            return Err(ExecError::Restless { module: order.module.to_owned() });
        }
        tokio::time::sleep(REST_PAUSE).await;
    }
    let head = SealHead {
        operation,
        application: ApplicationId([0; 16]),
        subject: subject(order.module),
        counter: Counter(counter),
        policy: order.policy,
        name: [0; 34],
        tag: [0; 16],
    };
    let head = desk.seal(&head).await?;
    Ok((head, desk.saved(operation).await?))
}

/// Makes a sealed state durable, then witnesses its number.
fn keep(
    state: &mut State, order: SaveOrder<'_>, image: &BuiltImage, (head, bytes): (&SealHead, &[u8]),
) -> Result<Saved, ExecError> {
    let file = order.to.map_or_else(|| path_of(state, order.module), Path::to_owned);
    let folder = state.folder().join(FOLDER);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(ExecError::file("make", &folder))?;
    let sealed = SealedState {
        version: VERSION,
        application: hex(&state.application.0),
        module: order.module.to_owned(),
        measurement: hex(&image.measurement),
        policy: head.policy.word().to_owned(),
        counter: head.counter.0,
        name: hex(&head.name),
        tag: hex(&head.tag),
        state: hex(bytes),
    };
    let text = serde_json::to_string_pretty(&sealed).expect("a sealed state is JSON") + "\n";
    replace(&file, text.as_bytes())?;
    let file = fs::canonicalize(&file).map_err(ExecError::file("find", &file))?;
    state.witness(order.module, head.counter.0, &file)?;
    Ok(Saved { module: sealed.module, counter: sealed.counter, policy: head.policy.word(), file })
}

/// Opens the epochs again that the rest closed, then lets the module go on.
async fn resume(place: Place<'_>, state: &mut State, desks: &mut Desks, module: &str) -> Result<(), ExecError> {
    connect_all(place, state, desks).await?;
    crate::connect::desk(desks, module).go_on().await
}

/// Judges a file before anything is touched.
fn judge(place: Place<'_>, state: &State, sealed: &SealedState, path: &Path, leave: Leave) -> Result<(), ExecError> {
    let image = sealable(place, &sealed.module)?;
    let bad = |reason| Err(ExecError::NotOpened { module: sealed.module.clone(), path: path.to_owned(), reason });
    if sealed.application != hex(&state.application.0) {
        return bad("it is another application's".to_owned());
    }
    if sealed.policy == SealPolicy::Enclave.word() && sealed.measurement != hex(&image.measurement) {
        let short = |text: &str| text.get(..16).unwrap_or(text).to_owned();
        return bad(format!(
            "it was sealed for the image {}… only, and the module's is {}… now; `--for signer` makes states that survive a change",
            short(&sealed.measurement),
            short(&hex(&image.measurement)),
        ));
    }
    match state.seals.get(&sealed.module).and_then(|known| known.witnessed.as_ref()) {
        Some((witnessed, _)) if sealed.counter < *witnessed => Err(ExecError::RolledBack {
            module: sealed.module.clone(),
            path: path.to_owned(),
            counter: sealed.counter,
            witnessed: *witnessed,
        }),
        Some(_) if sealed.counter <= state.taken_seal(&sealed.module) => Ok(()),
        _ if leave.unwitnessed => Ok(()),
        _ => Err(ExecError::Unwitnessed { module: sealed.module.clone(), counter: sealed.counter }),
    }
}

/// Starts a module anew from a sealed state and connects it; everything else is as with `up`.
///
/// # Errors
/// [`ExecError::RolledBack`], [`ExecError::Unwitnessed`], [`ExecError::NotOpened`]; [`ExecError::Lives`] when it runs and may
/// not be ended; what [`bring_up`](crate::deploy::bring_up) gives.
pub async fn restore(
    place: Place<'_>, state: &mut State, (module, from): (&str, Option<&Path>), leave: Leave,
) -> Result<Deployment, ExecError> {
    sealable(place, module)?;
    let known = state.seals.get(module).and_then(|known| known.witnessed.as_ref()).map(|(_, path)| path.clone());
    let path = from.map(Path::to_owned).or(known).unwrap_or_else(|| path_of(state, module));
    let sealed = SealedState::read(&path)?;
    if sealed.module != module {
        let reason = format!("it is the state of {}", sealed.module);
        return Err(ExecError::NotOpened { module: module.to_owned(), path, reason });
    }
    judge(place, state, &sealed, &path, leave)?;
    make_room(place, state, module, leave).await?;
    let deployment = bring_up_from(place, state, Some(&sealed)).await.map_err(|error| match error {
        ExecError::Control { kind: ControlKind::Restore, .. } => ExecError::NotOpened {
            module: module.to_owned(),
            path: path.clone(),
            reason: "it was changed, or sealed for another module, image, signer, higher version or machine".to_owned(),
        },
        error => error,
    })?;
    let path = fs::canonicalize(&path).map_err(ExecError::file("find", &path))?;
    state.witness(module, sealed.counter, &path)?;
    Ok(deployment)
}

/// A module that waits for its state stays; one that runs makes room, if it may.
async fn make_room(place: Place<'_>, state: &State, module: &str, leave: Leave) -> Result<(), ExecError> {
    let Some(target) = place.target.modules.get(module) else { return Ok(()) };
    let waits = match look_desk(place, state, module, target).await {
        Ok(mut desk) => desk.status().await?.head.lifecycle == Lifecycle::New,
        Err(error) if matches!(error.failure(), Some(FailureKind::Dead | FailureKind::NotFound)) => true,
        // It runs, and is another one than the descriptor's.
        Err(_) if leave.replace => false,
        Err(error) => return Err(error),
    };
    match (waits, leave.replace) {
        (true, _) => Ok(()),
        (false, false) => Err(ExecError::Lives { module: module.to_owned() }),
        (false, true) => {
            let request = Request::Unload { name: name_of(state, module) };
            place.fleet.node(&target.node)?.tell(request, "unload").await
        }
    }
}

/// Gives a new module its state and makes it run.
pub(crate) async fn start_from(desk: &mut Desk, sealed: &SealedState) -> Result<(), ExecError> {
    let Some((head, bytes)) = sealed.parts() else { return Ok(()) };
    // What an interrupted call began is gone on with: the module says under which operation.
    let begun = desk.status().await?.head.operation;
    let operation = if begun == OperationId([0; 16]) { OperationId(random()?) } else { begun };
    desk.unseal(&SealHead { operation, ..head }).await?;
    desk.restore(operation, &bytes).await?;
    desk.operate(ControlKind::Activate, operation).await
}
