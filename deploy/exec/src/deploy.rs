//! The whole way of a deployment. Doing it again changes only what differs; interrupted anywhere, the next call finishes.

use crate::connect::{Connected, Desks, End, Ended, Side, Wire, connect, stands};
use crate::cost::{self, Cost, Counted, counted};
use crate::desk::{self, Desk};
use crate::fleet::{Fleet, Node};
use crate::lent::Lent;
use crate::provider::GrantName;
use crate::resolve::Kept;
use crate::sealed::{SealedState, start_from};
use crate::seen::Seen;
use crate::state::{Placed, State};
use crate::{ExecError, Talk, hex};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use veritee_ids::{Challenge, PortIndex};
use veritee_node_protocol::{FailureKind, ModuleName, Remote, Request, Response};
use veritee_platform::{BuiltImage, Credential, Expected, OwnerPlatform, PlatformError, Verified, VerifyPolicy};
use veritee_session::{Delegated, OwnerIdentity, OwnerRoot, Signer};
use veritee_wire::layout::RowName;

/// A module that should run.
#[derive(Clone, Debug)]
pub struct ModuleTarget {
    /// Its node.
    pub node: String,
    /// Its platform's word.
    pub platform: String,
    /// What runs there.
    pub runs: Runs,
    /// The owner's credential for its board.
    pub credential: Option<Credential>,
    /// Its node starts it again, fresh, when it dies.
    pub restart: bool,
    /// The place that its node keeps for it.
    pub kept: Option<Kept>,
}

/// What runs as a module.
#[derive(Clone, Debug)]
pub enum Runs {
    /// An image of the owner's.
    Image(BuiltImage),
    /// A driver of the board, lent by its provider.
    Driver(Lent),
}

impl ModuleTarget {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Placed {
        let lent = match &self.runs {
            Runs::Image(_) => None,
            Runs::Driver(lent) => Some((lent.grant.board.clone(), lent.grant.driver.clone())),
        };
        Placed { node: self.node.clone(), lent }
    }

    /// Whether it is a driver of the board.
    #[must_use]
    pub const fn is_driver(&self) -> bool {
        matches!(self.runs, Runs::Driver(_))
    }
}

/// A timer that should tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimerTarget {
    /// Its name.
    pub name: String,
    /// The module.
    pub module: String,
    /// The user entry.
    pub entry: PortIndex,
    /// Its period.
    pub every: Duration,
}

/// What should be, resolved: everything was checked before anything is touched.
#[derive(Clone, Debug)]
pub struct Target {
    /// The application's name.
    pub application: String,
    /// Modules by name.
    pub modules: BTreeMap<String, ModuleTarget>,
    /// Connections.
    pub wires: Vec<Wire>,
    /// Timers.
    pub timers: Vec<TimerTarget>,
    /// The owner's policy.
    pub policy: VerifyPolicy,
}

/// Who acts: the owner, or a delegate of his.
#[derive(Clone, Debug)]
pub struct Owner {
    /// His identity, measured into images if he is the owner.
    pub identity: OwnerIdentity,
    /// His root. A delegate has his own, never the owner's.
    pub root: OwnerRoot,
    /// By what he acts for the owner, if he is none.
    pub delegated: Option<Delegated>,
}

impl Owner {
    /// Who opens sessions.
    fn signer(&self) -> Signer<'_> {
        self.delegated.as_ref().map_or(Signer::Owner(&self.identity), Signer::Delegate)
    }
}

/// What stands after a deployment.
#[derive(Debug)]
pub struct Deployment {
    /// Sessions with all modules.
    pub desks: Desks,
    /// Connections by name.
    pub connected: BTreeMap<String, Connected>,
}

/// A deployment's surroundings.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Place<'a> {
    /// What should be.
    pub target: &'a Target,
    /// The nodes.
    pub fleet: &'a Fleet,
    /// The owner.
    pub owner: &'a Owner,
    /// Where progress is told.
    pub talk: &'a dyn Talk,
}

/// Brings an application up: loads, attests, connects, activates, starts timers.
///
/// # Errors
/// The first thing that fails; what was done stands, and the next call goes on from there.
pub async fn bring_up(place: Place<'_>, state: &mut State) -> Result<Deployment, ExecError> {
    bring_up_from(place, state, None).await
}

/// The same; a module that is new gets its sealed state before it runs.
pub(crate) async fn bring_up_from(
    place: Place<'_>, state: &mut State, sealed: Option<&SealedState>,
) -> Result<Deployment, ExecError> {
    state.keep()?;
    unload_strangers(place, state).await?;
    load(place, state).await?;
    let mut desks = attest(place, state).await?;
    Seen::read(state).witness_all(&mut desks).await?;
    hold_floor(place, state, &mut desks).await?;
    remove_rows(place, state, &mut desks).await?;
    route(place, state).await?;
    let connected = connect_all(place, state, &mut desks).await?;
    activate(&mut desks, sealed).await?;
    start_timers(place, state).await?;
    Ok(Deployment { desks, connected })
}

impl Place<'_> {
    pub(crate) fn platform(&self, module: &ModuleTarget) -> Result<Box<dyn OwnerPlatform>, ExecError> {
        crate::platforms::platform(&module.platform).ok_or_else(|| ExecError::NoSuch {
            what: "platform",
            name: module.platform.clone(),
            candidates: crate::platforms::words().into_iter().map(str::to_owned).collect(),
        })
    }
}

/// The name of a module at nodes.
#[must_use]
pub fn name_of(state: &State, module: &str) -> ModuleName {
    ModuleName { application: state.application.0, module: module.to_owned() }
}

/// Ends modules that are not in the descriptor any more, or live on another node.
async fn unload_strangers(place: Place<'_>, state: &mut State) -> Result<(), ExecError> {
    for (module, placed) in state.placed.clone() {
        if place.target.modules.get(&module).is_none_or(|target| target.place() != placed) {
            leave(place.fleet, state, &module, &placed, place.talk).await?;
        }
    }
    Ok(())
}

/// Ends a module where it is, or gives a driver back.
///
/// # Errors
/// [`ExecError::Node`], [`ExecError::Provider`], [`ExecError::File`].
pub async fn leave(
    fleet: &Fleet, state: &mut State, module: &str, placed: &Placed, talk: &dyn Talk,
) -> Result<(), ExecError> {
    match &placed.lent {
        Some((board, driver)) => {
            let provider = fleet.provider(&placed.node, board)?;
            let grant = GrantName { board: board.clone(), driver: driver.clone(), application: state.application.0 };
            match (Lent { grant, device: 0, provider }).release().await {
                Ok(()) => talk.done(&format!("gave {module} on {} back to its provider", placed.node)),
                // It was never taken, its time is over, or an answer got lost.
                Err(ExecError::NotLent(_)) => talk.done(&format!("{module} on {} is with its provider", placed.node)),
                Err(error) => return Err(error),
            }
        }
        None => {
            let request = Request::Unload { name: name_of(state, module) };
            fleet.node(&placed.node)?.tell(request, "unload").await?;
            talk.done(&format!("unloaded {module} from {}", placed.node));
        }
    }
    state.forget(module)
}

async fn load(place: Place<'_>, state: &mut State) -> Result<(), ExecError> {
    for (module, target) in &place.target.modules {
        state.place(module, &target.place())?;
        let Runs::Image(image) = &target.runs else { continue };
        place.talk.doing("load", &format!("loading {module} on {}", target.node));
        let image = std::fs::read(&image.path).map_err(ExecError::file("read", &image.path))?;
        let node = place.fleet.node(&target.node)?;
        let name = name_of(state, module);
        let request = Request::Load {
            name: name.clone(),
            platform: target.platform.clone(),
            image: image.clone(),
            restart: target.restart,
        };
        if let Err(error) = load_one(node, &request).await {
            if error.failure() != Some(FailureKind::Taken) {
                return Err(error);
            }
            // The same name with another image: the old one makes room, and its place goes with it.
            node.tell(Request::Unload { name }, "unload").await?;
            if let Some(kept) = &target.kept {
                keep_again(node, module, kept).await?;
            }
            load_one(node, &request).await?;
        }
    }
    Ok(())
}

/// Has a node keep a place again that it gave up with the module that was there.
async fn keep_again(node: &Node, module: &str, kept: &Kept) -> Result<(), ExecError> {
    match node.ask(kept.request.clone()).await? {
        Response::Reserved { place } if place == kept.place => Ok(()),
        // Somebody was faster: the image is not for where there is room now.
        Response::Reserved { .. } => Err(ExecError::Moved { module: module.to_owned() }),
        _ => Err(node.strange("reserve")),
    }
}

/// Loads; waits while the node still starts the module for an earlier call that was interrupted.
async fn load_one(node: &Node, request: &Request) -> Result<(), ExecError> {
    let end = Instant::now() + LOAD_PATIENCE;
    loop {
        match node.tell(request.clone(), "load").await {
            Err(error) if error.failure() == Some(FailureKind::Unavailable) && Instant::now() < end => {
                tokio::time::sleep(LOAD_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

const LOAD_PATIENCE: Duration = Duration::from_secs(20);
const LOAD_PAUSE: Duration = Duration::from_millis(20);

/// Opens sessions with all modules.
pub(crate) async fn attest(place: Place<'_>, state: &State) -> Result<Desks, ExecError> {
    let mut desks = Desks::new();
    for (module, target) in &place.target.modules {
        let desk = open_desk(place, state, module, target).await?;
        place.talk.done(&format!(
            "{} {module} on {}: {}{}, measurement {}…",
            if desk.is_driver() { "took driver" } else { "attested" },
            target.node,
            target.platform,
            if desk.attested.simulated { " (unprotected or simulated)" } else { "" },
            hex(desk.attested.measurement.get(..8).unwrap_or_default()),
        ));
        if let Some(caveat) = desk.attested.caveat {
            place.talk.warn(&format!("{module}: {caveat}"));
        }
        desks.insert(module.clone(), desk);
    }
    Ok(desks)
}

/// Attests one module and opens a session with it, or takes a driver from its provider.
async fn open_desk(place: Place<'_>, state: &State, module: &str, target: &ModuleTarget) -> Result<Desk, ExecError> {
    match &target.runs {
        Runs::Image(_) => look_desk(place, state, module, target).await,
        Runs::Driver(lent) => {
            let node = place.fleet.node(&target.node)?;
            Desk::lend(node, name_of(state, module), lent.clone(), &place.target.application).await
        }
    }
}

/// Attests one module and opens a session with it, or asks a driver's provider. Nothing is taken.
///
/// # Errors
/// As [`Desk::open`] and [`Desk::look`].
pub async fn look_desk(
    place: Place<'_>, state: &State, module: &str, target: &ModuleTarget,
) -> Result<Desk, ExecError> {
    let platform = place.platform(target)?;
    if place.owner.delegated.is_some() && !platform.delegates() {
        return Err(ExecError::NotDelegable { module: module.to_owned(), platform: target.platform.clone() });
    }
    let node = place.fleet.node(&target.node)?;
    let name = name_of(state, module);
    match &target.runs {
        Runs::Image(image) => {
            let (key, credential) = (image.key.as_ref(), target.credential.as_ref());
            let expected = Expected { measurement: &image.measurement, key, credential };
            Desk::open(node, name, &*platform, (expected, &place.target.policy), place.owner.signer()).await
        }
        Runs::Driver(lent) => Desk::look(node, name, lent.clone()).await,
    }
}

/// A module's evidence, fresh, and the owner's verdict on it.
#[derive(Debug)]
pub struct Appraisal {
    /// What it answers to.
    pub challenge: Challenge,
    /// In the platform's own form.
    pub evidence: Vec<u8>,
    /// What it proved, or why it is refused.
    pub verdict: Result<Verified, PlatformError>,
}

/// Attests one of the owner's modules and judges its evidence. Its session, and what it does, stay as they are.
///
/// # Errors
/// [`ExecError::NoSuch`] for a driver, which its provider judges; [`ExecError::Refused`], [`ExecError::Node`].
pub async fn appraise(place: Place<'_>, state: &State, module: &str) -> Result<Appraisal, ExecError> {
    let images = place.target.modules.iter().filter_map(|(name, target)| match &target.runs {
        Runs::Image(image) => Some((name, target, image)),
        Runs::Driver(_) => None,
    });
    let (_, target, image) = images.clone().find(|(name, ..)| *name == module).ok_or_else(|| ExecError::NoSuch {
        what: "module of your own",
        name: module.to_owned(),
        candidates: images.map(|(name, ..)| name.clone()).collect(),
    })?;
    let platform = place.platform(target)?;
    let (challenge, evidence) = desk::attest(place.fleet.node(&target.node)?, &name_of(state, module)).await?;
    let (key, credential) = (image.key.as_ref(), target.credential.as_ref());
    let expected = Expected { measurement: &image.measurement, key, credential };
    let verdict = platform.verify(&evidence, challenge, expected, &place.target.policy);
    Ok(Appraisal { challenge, evidence, verdict })
}

/// Tells modules which delegations are revoked: a new activation knows of none.
async fn hold_floor(place: Place<'_>, state: &State, desks: &mut Desks) -> Result<(), ExecError> {
    if state.serial_floor == 0 {
        return Ok(());
    }
    for (module, target) in &place.target.modules {
        if place.platform(target)?.delegates() {
            crate::connect::desk(desks, module).raise_serial(state.serial_floor).await?;
        }
    }
    Ok(())
}

/// Frees rows that no connection of the descriptor uses.
async fn remove_rows(place: Place<'_>, state: &mut State, desks: &mut Desks) -> Result<(), ExecError> {
    let ends: Vec<_> = place
        .target
        .wires
        .iter()
        .flat_map(|wire| wire.from.iter().chain(&wire.to).map(|end| (end.module.clone(), end.row, wire.id)))
        .collect();
    for (module, desk) in desks {
        for row in desk.status().await?.rows {
            if ends.contains(&(module.clone(), row.row, row.connection)) {
                continue;
            }
            desk.remove(&RowName { row: row.row, connection: row.connection }).await?;
            let unroute = Request::Unroute { application: state.application.0, connection: row.connection.0 };
            desk.node.tell(unroute, "unroute").await?;
            place.talk.done(&format!("removed connection {} from {module}", row.connection));
        }
    }
    let gone: Vec<String> = state
        .assigned
        .keys()
        .filter(|name| !place.target.wires.iter().any(|wire| wire.name == **name))
        .cloned()
        .collect();
    gone.iter().try_for_each(|name| state.remove(name))
}

async fn route(place: Place<'_>, state: &State) -> Result<(), ExecError> {
    for wire in &place.target.wires {
        route_wire(place, state, wire).await?;
    }
    Ok(())
}

/// Tells both nodes of a connection about each other.
async fn route_wire(place: Place<'_>, state: &State, wire: &Wire) -> Result<(), ExecError> {
    let node_of = |module: &str| place.target.modules.get(module).map_or("", |target| target.node.as_str());
    let Some(to) = wire.end(Side::Target) else { return Ok(()) };
    let to_node = node_of(&to.module);
    let source = match &wire.from {
        None => Remote::Owner,
        Some(from) => place.fleet.remote(to_node, node_of(&from.module), &from.module)?,
    };
    let route = Request::RouteIn {
        application: state.application.0,
        connection: wire.id.0,
        target: to.module.clone(),
        target_row: to.row.0,
        source,
        deadline_ms: wire.deadline_ms,
        port: to.port.0,
    };
    place.fleet.node(to_node)?.tell(route, "route").await?;
    let Some(from) = &wire.from else { return Ok(()) };
    let from_node = node_of(&from.module);
    let route = Request::RouteOut {
        application: state.application.0,
        connection: wire.id.0,
        source: from.module.clone(),
        source_row: from.row.0,
        target: place.fleet.remote(from_node, to_node, &to.module)?,
    };
    place.fleet.node(from_node)?.tell(route, "route").await
}

/// Brings all connections to epochs that both their ends have.
pub(crate) async fn connect_all(
    place: Place<'_>, state: &mut State, desks: &mut Desks,
) -> Result<BTreeMap<String, Connected>, ExecError> {
    let mut connected = BTreeMap::new();
    for wire in place.target.wires.iter().filter(|wire| wire.from.is_some()) {
        connected.insert(wire.name.clone(), connect_one(place, state, desks, wire).await?);
    }
    Ok(connected)
}

/// Brings a connection to an epoch that both its ends have.
async fn connect_one(
    place: Place<'_>, state: &mut State, desks: &mut Desks, wire: &Wire,
) -> Result<Connected, ExecError> {
    place.talk.doing("connect", &format!("connecting {}", wire.name));
    let came = connect(wire, desks, state, &place.owner.root).await?;
    if let (Some(dead), Some(from)) = (came.dead, &wire.from) {
        let request = Request::EpochDead { application: state.application.0, connection: wire.id.0, epoch: dead.0 };
        crate::connect::desk(desks, &from.module).node.tell(request, "epoch-dead").await?;
    }
    if came.opened {
        place.talk.done(&format!("connected {}: {}, epoch {}", wire.name, wire.cipher.word(), came.epoch));
    }
    if let Some(ended) = came.ended {
        place.talk.warn(&cost_of(place, state, wire, ended).await?.to_string());
    }
    Ok(came)
}

/// What a delegate can do of [`bring_up`]: opens new epochs on connections that lost an end, and makes new modules run. What
/// stands is left to the owner: only he knows its keys.
///
/// # Errors
/// As [`bring_up`]; [`ExecError::EpochNotDelegated`].
pub async fn reconnect(place: Place<'_>, state: &mut State, deployment: &mut Deployment) -> Result<(), ExecError> {
    state.keep()?;
    for wire in &place.target.wires {
        let desks = &mut deployment.desks;
        let reached = |end: &End| desks.contains_key(&end.module);
        if !wire.from.as_ref().is_some_and(reached) || !wire.end(Side::Target).is_some_and(reached) {
            continue;
        }
        if !stands(wire, desks).await? {
            let came = connect_one(place, state, desks, wire).await?;
            deployment.connected.insert(wire.name.clone(), came);
        }
    }
    activate(&mut deployment.desks, None).await
}

/// What an epoch's end cost: exact, or with bound and claim.
async fn cost_of(place: Place<'_>, state: &State, wire: &Wire, ended: Ended) -> Result<Cost, ExecError> {
    let seen = Seen::read(state);
    let end = |side, sealed| counted(&seen, wire, &ended.record, side, sealed);
    let (sent, accepted) = (end(Side::Source, ended.sent), end(Side::Target, ended.accepted));
    place.cost(state, wire, ended.record.epoch.0, (sent, accepted)).await
}

impl Place<'_> {
    /// Puts a cost together; asks the source's node for its claim where an end is gone.
    pub(crate) async fn cost(
        &self, state: &State, wire: &Wire, epoch: u32, (sent, accepted): (Counted, Counted),
    ) -> Result<Cost, ExecError> {
        let exact = matches!((sent, accepted), (Counted::Sealed(_), Counted::Sealed(_)));
        let node = wire.from.as_ref().and_then(|from| self.target.modules.get(&from.module));
        let claim = match node.filter(|_| !exact) {
            Some(target) => Some(cost::claim(self.fleet, &target.node, state, wire).await?),
            None => None,
        };
        Ok(Cost { connection: wire.name.clone(), epoch, sent, accepted, claim })
    }
}

async fn activate(desks: &mut Desks, sealed: Option<&SealedState>) -> Result<(), ExecError> {
    for (module, desk) in desks {
        match sealed.filter(|sealed| sealed.module == *module) {
            Some(sealed) => start_from(desk, sealed).await?,
            None => desk.activate().await?,
        }
    }
    Ok(())
}

async fn start_timers(place: Place<'_>, state: &State) -> Result<(), ExecError> {
    for timer in &place.target.timers {
        let node = place.target.modules.get(&timer.module).map_or("", |target| target.node.as_str());
        let request = Request::SetTimer {
            name: name_of(state, &timer.module),
            timer: timer.name.clone(),
            entry: timer.entry.0,
            period_ms: u32::try_from(timer.every.as_millis()).unwrap_or(u32::MAX),
        };
        place.fleet.node(node)?.tell(request, "set-timer").await?;
    }
    Ok(())
}

/// Stops all timers of the descriptor.
///
/// # Errors
/// [`ExecError::Node`].
pub async fn stop_timers(place: Place<'_>, state: &State) -> Result<(), ExecError> {
    for timer in &place.target.timers {
        let node = place.target.modules.get(&timer.module).map_or("", |target| target.node.as_str());
        let name = name_of(state, &timer.module);
        let request = Request::RemoveTimer { name, timer: timer.name.clone() };
        place.fleet.node(node)?.tell(request, "remove-timer").await?;
    }
    Ok(())
}
