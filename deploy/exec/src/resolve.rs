//! From a descriptor to a target: everything checked before anything is touched.

use crate::build::Source;
use crate::connect::{End, Wire};
use crate::deploy::{ModuleTarget, Runs, Target, TimerTarget};
use crate::fleet::Fleet;
use crate::home::{BoardKey, BoardKeys};
use crate::lent::Lent;
use crate::provider::GrantName;
use crate::state::{Assignment, State, unhex};
use crate::{ExecError, hex, platforms, random};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use veritee_ids::{CipherId, ConnectionId, Freshness, PortIndex, PortKind, RowIndex, TypeHash};
use veritee_model::check::CALLERS;
use veritee_model::ports::{Tables, port};
use veritee_model::{Connection, Descriptor, Quotes, Restart};
use veritee_node_protocol::Request;
use veritee_platform::{BuiltImage, Driver, Language, OwnerPlatform, PortTable, QuotePolicy, VerifyPolicy};

/// A module that is built, or that its provider lends.
#[derive(Clone, Debug)]
pub struct BuiltModule {
    /// What it is.
    pub body: Body,
    /// The owner's key of its board.
    pub board: Option<BoardKey>,
    /// The place that its node keeps for it, once it is settled.
    pub kept: Option<Kept>,
}

/// A place that a node keeps for a module.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How it was asked for.
    pub request: Request,
    /// The place.
    pub place: Vec<u8>,
}

/// What a module is made of.
#[derive(Clone, Debug)]
pub enum Body {
    /// An image.
    Image(BuiltImage),
    /// A driver of its board.
    Driver(Driver),
}

impl BuiltModule {
    /// Its ports.
    #[must_use]
    pub const fn ports(&self) -> &PortTable {
        match &self.body {
            Body::Image(image) => &image.ports,
            Body::Driver(driver) => &driver.ports,
        }
    }
}

/// Modules by name.
pub type Built = BTreeMap<String, BuiltModule>;

/// Drivers that the descriptor names, with their ports, and the boards of all modules, as the owner's keys say.
///
/// # Errors
/// [`ExecError::NoCredential`] without a key of a board; [`ExecError::Platform`] when it has no such driver.
pub fn boards(
    descriptor: &Descriptor, keys: &BoardKeys,
) -> Result<BTreeMap<String, (BoardKey, Option<Driver>)>, ExecError> {
    let mut boards = BTreeMap::new();
    for (name, module) in &descriptor.modules {
        let Some(platform) = platform_of(descriptor, name).filter(|platform| platform.has_boards()) else { continue };
        let found = keys.get(&module.node);
        let key = match &module.board {
            Some(board) => found.and_then(|boards| boards.get(board)),
            None => found.filter(|boards| boards.len() == 1).and_then(|boards| boards.values().next()),
        };
        let what = || match &module.board {
            Some(board) => format!("board {board} of node {}", module.node),
            None => format!("the board of node {}", module.node),
        };
        let key = key.ok_or_else(|| ExecError::NoCredential { what: what() })?;
        let driver = module.driver.as_ref().map(|driver| platform.driver(driver, &key.credential())).transpose()?;
        boards.insert(name.clone(), (key.clone(), driver));
    }
    Ok(boards)
}

/// The platform of a module's node.
fn platform_of(descriptor: &Descriptor, module: &str) -> Option<Box<dyn OwnerPlatform>> {
    let node = descriptor.nodes.get(&descriptor.modules.get(module)?.node)?;
    platforms::platform(&node.platform)
}

/// Judges a descriptor before anything is built.
///
/// # Errors
/// [`ExecError::Descriptor`] with every problem.
pub fn check(descriptor: &Descriptor, folder: &Path) -> Result<(), ExecError> {
    let mut problems: Vec<String> =
        descriptor.check(&platforms::words()).into_iter().map(|problem| problem.0).collect();
    for (name, module) in &descriptor.modules {
        for source in module.source.rust.iter().chain(&module.source.c) {
            if !folder.join(source).is_dir() {
                let place = folder.join(source);
                problems.push(format!("module {name}: its source {} is no folder", place.display()));
            }
        }
    }
    for (name, node) in &descriptor.nodes {
        let unprotected = platforms::platform(&node.platform).and_then(|platform| platform.unprotected());
        if let Some(word) = unprotected.filter(|word| !descriptor.policy.allow.iter().any(|allowed| allowed == word)) {
            problems.push(format!(
                "node {name}: the platform {word} does not protect modules from their node; \
                 write `policy: {{ allow: [{word}] }}` to accept that"
            ));
        }
    }
    check_boards(descriptor, &mut problems);
    check_ciphers(descriptor, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(ExecError::Descriptor(problems)) }
}

/// Boards and drivers are where the platform has them.
fn check_boards(descriptor: &Descriptor, problems: &mut Vec<String>) {
    for (name, module) in &descriptor.modules {
        let boards = platform_of(descriptor, name).is_none_or(|platform| platform.has_boards());
        if !boards && (module.board.is_some() || module.driver.is_some()) {
            let word = if module.driver.is_some() { "driver" } else { "board" };
            problems.push(format!("module {name}: its node has no boards; remove `{word}`"));
        }
    }
    for (name, node) in &descriptor.nodes {
        let Some(platform) = platforms::platform(&node.platform) else { continue };
        if !platform.has_boards() && !node.boards.is_empty() {
            problems.push(format!("node {name}: the platform {} has no boards; remove `boards`", node.platform));
        }
        let Some(maker) = platforms::provider(&node.platform) else { continue };
        let known = maker.drivers();
        for (board, found) in &node.boards {
            for driver in found.drivers.iter().filter(|driver| !known.contains(driver)) {
                problems.push(format!(
                    "node {name}: board {board} cannot have the driver {driver:?}; there is: {}",
                    known.join(", ")
                ));
            }
        }
    }
}

/// Both ends of a connection have its cipher.
fn check_ciphers(descriptor: &Descriptor, problems: &mut Vec<String>) {
    for connection in &descriptor.connections {
        let Some(word) = connection.cipher.as_deref() else { continue };
        let Some(cipher) = CipherId::ALL.iter().find(|cipher| cipher.word() == word) else { continue };
        for end in connection.from.iter().chain([&connection.to]) {
            let Some(platform) = platform_of(descriptor, &end.module) else { continue };
            if !platform.ciphers().contains(cipher) {
                problems.push(format!(
                    "connection {}: {} is on the platform {}, which has no {word}; there is: {}",
                    connection.shown_name(),
                    end.module,
                    platform.name(),
                    platform.ciphers().iter().map(|cipher| cipher.word()).collect::<Vec<_>>().join(", ")
                ));
            }
        }
    }
}

/// Judges a descriptor against the ports of what was built. Gives warnings.
///
/// # Errors
/// [`ExecError::Descriptor`] with every problem.
pub fn check_ports(descriptor: &Descriptor, built: &Built) -> Result<Vec<String>, ExecError> {
    let limits = descriptor.modules.iter().filter_map(|(name, module)| {
        let node = descriptor.nodes.get(&module.node)?;
        Some((name.clone(), platforms::platform(&node.platform)?.payload_bytes_max()))
    });
    let findings = descriptor.check_ports(&tables(built), &limits.collect());
    if findings.problems.is_empty() {
        return Ok(findings.warnings);
    }
    Err(ExecError::Descriptor(findings.problems.into_iter().map(|problem| problem.0).collect()))
}

/// What is to be built.
#[must_use]
pub fn sources(descriptor: &Descriptor, folder: &Path) -> Vec<Source> {
    let sources = descriptor.modules.iter().filter(|(_, module)| module.driver.is_none()).map(|(name, module)| {
        let rust = module.source.rust.iter().map(|path| (Language::Rust, folder.join(path)));
        let c = module.source.c.iter().map(|path| (Language::C, folder.join(path)));
        Source {
            module: name.clone(),
            platform: descriptor.nodes.get(&module.node).map_or_else(String::new, |node| node.platform.clone()),
            languages: rust.chain(c).collect(),
            ciphers: ciphers_of(descriptor, name),
        }
    });
    sources.collect()
}

/// Ciphers of all connections of a module.
fn ciphers_of(descriptor: &Descriptor, module: &str) -> Vec<CipherId> {
    let ours = descriptor.connections.iter().filter(|connection| {
        connection.to.module == module || connection.from.as_ref().is_some_and(|from| from.module == module)
    });
    ours.map(|connection| cipher(descriptor, connection)).collect()
}

/// Port tables by module.
#[must_use]
pub fn tables(built: &Built) -> Tables {
    built.iter().map(|(module, image)| (module.clone(), image.ports().clone())).collect()
}

/// Resolves a checked descriptor with what [`settle`](crate::settle::settle) left. Connections keep their numbers and rows;
/// new ones get free ones.
///
/// # Errors
/// [`ExecError::Provider`] when nobody lends a driver; [`ExecError::NoEntropy`].
pub fn resolve(descriptor: &Descriptor, built: &Built, fleet: &Fleet, state: &mut State) -> Result<Target, ExecError> {
    let tables = tables(built);
    let mut wires = Vec::new();
    for connection in &descriptor.connections {
        let assignment = assign(connection, descriptor, state)?;
        wires.extend(wire((connection, cipher(descriptor, connection)), &assignment, &tables));
    }
    let mut modules = BTreeMap::new();
    for (name, module) in &descriptor.modules {
        let (Some(found), Some(node)) = (built.get(name), descriptor.nodes.get(&module.node)) else { continue };
        let target = ModuleTarget {
            node: module.node.clone(),
            platform: node.platform.clone(),
            runs: runs(found, &module.node, fleet, state)?,
            credential: found.board.as_ref().map(BoardKey::credential),
            restart: module.restart == Restart::Fresh,
            kept: found.kept.clone(),
        };
        modules.insert(name.clone(), target);
    }
    let timers = descriptor.timers.iter().filter_map(|timer| {
        let (entry, _) = port(&tables, &timer.entry)?;
        Some(TimerTarget {
            name: timer.shown_name(),
            module: timer.entry.module.clone(),
            entry: PortIndex(entry),
            every: timer.every.duration(),
        })
    });
    Ok(Target {
        application: descriptor.application.clone(),
        modules,
        wires,
        timers: timers.collect(),
        policy: policy(descriptor),
    })
}

fn runs(module: &BuiltModule, node: &str, fleet: &Fleet, state: &State) -> Result<Runs, ExecError> {
    match (&module.body, &module.board) {
        (Body::Driver(driver), Some(key)) => {
            let (board, name) = (key.board.clone(), driver.name.clone());
            let provider = fleet.provider(node, &board)?;
            let grant = GrantName { board, driver: name, application: state.application.0 };
            Ok(Runs::Driver(Lent { grant, device: driver.device, provider }))
        }
        (Body::Driver(driver), None) => Err(ExecError::Provider(format!("nobody lends the driver {}", driver.name))),
        (Body::Image(image), _) => Ok(Runs::Image(image.clone())),
    }
}

fn policy(descriptor: &Descriptor) -> VerifyPolicy {
    let freshness = descriptor.policy.freshness.iter();
    let freshness = freshness.filter_map(|word| Freshness::ALL.iter().find(|known| known.word() == word)).copied();
    VerifyPolicy {
        allow_simulated: descriptor.policy.allow.clone(),
        freshness: freshness.collect(),
        quotes: quotes(&descriptor.policy.quotes),
    }
}

/// What quotes must say, as verifiers take it.
pub(crate) fn quotes(quotes: &Quotes) -> QuotePolicy {
    let signer = quotes.signer.as_deref().and_then(unhex).and_then(|signer| signer.try_into().ok());
    QuotePolicy { signer, version_min: quotes.version, tcb: quotes.tcb.clone() }
}

/// The same, as files have it.
pub(crate) fn quotes_of(policy: &QuotePolicy) -> Quotes {
    Quotes { signer: policy.signer.map(|signer| hex(&signer)), version: policy.version_min, tcb: policy.tcb.clone() }
}

/// The cipher of a checked connection: the one that it names, or the first that both ends have.
fn cipher(descriptor: &Descriptor, connection: &Connection) -> CipherId {
    let named = connection.cipher.as_deref();
    let found = named.and_then(|word| CipherId::ALL.iter().find(|cipher| cipher.word() == word));
    let ends = || connection.from.iter().chain([&connection.to]);
    let has = |cipher: &CipherId| {
        let mut platforms = ends().filter_map(|end| platform_of(descriptor, &end.module));
        platforms.all(|platform| platform.ciphers().contains(cipher))
    };
    let common = || PREFERRED.iter().find(|cipher| has(cipher));
    found.or_else(common).copied().unwrap_or(CipherId::Aes128Gcm)
}

/// Ciphers, best first.
const PREFERRED: [CipherId; 3] = [CipherId::Aes128Gcm, CipherId::Ascon128, CipherId::Spongent128];

/// The connection's number and rows: those that it has, or the lowest free ones.
fn assign(connection: &Connection, descriptor: &Descriptor, state: &mut State) -> Result<Assignment, ExecError> {
    let name = connection.shown_name().into_owned();
    let cipher = cipher(descriptor, connection).word();
    let shape = match &connection.from {
        Some(from) => format!("{from} to {} by {cipher}", connection.to),
        None => format!("owner to {} by {cipher}", connection.to),
    };
    let slots = if connection.direct { usize::from(connection.callers.unwrap_or(CALLERS)) } else { 1 };
    if let Some(found) = state.assigned.get(&name)
        && found.target_rows.len() == slots
        && found.shape == shape
    {
        return Ok(found.clone());
    }
    let used_ids: BTreeSet<u16> =
        state.assigned.values().map(|found| found.id).chain(state.epochs.keys().copied()).collect();
    let mut free_row = free_rows(descriptor, state);
    let assignment = Assignment {
        shape,
        id: number(connection, descriptor, &used_ids)?,
        source_row: connection.from.as_ref().map(|from| free_row(&from.module)),
        target_rows: (0..slots).map(|_| free_row(&connection.to.module)).collect(),
    };
    state.assign(&name, &assignment);
    Ok(assignment)
}

/// A free number for a connection. A driver may serve several applications, whose owners know nothing of each other's
/// numbers: those of connections with drivers are drawn at random from the upper half.
fn number(connection: &Connection, descriptor: &Descriptor, used: &BTreeSet<u16>) -> Result<u16, ExecError> {
    let mut ends = connection.from.iter().chain([&connection.to]);
    let lent = ends.any(|end| descriptor.modules.get(&end.module).is_some_and(|module| module.driver.is_some()));
    let first = if lent { u16::from_le_bytes(random()?) | DRIVERS_FIRST } else { 1 };
    let free = (first..).chain(1..).find(|id| !used.contains(id));
    Ok(free.unwrap_or(u16::MAX))
}

/// Numbers of connections with drivers begin here.
const DRIVERS_FIRST: u16 = 0x8000;

/// Gives the lowest row of a module that no connection has.
fn free_rows(descriptor: &Descriptor, state: &State) -> impl FnMut(&str) -> u16 + use<> {
    let mut used: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for connection in &descriptor.connections {
        let Some(found) = state.assigned.get(connection.shown_name().as_ref()) else { continue };
        if let (Some(from), Some(row)) = (&connection.from, found.source_row) {
            used.entry(from.module.clone()).or_default().insert(row);
        }
        used.entry(connection.to.module.clone()).or_default().extend(&found.target_rows);
    }
    move |module| {
        let used = used.entry(module.to_owned()).or_default();
        let free = (0..).find(|row| !used.contains(row)).unwrap_or(u16::MAX);
        used.insert(free);
        free
    }
}

fn wire((connection, cipher): (&Connection, CipherId), assignment: &Assignment, tables: &Tables) -> Option<Wire> {
    let (to_index, to_port) = port(tables, &connection.to)?;
    let from = match (&connection.from, assignment.source_row) {
        (Some(from), Some(row)) => {
            let (index, _) = port(tables, from)?;
            Some(End { module: from.module.clone(), row: RowIndex(row), port: PortIndex(index) })
        }
        _ => None,
    };
    let to = assignment.target_rows.iter().map(|row| End {
        module: connection.to.module.clone(),
        row: RowIndex(*row),
        port: PortIndex(to_index),
    });
    let requests = to_port.kind == PortKind::Handler;
    Some(Wire {
        name: connection.shown_name().into_owned(),
        id: ConnectionId(assignment.id),
        from,
        to: to.collect(),
        cipher,
        requests,
        payload_type: to_port.payload_type,
        reply_type: if requests { to_port.reply_type } else { TypeHash([0; 8]) },
        reply_bytes_max: usize::try_from(to_port.reply_bytes_max).unwrap_or(usize::MAX),
        deadline_ms: connection.deadline.map_or(0, |deadline| deadline.0),
    })
}
