//! What modules sealed when they were last asked, in `.veritee/seen`: a bound for what is lost with a module, and a witness against a
//! module that is older than itself.
//!
//! It is a note, not a decision of the protocol: without it a bound is zero, and nothing is witnessed.

use crate::connect::Desks;
use crate::desk::Desk;
use crate::home::replace;
use crate::state::{State, unhex};
use crate::{ExecError, hex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use veritee_ids::{ActivationId, ConnectionId, Epoch, Lifecycle};
use veritee_session::Status;
use veritee_wire::layout::RowStatus;

#[cfg(test)]
mod tests;

const SEEN: &str = "seen";

/// Last sealed statuses by module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen(BTreeMap<String, SeenModule>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SeenModule {
    activation: String,
    rows: Vec<SeenRow>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SeenRow {
    row: u16,
    connection: u16,
    epoch: u32,
    next: u64,
}

/// How a module's sealed counters went back in one activation, which no module does: somebody restored it from an earlier state, as a
/// snapshot of its machine does (PROTOCOL section 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WentBack {
    /// The connection.
    pub connection: ConnectionId,
    /// Epoch and counter that it sealed before.
    pub before: (Epoch, u64),
    /// What it seals now.
    pub now: (Epoch, u64),
}

impl Seen {
    /// Reads the note. One that is missing or unreadable says nothing.
    #[must_use]
    pub fn read(state: &State) -> Self {
        let text = fs::read_to_string(state.folder().join(SEEN)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Notes what all modules seal now; modules that do not answer keep what was noted before.
    ///
    /// # Errors
    /// [`ExecError::WentBack`] when a module is older than what was noted, and is disabled; [`ExecError::Node`], [`ExecError::File`] or
    /// what a module refuses.
    pub async fn note(state: &State, desks: &mut Desks) -> Result<(), ExecError> {
        let mut seen = Self::read(state);
        for (module, desk) in desks {
            let status = seen.witness(module, desk).await?;
            seen.take(module, desk.activation(), &status);
        }
        let text = serde_json::to_string(&seen).unwrap_or_default();
        replace(&state.folder().join(SEEN), text.as_bytes())
    }

    fn take(&mut self, module: &str, activation: ActivationId, status: &Status) {
        let row = |row: &RowStatus| SeenRow {
            row: row.row.0,
            connection: row.connection.0,
            epoch: row.epoch.0,
            next: row.next.0,
        };
        let rows = status.rows.iter().map(row).collect();
        self.0.insert(module.to_owned(), SeenModule { activation: hex(&activation.0), rows });
    }

    /// Reads a module's sealed status; disables the module when it is older than what was noted.
    ///
    /// # Errors
    /// [`ExecError::WentBack`]; what a module refuses.
    pub async fn witness(&self, module: &str, desk: &mut Desk) -> Result<Status, ExecError> {
        let status = desk.status().await?;
        let Some(WentBack { connection, before, now }) = self.went_back(module, desk.activation(), &status) else {
            return Ok(status);
        };
        // A driver is its provider's to disable.
        let disabled = !desk.is_driver() && desk.disable().await.is_ok();
        Err(ExecError::WentBack { module: module.to_owned(), connection, before, now, disabled })
    }

    /// The same for all modules of a deployment. None may be disabled either: it would take no key, and the deployment would stop
    /// half-way.
    ///
    /// # Errors
    /// As [`witness`](Self::witness); [`ExecError::Disabled`].
    pub async fn witness_all(&self, desks: &mut Desks) -> Result<(), ExecError> {
        for (module, desk) in desks {
            if self.witness(module, desk).await?.head.lifecycle == Lifecycle::Disabled {
                return Err(ExecError::Disabled { module: module.clone() });
            }
        }
        Ok(())
    }

    /// Whether a status is older than the one that was noted of the same activation. Where a row was removed, its epoch is below the
    /// module's floor; one that is gone and is not below it was never there.
    fn went_back(&self, module: &str, activation: ActivationId, status: &Status) -> Option<WentBack> {
        let noted = self.0.get(module).filter(|noted| unhex(&noted.activation).as_deref() == Some(&activation.0))?;
        noted.rows.iter().find_map(|seen| {
            let same = |row: &&RowStatus| (row.row.0, row.connection.0) == (seen.row, seen.connection);
            let row = status.rows.iter().find(same).map(|row| (row.epoch, row.next.0));
            let (before, floor) = ((Epoch(seen.epoch), seen.next), status.head.epoch_floor);
            let older = row.map_or(floor < before.0, |now| now < before);
            let now = row.unwrap_or((floor, 0));
            older.then_some(WentBack { connection: ConnectionId(seen.connection), before, now })
        })
    }

    /// The counter that was noted of a connection in an epoch of an activation.
    pub(crate) fn counter(
        &self, module: &str, activation: ActivationId, (connection, epoch): (ConnectionId, Epoch),
    ) -> Option<u64> {
        let found = self.0.get(module)?;
        let same = unhex(&found.activation)? == activation.0;
        let row = found.rows.iter().find(|row| (row.connection, row.epoch) == (connection.0, epoch.0));
        row.filter(|_| same).map(|row| row.next)
    }
}
