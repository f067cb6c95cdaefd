//! What is true (sealed status) and what nodes claim (figures), side by side.

use crate::connect::{Desks, Side};
use crate::cost::{self, Cost, counted};
use crate::deploy::{Deployment, Place};
use crate::seen::Seen;
use crate::state::State;
use crate::{ExecError, hex};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use veritee_ids::{ConnectionId, Lifecycle};
use veritee_node_protocol::ConnectionFigures;
use veritee_session::Status;
use veritee_wire::layout::RowStatus;

/// An application, as `run` and `status` print it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub application: String,
    /// Its modules.
    pub modules: Vec<ModuleReport>,
    /// Its connections.
    pub connections: Vec<ConnectionReport>,
    /// Connections of which an end is gone: what that cost so far. `up` opens new epochs.
    pub broken: Vec<Cost>,
}

/// A module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModuleReport {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its platform.
    pub platform: String,
    /// Its evidence was accepted and a session is open.
    pub attested: bool,
    /// It says that it is disabled: it has no keys any more.
    pub disabled: bool,
    /// A driver: its provider attested it and states its counters.
    pub driver: bool,
    /// Unprotected or simulated.
    pub simulated: bool,
    /// Its measurement in hexadecimal.
    pub measurement: String,
    /// This life of it in hexadecimal; empty if it has none.
    pub activation: String,
}

/// A connection. `sent` and `accepted` come from the modules' sealed status, the rest are the nodes' claims.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConnectionReport {
    /// Its name.
    pub name: String,
    /// `module.port`, or `owner`.
    pub from: String,
    /// `module.port`.
    pub to: String,
    /// Its cipher.
    pub cipher: String,
    /// Its epoch.
    pub epoch: u32,
    /// Events that the source emitted in this epoch.
    pub sent: u64,
    /// Events that the target accepted in this epoch.
    pub accepted: u64,
    /// Frames that came again.
    pub duplicates: u64,
    /// Frames that were refused.
    pub refused: u64,
    /// Frames that a node dropped for good.
    pub dropped: u64,
}

/// Reads everything.
///
/// # Errors
/// [`ExecError::Node`] or what a module refuses.
pub async fn report(
    place: Place<'_>, state: &State, deployment: &mut Deployment, ports: &dyn Fn(&str, u16) -> String,
) -> Result<Report, ExecError> {
    let lives = lives(&Seen::read(state), &mut deployment.desks).await?;
    let rows = rows(&lives);
    let broken = broken(place, state, &mut deployment.desks).await?;
    let figures = figures(place, state).await?;
    let modules = place.target.modules.iter().map(|(name, target)| {
        let attested = deployment.desks.get(name).map(|desk| &desk.attested);
        ModuleReport {
            name: name.clone(),
            node: target.node.clone(),
            platform: target.platform.clone(),
            attested: attested.is_some(),
            disabled: lives.get(name).is_some_and(|status| status.head.lifecycle == Lifecycle::Disabled),
            driver: target.is_driver(),
            simulated: attested.is_none_or(|attested| attested.simulated),
            measurement: attested.map_or_else(String::new, |attested| hex(&attested.measurement)),
            activation: attested.map_or_else(String::new, |attested| hex(&attested.activation.0)),
        }
    });
    let connections = place.target.wires.iter().map(|wire| {
        let row = |side| {
            let end = wire.end(side)?;
            rows.get(&(end.module.clone(), end.row.0)).filter(|row| row.connection == wire.id)
        };
        let (source, target) = (row(Side::Source), row(Side::Target));
        let claimed = figures.get(&wire.id).copied().unwrap_or_default();
        let end = |side: Side| wire.end(side).map_or_else(|| "owner".to_owned(), |end| ports(&end.module, end.port.0));
        let direct: u64 =
            wire.to.iter().filter_map(|end| rows.get(&(end.module.clone(), end.row.0))).map(|row| row.next.0).sum();
        let accepted = if wire.from.is_some() { target.map_or(0, |row| row.next.0) } else { direct };
        ConnectionReport {
            name: wire.name.clone(),
            from: end(Side::Source),
            to: end(Side::Target),
            cipher: wire.cipher.word().to_owned(),
            epoch: target.map_or(0, |row| row.epoch.0),
            sent: if wire.from.is_some() { source.map_or(0, |row| row.next.0) } else { direct },
            accepted,
            duplicates: claimed.duplicates,
            refused: claimed.refused,
            dropped: claimed.dropped,
        }
    });
    Ok(Report {
        application: place.target.application.clone(),
        modules: modules.collect(),
        connections: connections.collect(),
        broken,
    })
}

/// Connections whose epoch has lost an end.
async fn broken(place: Place<'_>, state: &State, desks: &mut Desks) -> Result<Vec<Cost>, ExecError> {
    let seen = Seen::read(state);
    let mut broken = Vec::new();
    for wire in &place.target.wires {
        let Some(record) = state.epochs.get(&wire.id.0) else { continue };
        let mut ends = Vec::new();
        let mut gone = false;
        for (side, life) in [(Side::Source, record.source), (Side::Target, record.target)] {
            let desk = wire.end(side).and_then(|end| desks.get_mut(&end.module));
            gone |= desk.as_ref().is_none_or(|desk| desk.activation() != life);
            let sealed = match desk {
                Some(desk) => cost::sealed(&desk.status().await?, desk.activation(), wire, record, side),
                None => None,
            };
            ends.push(counted(&seen, wire, record, side, sealed));
        }
        if let [sent, accepted] = ends[..]
            && gone
        {
            broken.push(place.cost(state, wire, record.epoch.0, (sent, accepted)).await?);
        }
    }
    Ok(broken)
}

type Rows = BTreeMap<(String, u16), RowStatus>;

/// What all modules seal now; none of them may be older than itself.
async fn lives(seen: &Seen, desks: &mut Desks) -> Result<BTreeMap<String, Status>, ExecError> {
    let mut lives = BTreeMap::new();
    for (module, desk) in desks {
        lives.insert(module.clone(), seen.witness(module, desk).await?);
    }
    Ok(lives)
}

fn rows(lives: &BTreeMap<String, Status>) -> Rows {
    let of_one = |(module, status): (&String, &Status)| {
        let named = status.rows.iter().map(|row| ((module.clone(), row.row.0), *row));
        named.collect::<Vec<_>>()
    };
    lives.iter().flat_map(of_one).collect()
}

/// Claims of both nodes of each connection, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Claims {
    duplicates: u64,
    refused: u64,
    dropped: u64,
}

async fn figures(place: Place<'_>, state: &State) -> Result<BTreeMap<ConnectionId, Claims>, ExecError> {
    let mut all: BTreeMap<ConnectionId, Claims> = BTreeMap::new();
    for node in place.fleet.nodes.values() {
        for ConnectionFigures { connection, source, duplicates, refused, dropped, .. } in
            node.figures(state.application.0).await?.connections
        {
            let claims = all.entry(ConnectionId(connection)).or_default();
            // Verdicts are counted where they are given; drops on both sides.
            if !source {
                claims.duplicates += duplicates;
                claims.refused += refused;
            }
            claims.dropped += dropped;
        }
    }
    Ok(all)
}

/// Waits until every node's outbox is empty and every connection's counters agree, or the time is over.
///
/// Handlers may emit while others drain, so one pass over the nodes is not enough.
///
/// # Errors
/// [`ExecError::Node`] or what a module refuses.
pub async fn drain(place: Place<'_>, state: &State, desks: &mut Desks, patience: Duration) -> Result<bool, ExecError> {
    let (seen, end) = (Seen::read(state), Instant::now() + patience);
    loop {
        let mut left = 0;
        for node in place.fleet.nodes.values() {
            left += node.drain(state.application.0, Duration::from_millis(500)).await?;
        }
        if left == 0 && settled(place, &rows(&lives(&seen, desks).await?)) {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
    }
}

/// Whether all that was sent was accepted.
fn settled(place: Place<'_>, rows: &Rows) -> bool {
    place.target.wires.iter().all(|wire| {
        let row = |side| {
            let end = wire.end(side)?;
            rows.get(&(end.module.clone(), end.row.0))
        };
        match (row(Side::Source), row(Side::Target)) {
            (Some(source), Some(target)) => (source.epoch, source.next) == (target.epoch, target.next),
            _ => true,
        }
    })
}
