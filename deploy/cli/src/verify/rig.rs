//! The throw-away application on the node: what checks do with it.

use super::Stand;
use crate::application::Loaded;
use crate::printer::{Printer, Warnings};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::fmt::{Display, Formatter};
use std::path::Path;
use veritee_exec::deploy::{Owner, Place, Target, bring_up, look_desk, name_of};
use veritee_exec::desk::Desk;
use veritee_exec::direct::Caller;
use veritee_exec::fleet::{Fleet, Node};
use veritee_exec::resolve::{Body, Built, resolve};
use veritee_exec::state::State;
use veritee_exec::{ExecError, hex, platforms, random};
use veritee_ids::{ApplicationId, Challenge, Op, Status};
use veritee_node_protocol::{ConnectionFigures, ModuleName};
use veritee_platform::{BuiltImage, Expected, OwnerPlatform, PlatformError, Verified, VerifyPolicy};

/// Bytes of a payload's filling.
const FILLING_BYTES: u16 = super::PAYLOAD_BYTES - 10;

/// A payload, as the modules' type `Load` has it.
pub(super) fn load(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(FILLING_BYTES.to_le_bytes());
    bytes.resize(usize::from(super::PAYLOAD_BYTES), 0x5a);
    bytes
}

/// A descriptor and its images.
pub(super) type What<'a> = (&'a Loaded, &'a Built);

/// What the module that is verified proved.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Proved {
    pub(super) simulated: bool,
    pub(super) measurement: String,
    pub(super) freshness: String,
    /// Claims of the evidence that were accepted.
    pub(super) claims: Vec<(String, String)>,
}

impl Display for Proved {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let protected = if self.simulated { "unprotected or simulated" } else { "protected by hardware" };
        let measurement = self.measurement.get(..16).unwrap_or(&self.measurement);
        write!(f, "{protected}; measurement {measurement}…, freshness {}", self.freshness)
    }
}

/// The application, up.
pub(super) struct Rig {
    pub(super) node: Node,
    /// The module that is verified.
    pub(super) far: ModuleName,
    near: ModuleName,
    pub(super) platform: Box<dyn OwnerPlatform>,
    pub(super) image: BuiltImage,
    pub(super) owner: Owner,
    pub(super) application: ApplicationId,
    built: Built,
    fleet: Fleet,
    target: Target,
    state: State,
    printer: Printer,
}

/// A module's evidence with its challenge.
pub(super) struct Evidence {
    pub(super) challenge: Challenge,
    pub(super) bytes: Vec<u8>,
}

impl Rig {
    pub(super) async fn up(
        platform: &str, stand: &Stand, (loaded, built): What<'_>, (application, folder): (ApplicationId, &Path),
        printer: &Printer,
    ) -> Result<(Self, Proved)> {
        let mut state = State::open(folder, &loaded.descriptor.application, Some(application))?;
        let target = resolve(&loaded.descriptor, built, &stand.fleet, &mut state)?;
        let talk = Warnings(printer);
        let place = Place { target: &target, fleet: &stand.fleet, owner: &stand.owner, talk: &talk };
        drop(bring_up(place, &mut state).await?);
        let Some(Body::Image(image)) = built.get("far").map(|built| &built.body) else { bail!("there is no image") };
        let rig = Self {
            node: stand.node.clone(),
            far: name_of(&state, "far"),
            near: name_of(&state, "near"),
            platform: platforms::platform(platform).with_context(|| format!("no platform {platform}"))?,
            image: image.clone(),
            owner: stand.owner.clone(),
            application,
            built: built.clone(),
            fleet: stand.fleet.clone(),
            target,
            state,
            printer: printer.clone(),
        };
        let proved = rig.proved().await?;
        Ok((rig, proved))
    }

    async fn proved(&self) -> Result<Proved> {
        let evidence = self.attest().await?;
        let mut claims = Vec::new();
        let mut accepted = |name: &str, value: &str| claims.push((name.to_owned(), value.to_owned()));
        let policy = &self.target.policy;
        let verified =
            self.platform.examine(&evidence.bytes, evidence.challenge, self.expected(), policy, &mut accepted)?;
        Ok(Proved {
            simulated: verified.simulated,
            measurement: hex(&verified.measurement),
            freshness: verified.freshness.word().to_owned(),
            claims,
        })
    }

    pub(super) fn expected(&self) -> Expected<'_> {
        Expected { measurement: &self.image.measurement, key: self.image.key.as_ref(), credential: None }
    }

    /// Has the module make evidence over a fresh challenge.
    pub(super) async fn attest(&self) -> Result<Evidence> {
        let challenge = Challenge(random()?);
        let entered = self.node.enter(&self.far, Op::Attest, challenge.0.to_vec()).await?;
        ensure!(entered.status == Status::Accepted.code(), "attest came to {}", word(entered.status));
        Ok(Evidence { challenge, bytes: entered.reply })
    }

    /// Judges evidence under the application's policy.
    pub(super) fn judge(&self, evidence: &Evidence) -> Result<Verified, PlatformError> {
        self.judge_under(evidence, &self.target.policy)
    }

    pub(super) fn judge_under(&self, evidence: &Evidence, policy: &VerifyPolicy) -> Result<Verified, PlatformError> {
        self.platform.verify(&evidence.bytes, evidence.challenge, self.expected(), policy)
    }

    /// Opens a session with a module as the tool does.
    pub(super) async fn desk(&self, module: &str) -> Result<Desk> {
        let talk = Warnings(&self.printer);
        let place = Place { target: &self.target, fleet: &self.fleet, owner: &self.owner, talk: &talk };
        let target = self.target.modules.get(module).with_context(|| format!("no module {module}"))?;
        Ok(look_desk(place, &self.state, module, target).await?)
    }

    /// Becomes the owner's end of a direct connection.
    pub(super) async fn caller(&self, connection: &str) -> Result<Caller> {
        let wire = self.target.wires.iter().find(|wire| wire.name == connection).context("no such connection")?;
        let mut desk = self.desk("far").await?;
        let keys = (self.application, &self.owner.root);
        Ok(Caller::open(wire, &mut desk, keys, self.state.folder()).await?)
    }

    /// Calls an entry; gives the numbers that it gives back.
    pub(super) async fn call(&self, module: &str, entry: &str, arguments: &[u8]) -> Result<Vec<u64>> {
        let ports = &self.built.get(module).with_context(|| format!("no module {module}"))?.ports().ports;
        let index = ports.iter().position(|port| port.name == entry).with_context(|| format!("no entry {entry}"))?;
        let input = [&u16::try_from(index)?.to_le_bytes(), arguments].concat();
        let name = if module == "far" { &self.far } else { &self.near };
        let entered = self.node.enter(name, Op::Entry, input).await?;
        ensure!(entered.status == Status::Accepted.code(), "the entry {entry} came to {}", word(entered.status));
        let (numbers, _) = entered.reply.as_chunks();
        Ok(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
    }

    /// What the module that is verified has seen: of the flood, out of order, and of its owner.
    pub(super) async fn seen(&self) -> Result<[u64; 3]> {
        let numbers = self.call("far", "report", &[]).await?;
        numbers.first_chunk().copied().context("a short response")
    }

    /// What the node counted of a direct connection.
    pub(super) async fn figures(&self, connection: &str) -> Result<ConnectionFigures> {
        let wire = self.target.wires.iter().find(|wire| wire.name == connection).context("no such connection")?;
        let figures = self.node.figures(self.application.0).await?;
        let found = figures.connections.into_iter().find(|half| half.connection == wire.id.0 && !half.source);
        found.context("the node has no figures of this connection")
    }

    /// Whether the node says that the module lives.
    pub(super) async fn lives(&self) -> Result<(), ExecError> {
        let modules = self.node.list(self.application.0).await?;
        match modules.into_iter().find(|module| module.name == self.far) {
            Some(module) if module.alive && module.restarts == 0 => Ok(()),
            Some(module) => Err(ExecError::NodeStart { node: self.node.name.clone(), reason: module.death }),
            None => Err(ExecError::UnknownNode { node: self.node.name.clone() }),
        }
    }
}

/// A status for people.
pub(super) fn word(status: u16) -> &'static str {
    Status::try_from(status).map_or("an unknown status", Status::word)
}
