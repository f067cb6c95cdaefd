//! Delegations: an owner lets somebody else act for him in one application, and takes it back. `docs/design/0015-delegates.md`.
//!
//! [`give`] makes the file that a delegate gets, [`DelegationFile`] reads it as he does, [`revoke`] ends all up to a serial.
//!
//! 1. The file says what the delegate has to know of the application: nodes, modules' measurements, connections' numbers and
//!    rows, the policy. It has no secret, and nothing of the owner's root: keys that a delegate sets derive from his own.
//! 2. The owner signs the whole file, and in it the delegation that modules judge.
//! 3. A serial is in the journal before anything is signed with it, and a revocation before any module hears of it.

use crate::connect::{End, Wire};
use crate::deploy::{ModuleTarget, Place, Runs, Target, look_desk};
use crate::home::{KnownNode, replace};
use crate::resolve::{Body, Built, BuiltModule, quotes, quotes_of};
use crate::state::{Delegating, State, unhex};
use crate::{ExecError, hex};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use veritee_ids::{ApplicationId, CipherId, ConnectionId, Epoch, Freshness, PortIndex, PortKind, RowIndex, TypeHash};
use veritee_model::Quotes;
use veritee_node_client::{Fingerprint, has_signed};
use veritee_platform::{BuiltImage, Port, PortTable, VerifyPolicy};
use veritee_seal::sha256;
use veritee_session::identity::Grant;
use veritee_session::{Delegated, OwnerIdentity};
use veritee_wire::Layout;
use veritee_wire::layout::Delegation;

#[cfg(test)]
mod tests;

/// Version of the file's form.
const VERSION: u32 = 1;
/// What the owner signs begins with this: no other signature of his is one of a file.
const SIGNED: &[u8] = b"veritee delegation file\0";

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A moment as people read it.
#[must_use]
pub fn date(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    moment.map_or_else(|| "the end of time".to_owned(), |moment| moment.to_string())
}

/// Platforms on which somebody can be delegated.
pub(crate) fn platforms() -> String {
    let registry = crate::platforms::registry();
    let words = registry.iter().filter(|platform| platform.delegates()).map(|platform| platform.name());
    words.collect::<Vec<_>>().join(" and ")
}

/// What a delegate gets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegationFile {
    #[serde(rename = "veritee-delegation")]
    version: u32,
    /// The application's name.
    pub application: String,
    /// The owner's fingerprint.
    pub owner: String,
    delegation: String,
    /// Unprotected or simulated platforms that the owner accepts.
    allow: Vec<String>,
    freshness: Vec<String>,
    quotes: Quotes,
    /// Where the application is.
    pub nodes: BTreeMap<String, KnownNode>,
    modules: BTreeMap<String, ModuleNote>,
    connections: Vec<ConnectionNote>,
    signature: String,
}

/// A module that a delegate may meet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleNote {
    node: String,
    platform: String,
    measurement: String,
    ports: Vec<PortNote>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortNote {
    name: String,
    kind: u16,
    payload_bytes_max: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionNote {
    name: String,
    id: u16,
    from: Option<EndNote>,
    to: Vec<EndNote>,
    cipher: String,
    requests: bool,
    payload_type: String,
    reply_type: String,
    reply_bytes_max: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndNote {
    module: String,
    row: u16,
    port: u16,
}

/// What is to be delegated.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The delegate's public key.
    pub delegate: [u8; 32],
    /// First and last epoch that he may open.
    pub epochs: (Epoch, Epoch),
    /// His last second, since 1970.
    pub not_after: u64,
}

/// Signs a delegation for this application. Its serial is taken before.
///
/// # Errors
/// [`ExecError::NotDelegable`] when no module is on a platform with delegates; [`ExecError::File`].
pub fn give(place: Place<'_>, state: &mut State, built: &Built, wish: Wish) -> Result<DelegationFile, ExecError> {
    let mut reached = false;
    for (name, target) in &place.target.modules {
        let reaches = place.platform(target)?.delegates();
        reached |= reaches;
        if !reaches {
            place
                .talk
                .warn(&ExecError::NotDelegable { module: name.clone(), platform: target.platform.clone() }.to_string());
        }
    }
    if !reached {
        let (module, target) = place
            .target
            .modules
            .iter()
            .next()
            .map_or_else(Default::default, |(name, target)| (name.clone(), target.platform.clone()));
        return Err(ExecError::NotDelegable { module, platform: target });
    }
    let Wish { delegate, epochs, not_after } = wish;
    let serial = state.next_serial(now());
    let given = Fingerprint(delegate).to_string();
    state.delegate(&Delegating { serial, delegate: given, epochs: (epochs.0.0, epochs.1.0), not_after })?;
    let grant = Grant { application: state.application, delegate, epochs, serial, not_after };
    let mut file = describe(place, built);
    file.delegation = hex(&place.owner.identity.delegate(&grant));
    file.signature = hex(&place.owner.identity.sign(&file.signed()));
    Ok(file)
}

/// The file without what is signed.
fn describe(place: Place<'_>, built: &Built) -> DelegationFile {
    let modules = place.target.modules.iter().map(|(name, target)| {
        let measurement = match &target.runs {
            Runs::Image(image) => hex(&image.measurement),
            Runs::Driver(_) => String::new(),
        };
        let ports = built.get(name).into_iter().flat_map(|built| &built.ports().ports).map(|port| PortNote {
            name: port.name.clone(),
            kind: port.kind.code(),
            payload_bytes_max: port.payload_bytes_max,
        });
        let (node, platform) = (target.node.clone(), target.platform.clone());
        (name.clone(), ModuleNote { node, platform, measurement, ports: ports.collect() })
    });
    let nodes = place.fleet.nodes.iter().map(|(name, node)| {
        let fingerprint = Fingerprint(node.identity).to_string();
        (name.clone(), KnownNode { address: node.address.clone(), fingerprint })
    });
    DelegationFile {
        version: VERSION,
        application: place.target.application.clone(),
        owner: Fingerprint(place.owner.identity.public()).to_string(),
        delegation: String::new(),
        allow: place.target.policy.allow_simulated.clone(),
        freshness: place.target.policy.freshness.iter().map(|source| source.word().to_owned()).collect(),
        quotes: quotes_of(&place.target.policy.quotes),
        nodes: nodes.collect(),
        modules: modules.collect(),
        connections: place.target.wires.iter().map(ConnectionNote::of).collect(),
        signature: String::new(),
    }
}

impl ConnectionNote {
    fn of(wire: &Wire) -> Self {
        let end = |end: &End| EndNote { module: end.module.clone(), row: end.row.0, port: end.port.0 };
        Self {
            name: wire.name.clone(),
            id: wire.id.0,
            from: wire.from.as_ref().map(end),
            // Callers take slots from the first one up, and see locks on their own machine only: from the other end, delegates
            // and owner meet last.
            to: wire.to.iter().rev().map(end).collect(),
            cipher: wire.cipher.word().to_owned(),
            requests: wire.requests,
            payload_type: hex(&wire.payload_type.0),
            reply_type: hex(&wire.reply_type.0),
            reply_bytes_max: wire.reply_bytes_max,
        }
    }

    fn wire(&self) -> Option<Wire> {
        let end =
            |note: &EndNote| End { module: note.module.clone(), row: RowIndex(note.row), port: PortIndex(note.port) };
        Some(Wire {
            name: self.name.clone(),
            id: ConnectionId(self.id),
            from: self.from.as_ref().map(end),
            to: self.to.iter().map(end).collect(),
            cipher: CipherId::ALL.iter().find(|cipher| cipher.word() == self.cipher).copied()?,
            requests: self.requests,
            payload_type: TypeHash(unhex(&self.payload_type)?.try_into().ok()?),
            reply_type: TypeHash(unhex(&self.reply_type)?.try_into().ok()?),
            reply_bytes_max: self.reply_bytes_max,
            deadline_ms: 0,
        })
    }
}

impl ModuleNote {
    fn image(&self) -> Option<BuiltImage> {
        let port = |note: &PortNote| {
            Some(Port {
                kind: PortKind::try_from(note.kind).ok()?,
                name: note.name.clone(),
                payload_name: String::new(),
                reply_name: String::new(),
                payload_type: TypeHash([0; 8]),
                reply_type: TypeHash([0; 8]),
                payload_bytes_max: note.payload_bytes_max,
                reply_bytes_max: 0,
                emits_max: 0,
                late: false,
            })
        };
        let ports = self.ports.iter().map(port).collect::<Option<_>>()?;
        let ports = PortTable { rows: 0, tokens: 0, state_bytes: 0, ports };
        Some(BuiltImage {
            path: PathBuf::new(),
            measurement: unhex(&self.measurement)?,
            ports,
            key: None,
            signer: None,
        })
    }
}

/// A delegation as its file says it: sound, and signed by the owner whom the file names.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The file.
    pub file: DelegationFile,
    /// What modules judge.
    pub delegation: Delegation,
    /// The owner's public key.
    pub owner: [u8; 32],
    /// The delegation's bytes.
    pub bytes: Vec<u8>,
}

impl DelegationFile {
    /// What the owner signs: everything but the signature.
    fn signed(&self) -> Vec<u8> {
        let bare = Self { signature: String::new(), ..self.clone() };
        let text = serde_json::to_vec(&bare).expect("a delegation is JSON");
        [SIGNED, &sha256(&text)].concat()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`ExecError::File`].
    ///
    /// # Panics
    /// Never: its text is JSON.
    pub fn write(&self, path: &Path) -> Result<(), ExecError> {
        replace(path, (serde_json::to_string_pretty(self).expect("a delegation is JSON") + "\n").as_bytes())
    }
}

impl Opened {
    /// Reads a file, and checks who signed it. Whether it is over, and whose it is, is not judged here.
    ///
    /// # Errors
    /// [`ExecError::File`]; [`ExecError::BadDelegation`] when it is none, or was changed.
    pub fn read(path: &Path) -> Result<Self, ExecError> {
        let text = fs::read(path).map_err(ExecError::file("read", path))?;
        let bad = |reason: String| ExecError::BadDelegation { path: path.to_owned(), reason };
        let file: DelegationFile =
            serde_json::from_slice(&text).map_err(|error| bad(format!("it is no delegation: {error}")))?;
        if file.version != VERSION {
            return Err(bad(format!("it has version {}, this tool reads {VERSION}", file.version)));
        }
        Self::of(file).ok_or_else(|| bad("it is not what its owner signed".to_owned()))
    }

    fn of(file: DelegationFile) -> Option<Self> {
        let owner: [u8; 32] = unhex(&file.owner)?.try_into().ok()?;
        let signature: [u8; 64] = unhex(&file.signature)?.try_into().ok()?;
        let bytes = unhex(&file.delegation)?;
        let delegation = Delegation::decode(&bytes).ok()?;
        let (signed, own) = bytes.split_last_chunk()?;
        let sound = has_signed(&owner, &file.signed(), &signature) && has_signed(&owner, &sha256(signed), own);
        sound.then_some(Self { file, delegation, owner, bytes })
    }

    /// What `identity` acts with for the owner.
    ///
    /// # Errors
    /// [`ExecError::BadDelegation`] when it is another delegate's, or is over at `now`.
    pub fn act(&self, path: &Path, identity: OwnerIdentity, now: u64) -> Result<Delegated, ExecError> {
        let bad = |reason: String| Err(ExecError::BadDelegation { path: path.to_owned(), reason });
        let (delegate, own) = (self.delegation.delegate, identity.public());
        if delegate != own {
            return bad(format!("it is for {}, and you are {}", Fingerprint(delegate), Fingerprint(own)));
        }
        if now > self.delegation.not_after {
            return bad(format!("it ended on {}", date(self.delegation.not_after)));
        }
        Ok(Delegated { identity, delegation: self.bytes.clone() })
    }

    /// The application.
    #[must_use]
    pub const fn application(&self) -> ApplicationId {
        self.delegation.application
    }

    /// What there is, as `resolve` would say it to the owner; and the modules with their ports.
    ///
    /// # Errors
    /// [`ExecError::BadDelegation`] when this tool does not know what the file names.
    pub fn target(&self, path: &Path) -> Result<(Target, Built), ExecError> {
        let unknown = |what: &str| {
            let reason = format!("this tool does not know what it says of {what}; is it of a newer one?");
            ExecError::BadDelegation { path: path.to_owned(), reason }
        };
        let (mut modules, mut built) = (BTreeMap::new(), Built::new());
        for (name, note) in &self.file.modules {
            let image = note.image().ok_or_else(|| unknown(name))?;
            built.insert(name.clone(), BuiltModule { body: Body::Image(image.clone()), board: None, kept: None });
            let (node, platform) = (note.node.clone(), note.platform.clone());
            let target =
                ModuleTarget { node, platform, runs: Runs::Image(image), credential: None, restart: false, kept: None };
            modules.insert(name.clone(), target);
        }
        let wires = self.file.connections.iter().map(|note| note.wire().ok_or_else(|| unknown(&note.name)));
        let source = |word: &String| Freshness::ALL.iter().find(|source| source.word() == word).copied();
        let freshness = self.file.freshness.iter().map(|word| source(word).ok_or_else(|| unknown(word)));
        let policy = VerifyPolicy {
            allow_simulated: self.file.allow.clone(),
            freshness: freshness.collect::<Result<_, _>>()?,
            quotes: quotes(&self.file.quotes),
        };
        let application = self.file.application.clone();
        Ok((
            Target { application, modules, wires: wires.collect::<Result<_, _>>()?, timers: Vec::new(), policy },
            built,
        ))
    }
}

/// What a revocation came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Revoked {
    /// Delegations with serials below are revoked.
    pub below: u64,
    /// Modules that refuse them from now on.
    pub told: Vec<String>,
    /// Modules that still take them, and why they were not told.
    pub not_told: BTreeMap<String, String>,
}

/// Ends delegations up to a serial, or all that were given so far. Doing it again ends nothing more. Modules that are not reached
/// learn of it with the next call, or the next `up`.
///
/// # Errors
/// [`ExecError::File`]: no module was told then.
pub async fn revoke(place: Place<'_>, state: &mut State, last: Option<u64>) -> Result<Revoked, ExecError> {
    let below = last.unwrap_or_else(|| state.next_serial(now())).saturating_add(u64::from(last.is_some()));
    state.revoke(below)?;
    let below = state.serial_floor;
    let mut revoked = Revoked { below, told: Vec::new(), not_told: BTreeMap::new() };
    for (module, target) in &place.target.modules {
        if !place.platform(target)?.delegates() {
            continue;
        }
        let told = async { look_desk(place, state, module, target).await?.raise_serial(below).await };
        match told.await {
            Ok(()) => revoked.told.push(module.clone()),
            Err(error) => drop(revoked.not_told.insert(module.clone(), error.to_string())),
        }
    }
    Ok(revoked)
}
