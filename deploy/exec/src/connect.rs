//! Epochs and keys of connections: PROTOCOL sections 3 and 5.

use crate::desk::Desk;
use crate::state::State;
use crate::{ExecError, random};
use std::collections::BTreeMap;
use veritee_ids::{
    ApplicationHandle, CipherId, ConnectionId, Counter, Direction, Epoch, PortIndex, PriorEpoch, Role, RowIndex,
    TypeHash,
};
use veritee_session::keys::EpochRecord;
use veritee_session::{KeySource, Status};
use veritee_wire::layout::{EpochEnd, RowStatus, SetKey};

/// One end of a connection: a row of a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The module.
    pub module: String,
    /// Its row.
    pub row: RowIndex,
    /// Its port.
    pub port: PortIndex,
}

/// A connection with everything that set-key needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wire {
    /// Its name in the descriptor.
    pub name: String,
    /// Its number.
    pub id: ConnectionId,
    /// Where it comes from; `None` for a direct connection.
    pub from: Option<End>,
    /// Where it goes to; a direct connection has a row a caller.
    pub to: Vec<End>,
    /// The cipher.
    pub cipher: CipherId,
    /// It carries requests.
    pub requests: bool,
    /// The payload type.
    pub payload_type: TypeHash,
    /// The reply's payload type.
    pub reply_type: TypeHash,
    /// Longest reply in bytes.
    pub reply_bytes_max: usize,
    /// Deadline in milliseconds; 0 for none.
    pub deadline_ms: u32,
}

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The emitting one.
    Source,
    /// The accepting one.
    Target,
}

impl Wire {
    /// The number of a caller's slot: a direct connection's slots have keys of their own.
    #[must_use]
    pub fn end(&self, side: Side) -> Option<&End> {
        match side {
            Side::Source => self.from.as_ref(),
            Side::Target => self.to.first(),
        }
    }

    fn role(&self, side: Side) -> Role {
        match (side, self.requests) {
            (Side::Source, false) => Role::Sender,
            (Side::Source, true) => Role::Requester,
            (Side::Target, false) => Role::Receiver,
            (Side::Target, true) => Role::Handler,
        }
    }

    /// The set-key of one end for an epoch.
    pub fn set_key(
        &self, keys: &dyn KeySource, record: &EpochRecord, (side, end): (Side, &End),
        (prior, closing, application): (PriorEpoch, Counter, ApplicationHandle),
    ) -> SetKey {
        let key = |direction| *keys.connection_key(record, direction).expose();
        SetKey {
            row: end.row,
            connection: self.id,
            application,
            port: end.port,
            epoch: record.epoch,
            role: self.role(side),
            cipher: self.cipher,
            prior,
            closing,
            payload_type: self.payload_type,
            reply_type: self.reply_type,
            key: key(Direction::Forward),
            reply_key: if self.requests { key(Direction::Backward) } else { [0; 16] },
        }
    }
}

/// The modules of a deployment with their sessions.
pub type Desks = BTreeMap<String, Desk>;

/// What came of bringing a connection up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connected {
    /// Its epoch.
    pub epoch: Epoch,
    /// It was opened now; else it stood already.
    pub opened: bool,
    /// Epochs up to this one are dead: the source's node may drop what is refused.
    pub dead: Option<Epoch>,
    /// The epoch that ended otherwise than by being drained.
    pub ended: Option<Ended>,
}

/// An epoch that was abandoned, with what living ends sealed at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Its record.
    pub record: EpochRecord,
    /// What the source emitted, if it lives.
    pub sent: Option<u64>,
    /// What the target accepted, if it lives.
    pub accepted: Option<u64>,
}

/// The row of a connection at one end, as its module states.
fn row_of(status: &Status, end: &End, wire: &Wire) -> Option<RowStatus> {
    status.rows.iter().find(|row| row.row == end.row && row.connection == wire.id).copied()
}

/// Brings a connection to an epoch that both ends have, whatever an earlier call left behind.
///
/// # Errors
/// [`ExecError::Control`] when a module refuses, [`ExecError::Node`], [`ExecError::File`].
///
/// # Panics
/// When the wire is a direct connection, or one of its modules has no desk.
pub async fn connect(
    wire: &Wire, desks: &mut Desks, state: &mut State, keys: &(dyn KeySource + Sync),
) -> Result<Connected, ExecError> {
    let from = wire.from.clone().expect("direct connections have no epochs of the tool's");
    let to = wire.to.first().cloned().expect("a connection has a target");
    let status = desk(desks, &from.module).status().await?;
    let (source, source_floor) = (row_of(&status, &from, wire), status.head.epoch_floor);
    let status = desk(desks, &to.module).status().await?;
    let (target, target_floor) = (row_of(&status, &to, wire), status.head.epoch_floor);
    let activations = (desk(desks, &from.module).activation(), desk(desks, &to.module).activation());
    let known = state.epochs.get(&wire.id.0).copied().filter(|record| (record.source, record.target) == activations);
    let has = |row: &Option<RowStatus>, epoch| {
        row.is_some_and(|row| row.pending_epoch == epoch || (row.epoch == epoch && row.state & 1 != 0))
    };
    if let Some(record) = known
        && has(&source, record.epoch)
        && has(&target, record.epoch)
    {
        return Ok(Connected { epoch: record.epoch, opened: false, dead: None, ended: None });
    }
    let fits = |record: &EpochRecord| {
        let beyond = |row: &Option<RowStatus>| row.is_some_and(|row| highest(&row) > record.epoch);
        let closed = |row: &Option<RowStatus>| row.is_some_and(|row| row.epoch == record.epoch && row.state & 1 == 0);
        // A row that was freed meanwhile, as when a driver was given back, takes no epoch again that was there.
        let freed = |row: &Option<RowStatus>, floor| row.is_none() && record.epoch <= floor;
        let (source, target) = ((&source, source_floor), (&target, target_floor));
        [source, target].iter().all(|(row, floor)| !beyond(row) && !closed(row) && !freed(row, *floor))
    };
    let before = state.epochs.get(&wire.id.0).copied();
    let record = match known.filter(fits) {
        Some(record) => record,
        None => {
            let ends = [source, target].into_iter().flatten().map(|row| highest(&row));
            let floor = ends.chain([source_floor, target_floor]).max().unwrap_or_default();
            new_record(wire, state, activations, floor)?
        }
    };
    let (mut connected, ends, drained) = open(wire, (&from, &to), &record, target, desks, keys).await?;
    // The end of an epoch whose end was told by an interrupted call is not told again.
    connected.ended = before.filter(|before| before.epoch != record.epoch && !drained).map(|before| {
        let told = |end: Option<EpochEnd>| end.filter(|end| end.epoch == before.epoch).map(|end| end.counter.0);
        Ended {
            record: before,
            sent: told(ends.0).filter(|_| before.source == activations.0),
            accepted: told(ends.1).filter(|_| before.target == activations.1),
        }
    });
    Ok(connected)
}

/// Whether both ends of a connection state that they are in one epoch. That they have one key is known to who opened it only.
pub(crate) async fn stands(wire: &Wire, desks: &mut Desks) -> Result<bool, ExecError> {
    let mut epochs = Vec::new();
    for end in [Side::Source, Side::Target].into_iter().filter_map(|side| wire.end(side)) {
        let row = row_of(&desk(desks, &end.module).status().await?, end, wire);
        epochs.push(row.filter(|row| row.pending_epoch > Epoch(0) || row.state & 1 != 0).map(|row| highest(&row)));
    }
    Ok(matches!(epochs[..], [Some(source), Some(target)] if source == target))
}

/// What the source and the target said about the end of the epoch before.
type Ends = (Option<EpochEnd>, Option<EpochEnd>);

/// Gives an epoch's keys: to the accepting end first where there was no epoch before, else to the emitting one, whose
/// answer says where the epoch before ends. Tells the ends of the epoch before, and whether it is drained.
async fn open(
    wire: &Wire, (from, to): (&End, &End), record: &EpochRecord, target: Option<RowStatus>, desks: &mut Desks,
    keys: &(dyn KeySource + Sync),
) -> Result<(Connected, Ends, bool), ExecError> {
    let handle = handle(wire, (from, to), desks)?;
    let none = (PriorEpoch::None, Counter(0), handle);
    let set_source = wire.set_key(keys, record, (Side::Source, from), none);
    let (mut dead, mut drained) = (None, false);
    let ends = match target {
        None => {
            let set = wire.set_key(keys, record, (Side::Target, to), none);
            desk(desks, &to.module).set_key(&set).await?;
            let ended = desk(desks, &from.module).set_key(&set_source).await?;
            dead = record.epoch.0.checked_sub(1).filter(|epoch| *epoch > 0).map(Epoch);
            (Some(ended), None)
        }
        Some(row) => {
            let ended = desk(desks, &from.module).set_key(&set_source).await?;
            if highest(&row) == record.epoch {
                (Some(ended), None)
            } else {
                let (prior, closing) = prior_of(&row, &ended);
                drained = prior == PriorEpoch::CloseAt;
                if !drained {
                    dead = Some(highest(&row));
                }
                let set = wire.set_key(keys, record, (Side::Target, to), (prior, closing, handle));
                let accepted = desk(desks, &to.module).set_key(&set).await?;
                (Some(ended), Some(accepted))
            }
        }
    };
    Ok((Connected { epoch: record.epoch, opened: true, dead, ended: None }, ends, drained))
}

/// The application's short name on a connection: a driver's provider says it.
fn handle(wire: &Wire, (from, to): (&End, &End), desks: &mut Desks) -> Result<ApplicationHandle, ExecError> {
    let lent = [from, to].map(|end| {
        let desk = desk(desks, &end.module);
        (desk.is_driver(), desk.handle)
    });
    match lent {
        [(true, one), (true, other)] if one != other => Err(ExecError::Provider(format!(
            "{}: its two drivers belong to different providers; put a module of your own between them",
            wire.name
        ))),
        [(true, handle), _] | [_, (_, handle)] => Ok(handle),
    }
}

/// What becomes of the receiver's epoch: drained to where its living sender ended it, else abandoned.
fn prior_of(row: &RowStatus, ended: &EpochEnd) -> (PriorEpoch, Counter) {
    let same = ended.epoch == row.epoch && row.pending_epoch == Epoch(0) && row.state & 1 != 0;
    if same && ended.counter >= row.next {
        (PriorEpoch::CloseAt, ended.counter)
    } else {
        (PriorEpoch::Abandon, Counter(0))
    }
}

fn highest(row: &RowStatus) -> Epoch {
    row.epoch.max(row.pending_epoch)
}

/// A new epoch: above everything that anybody knows, with a fresh salt, durable before anything of it leaves.
fn new_record(
    wire: &Wire, state: &mut State, (source, target): (veritee_ids::ActivationId, veritee_ids::ActivationId),
    floor: Epoch,
) -> Result<EpochRecord, ExecError> {
    let recorded = state.epochs.get(&wire.id.0).map_or(Epoch(0), |record| record.epoch);
    let floor = floor.max(recorded);
    let record = EpochRecord {
        application: state.application,
        connection: wire.id,
        epoch: Epoch(floor.0 + 1),
        salt: random()?,
        source,
        target,
    };
    state.record(&record)?;
    Ok(record)
}

pub(crate) fn desk<'a>(desks: &'a mut Desks, module: &str) -> &'a mut Desk {
    desks.get_mut(module).expect("every module of the descriptor has a desk")
}
