//! What owners ask for. Every name is looked up in the caller's namespace; there is no other.

use crate::control::failed;
use crate::delegations::Acting;
use crate::lending::Borrower;
use crate::model::{AppChange, AppModel, Change, LentModel, TimerModel};
use crate::node::{Node, Shared};
use crate::{lending, listener, loading, reserving, routing};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use veritee_host::Platform;
use veritee_ids::Op;
use veritee_node_client::Fingerprint;
use veritee_node_core::{AppIndex, EnterError, ModuleIndex, Outcome};
use veritee_node_protocol::{
    BoardReport, ConnectionFigures, Description, FailureKind, Figures, IdentityKey, ModuleName, ModuleReport, Request,
    Response,
};

/// Does what `identity` asks for, in its own name or in that of the owner for whom it acts.
pub(crate) async fn answer(
    shared: &Shared, (identity, acting): (IdentityKey, Option<Acting>), request: Request,
) -> Response {
    let owner = shared.look(|node| node.model.owner_of(&identity));
    let response = match (owner, acting, request) {
        (None, _, Request::Enrol { identity: new }) => enrol(shared, identity, new).await,
        (None, ..) => refuse(FailureKind::Forbidden, "only an enrolled owner may ask for this"),
        (Some(_), Some(acting), request) => delegated(shared, &acting, request).await,
        (Some(owner), None, request) => serve(shared, owner, request).await,
    };
    let response = response.unwrap_or_else(|refusal| refusal);
    shared.with(|node| {
        node.counts.requests += 1;
        if matches!(response, Response::Failed(_)) {
            node.counts.requests_refused += 1;
        }
    });
    response
}

/// A response, or a refusal.
pub(crate) type Answer = Result<Response, Response>;

pub(crate) fn refuse<T>(kind: FailureKind, message: &str) -> Result<T, Response> {
    Err(failed(kind, message))
}

/// Does what a delegate asks for in the owner's namespace.
async fn delegated(shared: &Shared, acting: &Acting, request: Request) -> Answer {
    acting.may(&request).or_else(|reason| refuse(FailureKind::Forbidden, reason))?;
    let owner = shared.look(|node| node.model.owner_of(&acting.owner));
    let owner =
        owner.map_or_else(|| refuse(FailureKind::NotFound, "the owner who delegated is not enrolled here"), Ok)?;
    serve(shared, owner, request).await
}

async fn serve(shared: &Shared, owner: u32, request: Request) -> Answer {
    match request {
        Request::Hello { .. } => refuse(FailureKind::Malformed, "versions were compared already"),
        Request::ActFor { .. } => refuse(FailureKind::Malformed, "in whose name a connection speaks is settled there"),
        Request::Describe => Ok(shared.look(describe)),
        Request::Load { name, platform, image, restart } => {
            let (shared, order) = (shared.clone(), loading::Order { name, platform, image, restart });
            to_its_end(async move { loading::load(&shared, owner, order).await }).await
        }
        Request::Unload { name } => {
            let shared = shared.clone();
            to_its_end(async move { loading::unload(&shared, owner, name).await }).await
        }
        Request::Reserve { name, platform, board, need } => {
            let (shared, order) = (shared.clone(), reserving::Order { name, platform, board, need });
            to_its_end(async move { reserving::reserve(&shared, owner, order).await }).await
        }
        Request::List { application } => Ok(shared.look(|node| list(node, owner, application))),
        Request::Lend { name, owner: identity, application, module, connections } => {
            let borrower = Borrower { identity, application };
            lending::lend(shared, owner, name, borrower, LentModel { module, connections }).await
        }
        Request::TakeBack { name, owner: identity, application } => {
            lending::take_back(shared, owner, name, Borrower { identity, application }).await
        }
        Request::Enter { name, op, input } => enter(shared, owner, &name, op, input).await,
        Request::RouteOut { .. } | Request::RouteIn { .. } | Request::Unroute { .. } => {
            routing::route(shared, owner, request).await
        }
        Request::EpochDead { application, connection, epoch } => {
            let change = AppChange::Dead { connection, epoch };
            let durable = shared.with(|node| {
                let app = known_app(node, owner, &application)?;
                node.router.epoch_dead(app, connection, epoch);
                Ok(node.change(vec![Change::InApp { owner, uuid: application, change }]))
            })?;
            done(durable).await
        }
        Request::SetTimer { name, timer, entry, period_ms } => {
            set_timer(shared, owner, name, timer, TimerModel { entry, period_ms }).await
        }
        Request::RemoveTimer { name, timer } => remove_timer(shared, owner, name, timer).await,
        Request::Direct { name, row, frame, reply_ms } => direct(shared, owner, &name, row, &frame, reply_ms).await,
        Request::Figures { application } => shared.look(|node| figures(node, owner, &application)),
        Request::ReplaceIdentity { identity } => replace_identity(shared, owner, identity).await,
        Request::Enrol { .. } => refuse(FailureKind::Forbidden, "this identity is enrolled already"),
        Request::Drain { application, wait_ms } => drain(shared, owner, &application, wait_ms).await,
        Request::Revoke => {
            let shared = shared.clone();
            to_its_end(async move { revoke(&shared, owner).await }).await
        }
    }
}

/// Does work that goes on when who asked for it has gone: half-way, a module would be neither there nor away.
async fn to_its_end(work: impl Future<Output = Answer> + 'static) -> Answer {
    let work = tokio::task::spawn_local(work);
    work.await.unwrap_or_else(|_| refuse(FailureKind::Unavailable, "the node is stopping"))
}

/// Waits until a change is durable.
pub(crate) async fn done(durable: oneshot::Receiver<std::io::Result<()>>) -> Answer {
    match durable.await {
        Ok(Ok(())) => Ok(Response::Done),
        Ok(Err(error)) => refuse(FailureKind::Internal, &format!("the journal cannot be written: {error}")),
        Err(_) => refuse(FailureKind::Unavailable, "the node is stopping"),
    }
}

fn describe(node: &Node) -> Response {
    let platforms = || node.platforms.iter().filter(|platform| node.platform(platform.name()).is_some());
    let modules = node.hosts.iter().filter(|host| host.hosted.is_some()).count();
    Response::Description(Description {
        software: format!("veritee-node {}", env!("CARGO_PKG_VERSION")),
        platforms: platforms().map(|platform| platform.name().to_owned()).collect(),
        identity: node.identity.public(),
        modules: u32::try_from(modules).unwrap_or(u32::MAX),
        boards: platforms().flat_map(|platform| boards(node, &**platform)).collect(),
    })
}

fn boards(node: &Node, platform: &dyn Platform) -> impl Iterator<Item = BoardReport> {
    let name = platform.name();
    platform.boards(&reserving::taken(node, name, None)).into_iter().map(move |board| BoardReport {
        platform: name.to_owned(),
        name: board.name,
        claims: board.claims,
        words: board.words,
        trouble: board.trouble,
    })
}

fn list(node: &Node, owner: u32, only: Option<[u8; 16]>) -> Response {
    let mut reports = Vec::new();
    for (uuid, app) in &node.model.owners[&owner].apps {
        if only.is_some_and(|only| only != *uuid) {
            continue;
        }
        for (name, module) in &app.modules {
            let host = module_index(node, owner, uuid, name).and_then(|index| node.hosts.get(index));
            reports.push(ModuleReport {
                name: ModuleName { application: *uuid, module: name.clone() },
                platform: module.platform.clone(),
                image: module.image,
                alive: host.is_some_and(|host| host.hosted.is_some()),
                death: host.map(|host| host.death.clone()).unwrap_or_default(),
                restarts: host.map_or(0, |host| host.restarts),
            });
        }
    }
    Response::Modules(reports)
}

fn figures(node: &Node, owner: u32, application: &[u8; 16]) -> Answer {
    let app = known_app(node, owner, application)?;
    let connections = node.router.connections(app).into_iter().map(|report| ConnectionFigures {
        connection: report.connection,
        source: report.source,
        frames: report.forward.frames,
        accepted: report.forward.accepted,
        duplicates: report.forward.duplicates,
        gaps: report.forward.gaps,
        busy: report.forward.busy,
        refused: report.forward.refused,
        dropped: report.forward.dropped + report.backward.dropped,
        waiting: report.waiting,
        stored: report.stored,
        resent: report.forward.resent + report.backward.resent,
    });
    Ok(Response::Figures(Figures { connections: connections.collect() }))
}

/// The application, if the owner has it.
pub(crate) fn known_app(node: &Node, owner: u32, uuid: &[u8; 16]) -> Result<AppIndex, Response> {
    let app = node.owners.get(&owner).and_then(|owner| owner.apps.get(uuid)).copied();
    app.ok_or_else(|| failed(FailureKind::NotFound, "no such application here"))
}

/// The application, made if the owner does not have it yet.
pub(crate) fn app_of(node: &mut Node, owner: u32, uuid: [u8; 16]) -> Result<AppIndex, Response> {
    if let Ok(app) = known_app(node, owner, &uuid) {
        return Ok(app);
    }
    let Some(state) = node.owners.get_mut(&owner) else {
        return refuse(FailureKind::Forbidden, "this owner was removed");
    };
    if state.apps.len() >= node.config.limits.applications {
        return refuse(FailureKind::Quota, "no more applications for this owner");
    }
    let number = node.model.next_app;
    let app = node.router.add_application(state.index, uuid, number);
    state.apps.insert(uuid, app);
    // Durable at the latest with the change that follows it.
    drop(node.change(vec![Change::App { owner, uuid, number }]));
    Ok(app)
}

/// The module of this name, if it is loaded.
pub(crate) fn module_index(node: &Node, owner: u32, uuid: &[u8; 16], name: &str) -> Option<ModuleIndex> {
    let app = node.owners.get(&owner)?.apps.get(uuid)?;
    node.model.owners.get(&owner)?.apps.get(uuid)?.modules.get(name)?;
    node.router.modules_of(*app).find(|(known, _)| *known == name).map(|(_, module)| module)
}

/// A module of the owner, or one that is lent to him.
fn known_module(node: &Node, owner: u32, name: &ModuleName) -> Result<ModuleIndex, Response> {
    let lent = || {
        let app = node.owners.get(&owner)?.apps.get(&name.application)?;
        node.router.lent_module(*app, &name.module)
    };
    module_index(node, owner, &name.application, &name.module)
        .or_else(lent)
        .ok_or_else(|| failed(FailureKind::NotFound, &format!("no module {} here", name.module)))
}

async fn enter(shared: &Shared, owner: u32, name: &ModuleName, op: u16, input: Vec<u8>) -> Answer {
    let op = match Op::try_from(op) {
        Ok(op @ (Op::Attest | Op::Open | Op::Control | Op::Entry)) => op,
        _ => return refuse(FailureKind::Malformed, "an owner enters with attest, open, control or entry"),
    };
    if input.len() > INPUT_BYTES_MAX {
        return refuse(FailureKind::Malformed, "the input is too long");
    }
    if crate::delegations::is_over(op, &input) {
        return refuse(FailureKind::Forbidden, "the delegation is over");
    }
    reachable(shared, owner, name).await?;
    let answer = shared.with(|node| {
        let module = known_module(node, owner, name)?;
        let (token, answer) = node.expect_answer();
        node.router.enter(module, op, input, token).map_err(enter_failed)?;
        Ok(answer)
    })?;
    entered(answer, ENTER_PATIENCE, obstacle(shared, owner, name)).await
}

async fn direct(shared: &Shared, owner: u32, name: &ModuleName, row: u16, frame: &[u8], reply_ms: u32) -> Answer {
    reachable(shared, owner, name).await?;
    let answer = shared.with(|node| {
        let module = known_module(node, owner, name)?;
        let (token, answer) = node.expect_answer();
        // A borrower has names of his own for a driver's rows.
        let connection = frame.first_chunk().map(|number| u16::from_le_bytes(*number));
        let row = connection.and_then(|connection| node.router.lent_row(module, connection)).unwrap_or(row);
        let reply_by = (reply_ms > 0).then(|| node.now().after(u64::from(reply_ms) * 1000));
        node.router.direct(module, row, frame, reply_by, token).map_err(enter_failed)?;
        Ok(answer)
    })?;
    let patience = ENTER_PATIENCE + Duration::from_millis(u64::from(reply_ms));
    entered(answer, patience, obstacle(shared, owner, name)).await
}

/// Waits a little for what is in the way of a module's calls, as a board that is not reached; then says what it is. Events
/// wait as long as it takes, owners do not.
async fn reachable(shared: &Shared, owner: u32, name: &ModuleName) -> Result<(), Response> {
    let end = Instant::now() + TROUBLE_PATIENCE;
    loop {
        let trouble = shared.with(|node| {
            let module = known_module(node, owner, name)?;
            Ok(node.hosts.get(module).and_then(|host| host.hosted.as_ref()?.trouble()))
        })?;
        match trouble {
            None => return Ok(()),
            Some(trouble) if Instant::now() >= end => return refuse(FailureKind::Unavailable, &trouble),
            Some(_) => sleep(TROUBLE_PAUSE).await,
        }
    }
}

/// Ends when something has come in the way of a module while it was called: with what [`reachable`] says of it.
async fn obstacle(shared: &Shared, owner: u32, name: &ModuleName) -> Response {
    loop {
        sleep(TROUBLE_PAUSE).await;
        if let Err(refusal) = reachable(shared, owner, name).await {
            return refusal;
        }
    }
}

fn enter_failed(error: EnterError) -> Response {
    let kind = match error {
        EnterError::Dead => FailureKind::Dead,
        EnterError::Full => FailureKind::Unavailable,
        EnterError::Malformed => FailureKind::Malformed,
    };
    failed(kind, &error.to_string())
}

async fn entered(
    answer: oneshot::Receiver<Outcome>, patience: Duration, obstacle: impl Future<Output = Response>,
) -> Answer {
    let outcome = tokio::select! {
        biased;
        outcome = timeout(patience, answer) => outcome,
        refusal = obstacle => return Err(refusal),
    };
    match outcome {
        Ok(Ok(Outcome::Entered { status, value, reply })) => {
            Ok(Response::Entered { status: status.code(), value, reply })
        }
        Ok(Ok(Outcome::Dead)) => refuse(FailureKind::Dead, "the module died"),
        Ok(Ok(Outcome::TimedOut)) => refuse(FailureKind::Timeout, "no reply in time"),
        Ok(Err(_)) => refuse(FailureKind::Unavailable, "the node is stopping"),
        Err(_) => refuse(FailureKind::Timeout, "the module does not answer"),
    }
}

async fn set_timer(shared: &Shared, owner: u32, name: ModuleName, timer: String, setting: TimerModel) -> Answer {
    if setting.period_ms == 0 || timer.len() > NAME_BYTES_MAX {
        return refuse(FailureKind::Malformed, "a timer has a period of at least 1 ms and a short name");
    }
    let durable = shared.with(|node| {
        let module = known_module(node, owner, &name)?;
        let app = &node.model.owners[&owner].apps[&name.application];
        if app.timers.get(&(name.module.clone(), timer.clone())) == Some(&setting) {
            return Ok(None);
        }
        if node.owners[&owner].timers.len() >= node.config.limits.timers {
            return refuse(FailureKind::Quota, "no more timers for this owner");
        }
        let now = node.now();
        let index = node.router.set_timer(now, module, setting.entry, u64::from(setting.period_ms) * 1000);
        let state = node.owners.get_mut(&owner).expect("the caller is an owner");
        let key = (name.application, name.module.clone(), timer.clone());
        if let Some(old) = state.timers.insert(key, index) {
            node.router.remove_timer(old);
        }
        let change = AppChange::Timer { module: name.module, timer, setting };
        Ok(Some(node.change(vec![Change::InApp { owner, uuid: name.application, change }])))
    })?;
    match durable {
        Some(durable) => done(durable).await,
        None => Ok(Response::Done),
    }
}

async fn remove_timer(shared: &Shared, owner: u32, name: ModuleName, timer: String) -> Answer {
    let durable = shared.with(|node| {
        let state = node.owners.get_mut(&owner)?;
        let index = state.timers.remove(&(name.application, name.module.clone(), timer.clone()))?;
        node.router.remove_timer(index);
        let change = AppChange::TimerGone { module: name.module, timer };
        Some(node.change(vec![Change::InApp { owner, uuid: name.application, change }]))
    });
    match durable {
        Some(durable) => done(durable).await,
        // Removed before: the same request twice is one.
        None => Ok(Response::Done),
    }
}

async fn enrol(shared: &Shared, token: IdentityKey, identity: IdentityKey) -> Answer {
    let path = shared.look(|node| listener::tokens(&node.config.state).join(Fingerprint(token).to_string()));
    let durable = shared.with(|node| {
        if node.model.spent.contains(&token) || !path.exists() {
            return refuse(FailureKind::Forbidden, "this token was used already");
        }
        if node.model.owner_of(&identity).is_some() {
            return refuse(FailureKind::Taken, "this identity is enrolled already");
        }
        if node.model.owners.len() >= node.config.limits.owners {
            return refuse(FailureKind::Quota, "no more owners on this node");
        }
        let owner = node.model.next_owner;
        let index = node.router.add_owner(identity);
        node.add_owner_state(owner, index);
        let durable = node.change(vec![Change::Spent { token }, Change::Identity { owner, key: identity }]);
        node.update_known();
        tracing::info!(owner = %Fingerprint(identity), "an owner was enrolled");
        Ok(durable)
    })?;
    let answer = done(durable).await;
    if answer.is_ok()
        && let Err(error) = std::fs::remove_file(&path)
    {
        tracing::warn!(%error, "cannot remove a used token");
    }
    answer
}

async fn replace_identity(shared: &Shared, owner: u32, identity: IdentityKey) -> Answer {
    let durable = shared.with(|node| {
        if node.model.owner_of(&identity).is_some_and(|other| other != owner) {
            return refuse(FailureKind::Taken, "this identity belongs to another owner");
        }
        let index = node.owners[&owner].index;
        node.router.add_owner_key(index, identity);
        let durable = node.change(vec![Change::Identity { owner, key: identity }]);
        node.update_known();
        tracing::info!(owner = %Fingerprint(identity), "an owner's identity was replaced");
        Ok(durable)
    })?;
    done(durable).await
}

async fn drain(shared: &Shared, owner: u32, application: &[u8; 16], wait_ms: u32) -> Answer {
    let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
    loop {
        let left = shared.look(|node| Ok(node.router.waiting(known_app(node, owner, application)?)))?;
        if left == 0 || Instant::now() >= until {
            return Ok(Response::Drained { left });
        }
        sleep(DRAIN_PERIOD).await;
    }
}

async fn revoke(shared: &Shared, owner: u32) -> Answer {
    let names = shared.look(|node| {
        let apps = node.model.owners.get(&owner).map(|owner| &owner.apps);
        let names = apps.into_iter().flatten().flat_map(|(uuid, app): (_, &AppModel)| {
            let names = app.modules.keys().chain(app.reserved.keys());
            names.map(|name| ModuleName { application: *uuid, module: name.clone() })
        });
        names.collect::<Vec<_>>()
    });
    for name in names {
        loading::unload(shared, owner, name).await?;
    }
    let durable = shared.with(|node| {
        if let Some(state) = node.owners.remove(&owner) {
            state.timers.into_values().for_each(|timer| node.router.remove_timer(timer));
            state.apps.into_values().for_each(|app| node.router.remove_application(app));
            node.router.remove_owner(state.index);
        }
        let durable = node.change(vec![Change::Revoked { owner }]);
        node.update_known();
        tracing::info!("an owner was removed");
        durable
    });
    done(durable).await
}

const INPUT_BYTES_MAX: usize = veritee_ids::limits::ENTRY_BYTES_MAX + 2;
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// For what is in the way of a module's calls, and how often it is looked at.
const TROUBLE_PATIENCE: Duration = Duration::from_secs(5);
const TROUBLE_PAUSE: Duration = Duration::from_millis(50);
const ENTER_PATIENCE: Duration = Duration::from_secs(30);
const DRAIN_PERIOD: Duration = Duration::from_millis(2);
