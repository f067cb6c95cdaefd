//! From a descriptor to a target: everything checked before anything is touched.

use crate::build::Source;
use crate::connect::{End, Wire};
use crate::deploy::{ModuleTarget, Target, TimerTarget};
use crate::state::{Assignment, State};
use crate::{ExecError, platforms};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use veritee_ids::{CipherId, ConnectionId, Freshness, PortIndex, PortKind, RowIndex, TypeHash};
use veritee_model::check::CALLERS;
use veritee_model::ports::{Tables, port};
use veritee_model::{Connection, Descriptor, Restart};
use veritee_platform::{BuiltImage, Language, VerifyPolicy};

/// Images by module.
pub type Built = BTreeMap<String, BuiltImage>;

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
    if problems.is_empty() { Ok(()) } else { Err(ExecError::Descriptor(problems)) }
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
    let sources = descriptor.modules.iter().map(|(name, module)| {
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
    ours.map(|connection| cipher_of(connection.cipher.as_deref())).collect()
}

/// The cipher of a word of the descriptor, which was checked.
fn cipher_of(word: Option<&str>) -> CipherId {
    let known = word.and_then(|word| CipherId::ALL.iter().find(|cipher| cipher.word() == word));
    known.copied().unwrap_or(CipherId::Aes128Gcm)
}

/// Port tables by module.
#[must_use]
pub fn tables(built: &Built) -> Tables {
    built.iter().map(|(module, image)| (module.clone(), image.ports.clone())).collect()
}

/// Resolves a checked descriptor. Connections keep their numbers and rows; new ones get free ones.
pub fn resolve(descriptor: &Descriptor, built: &Built, state: &mut State) -> Target {
    let tables = tables(built);
    let mut wires = Vec::new();
    for connection in &descriptor.connections {
        let assignment = assign(connection, descriptor, state);
        wires.extend(wire(connection, &assignment, &tables));
    }
    let modules = descriptor.modules.iter().filter_map(|(name, module)| {
        let image = built.get(name)?;
        let target = ModuleTarget {
            node: module.node.clone(),
            platform: descriptor.nodes.get(&module.node)?.platform.clone(),
            image: image.path.clone(),
            measurement: image.measurement.clone(),
            restart: module.restart == Restart::Fresh,
        };
        Some((name.clone(), target))
    });
    let timers = descriptor.timers.iter().filter_map(|timer| {
        let (entry, _) = port(&tables, &timer.entry)?;
        Some(TimerTarget {
            name: timer.shown_name(),
            module: timer.entry.module.clone(),
            entry: PortIndex(entry),
            every: timer.every.duration(),
        })
    });
    Target {
        application: descriptor.application.clone(),
        modules: modules.collect(),
        wires,
        timers: timers.collect(),
        policy: policy(descriptor),
    }
}

fn policy(descriptor: &Descriptor) -> VerifyPolicy {
    let freshness = descriptor.policy.freshness.iter();
    let freshness = freshness.filter_map(|word| Freshness::ALL.iter().find(|known| known.word() == word)).copied();
    VerifyPolicy { allow_simulated: descriptor.policy.allow.clone(), freshness: freshness.collect() }
}

fn cipher(connection: &Connection) -> CipherId {
    let named = connection.cipher.as_deref();
    let found = named.and_then(|word| CipherId::ALL.iter().find(|cipher| cipher.word() == word));
    found.copied().unwrap_or(CipherId::Aes128Gcm)
}

/// The connection's number and rows: those that it has, or the lowest free ones.
fn assign(connection: &Connection, descriptor: &Descriptor, state: &mut State) -> Assignment {
    let name = connection.shown_name().into_owned();
    let cipher = cipher(connection).word();
    let shape = match &connection.from {
        Some(from) => format!("{from} to {} by {cipher}", connection.to),
        None => format!("owner to {} by {cipher}", connection.to),
    };
    let slots = if connection.direct { usize::from(connection.callers.unwrap_or(CALLERS)) } else { 1 };
    if let Some(found) = state.assigned.get(&name)
        && found.target_rows.len() == slots
        && found.shape == shape
    {
        return found.clone();
    }
    let used_ids: BTreeSet<u16> =
        state.assigned.values().map(|found| found.id).chain(state.epochs.keys().copied()).collect();
    let mut free_row = free_rows(descriptor, state);
    let assignment = Assignment {
        shape,
        id: (1..).find(|id| !used_ids.contains(id)).unwrap_or(u16::MAX),
        source_row: connection.from.as_ref().map(|from| free_row(&from.module)),
        target_rows: (0..slots).map(|_| free_row(&connection.to.module)).collect(),
    };
    state.assign(&name, &assignment);
    assignment
}

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

fn wire(connection: &Connection, assignment: &Assignment, tables: &Tables) -> Option<Wire> {
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
        cipher: cipher_of(connection.cipher.as_deref()),
        requests,
        payload_type: to_port.payload_type,
        reply_type: if requests { to_port.reply_type } else { TypeHash([0; 8]) },
        reply_bytes_max: usize::try_from(to_port.reply_bytes_max).unwrap_or(usize::MAX),
        deadline_ms: connection.deadline.map_or(0, |deadline| deadline.0),
    })
}
