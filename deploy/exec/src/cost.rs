//! What the end of an epoch cost, in the words of PROTOCOL section 5: exact where both ends live, else a bound or a claim.
//!
//! For the bound, the tool keeps what modules sealed before: see [`seen`](crate::seen).

use crate::ExecError;
use crate::connect::{Side, Wire};
use crate::fleet::Fleet;
use crate::seen::Seen;
use crate::state::State;
use serde::Serialize;
use std::fmt;
use veritee_ids::ActivationId;
use veritee_node_protocol::ConnectionFigures;
use veritee_session::Status;
use veritee_session::keys::EpochRecord;

/// How far one end of a connection came in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// The end lives, and sealed this.
    Sealed(u64),
    /// The end is gone; this is its last sealed status that was read.
    AtLeast(u64),
}

impl Counted {
    /// The number, exact or a bound.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Sealed(number) | Self::AtLeast(number) => number,
        }
    }
}

/// What the nodes of a connection claim since its route was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Claim {
    /// Events that the source's node saw.
    pub emitted: u64,
    /// Verdicts `accepted` that it was told.
    pub accepted: u64,
    /// Events without a verdict that it holds.
    pub waiting: u64,
    /// Of those, on its disk.
    pub stored: u64,
}

/// What the end of an epoch cost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cost {
    /// The connection.
    pub connection: String,
    /// The epoch that ended.
    pub epoch: u32,
    /// What the source emitted.
    pub sent: Counted,
    /// What the target accepted.
    pub accepted: Counted,
    /// What the nodes say, where an end is gone.
    pub claim: Option<Claim>,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, epoch, sent, accepted, .. } = self;
        write!(f, "connection {connection}, epoch {epoch}: ")?;
        let (emitted, taken) = (sent.number(), accepted.number());
        match (sent, accepted) {
            (Counted::Sealed(_), Counted::Sealed(_)) => {
                let lost = emitted.saturating_sub(taken);
                return write!(f, "{emitted} emitted, {taken} accepted, {lost} lost, exactly");
            }
            (Counted::Sealed(_), Counted::AtLeast(_)) => write!(
                f,
                "the target is gone; {emitted} emitted (sealed), at least {taken} accepted (its last sealed status), \
                 at most {} lost",
                emitted.saturating_sub(taken)
            ),
            (Counted::AtLeast(_), Counted::Sealed(_)) => write!(
                f,
                "the source is gone; {taken} accepted (sealed), at least {} emitted (its last sealed status, and what was \
                 accepted), at least {} lost or unstored",
                emitted.max(taken),
                emitted.saturating_sub(taken)
            ),
            (Counted::AtLeast(_), Counted::AtLeast(_)) => write!(
                f,
                "both ends are gone; at least {} emitted, at least {taken} accepted (their last sealed status)",
                emitted.max(taken)
            ),
        }?;
        let Some(Claim { emitted, accepted, waiting, stored }) = self.claim else { return Ok(()) };
        write!(
            f,
            "; the node of the source claims {emitted} emitted, {accepted} accepted, {waiting} waiting of which {stored} \
             stored, since the route was set"
        )
    }
}

/// How far an end came in the epoch of a record: `sealed` if it lives and said so.
#[must_use]
pub fn counted(seen: &Seen, wire: &Wire, record: &EpochRecord, side: Side, sealed: Option<u64>) -> Counted {
    let activation = if side == Side::Source { record.source } else { record.target };
    let noted = || {
        let end = wire.end(side)?;
        seen.counter(&end.module, activation, (wire.id, record.epoch))
    };
    sealed.map_or_else(|| Counted::AtLeast(noted().unwrap_or(0)), Counted::Sealed)
}

/// The counter that a living module seals for an epoch of a record.
#[must_use]
pub fn sealed(status: &Status, activation: ActivationId, wire: &Wire, record: &EpochRecord, side: Side) -> Option<u64> {
    let of = if side == Side::Source { record.source } else { record.target };
    let rows = status.rows.iter().filter(|row| row.connection == wire.id && row.epoch == record.epoch);
    rows.map(|row| row.next.0).next().filter(|_| of == activation)
}

/// What the node of the source claims about a connection.
///
/// # Errors
/// [`ExecError::Node`].
pub async fn claim(fleet: &Fleet, node: &str, state: &State, wire: &Wire) -> Result<Claim, ExecError> {
    let figures = fleet.node(node)?.figures(state.application.0).await?;
    let claims = figures.connections.iter().filter(|claim| claim.source && claim.connection == wire.id.0);
    Ok(claims.fold(Claim::default(), |sum, claim: &ConnectionFigures| Claim {
        emitted: sum.emitted + claim.frames,
        accepted: sum.accepted + claim.accepted,
        waiting: sum.waiting + claim.waiting,
        stored: sum.stored + claim.stored,
    }))
}
