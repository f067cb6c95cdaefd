//! Rows, epochs, keys and reply tokens: PROTOCOL sections 3 to 5.

use crate::program::ReplyToken;
use veritee_ids::limits::OUTPUT_BYTES_MAX;
use veritee_ids::{
    ApplicationHandle, CipherId, ConnectionId, ControlResult, Counter, Epoch, PortIndex, PortKind, PriorEpoch, Role,
    RowIndex,
};
use veritee_seal::{Aead, Secret};
use veritee_wire::frame::frame_bytes;
use veritee_wire::layout::{EpochEnd, RowName, RowStatus, SetKey};
use veritee_wire::output::RECORD_HEADER_BYTES;
use veritee_wire::ports::PortInfo;

/// Port of a free row.
const FREE: u16 = u16::MAX;
/// Most ports of a module.
pub(crate) const PORTS_MAX: usize = 64;
/// What a set-key ends on a free row.
const NO_EPOCH: EpochEnd = EpochEnd { epoch: Epoch(0), counter: Counter(0) };

/// What a set-key brings. Wiped when it is dropped.
pub(crate) struct EpochKeys {
    pub(crate) epoch: Epoch,
    pub(crate) cipher: CipherId,
    key: Secret,
    reply: Secret,
}

impl EpochKeys {
    fn new(set: &SetKey) -> Self {
        let (key, reply) = (Secret::new(set.key), Secret::new(set.reply_key));
        Self { epoch: set.epoch, cipher: set.cipher, key, reply }
    }
}

/// One row: this module's end of a connection. Keys inside are wiped when it is dropped.
pub(crate) struct Row<K> {
    pub(crate) connection: ConnectionId,
    pub(crate) application: ApplicationHandle,
    pub(crate) port: PortIndex,
    pub(crate) role: Role,
    /// The epoch in use, or the last one.
    pub(crate) current: EpochKeys,
    /// Next counter: to emit (sender, requester) or to accept (receiver, handler).
    pub(crate) next: Counter,
    /// Key of the forward direction, ready for use; `None` when the epoch is closed.
    pub(crate) key: Option<K>,
    /// Where the epoch in use ends, and the one behind it.
    pub(crate) pending: Option<(Counter, EpochKeys)>,
    /// The epoch before, while a request or a token of it is open.
    earlier: Option<EpochKeys>,
    /// What the last set-key ended, for its retry.
    ended: EpochEnd,
}

impl<K: Aead> Row<K> {
    fn new(set: &SetKey) -> Self {
        let current = EpochKeys::new(set);
        Self {
            connection: set.connection,
            application: set.application,
            port: set.port,
            role: set.role,
            next: Counter(0),
            key: K::new(current.cipher, &current.key),
            current,
            pending: None,
            earlier: None,
            ended: NO_EPOCH,
        }
    }

    /// Accepts events or requests, as opposed to emitting them.
    const fn accepts(&self) -> bool {
        matches!(self.role, Role::Receiver | Role::Handler)
    }

    /// The reply key of an epoch that is in use or still has a request or token open.
    pub(crate) fn reply_key(&self, epoch: Epoch) -> Option<K> {
        let known = self.earlier.iter().chain([&self.current]).find(|known| known.epoch == epoch)?;
        K::new(known.cipher, &known.reply)
    }

    /// The newest epoch that this row knows.
    pub(crate) fn newest(&self) -> &EpochKeys {
        self.pending.as_ref().map_or(&self.current, |(_, pending)| pending)
    }

    const fn end(&self) -> EpochEnd {
        EpochEnd { epoch: self.current.epoch, counter: self.next }
    }

    /// Takes the next epoch: at once, or once the one in use is drained. `open`: a request or token of it is open.
    fn advance(&mut self, set: &SetKey, open: bool) -> Result<EpochEnd, ControlResult> {
        let abandon = self.accepts() && set.prior == PriorEpoch::Abandon;
        let drains = self.accepts() && !abandon && set.closing > self.next;
        let states_end = set.prior == PriorEpoch::CloseAt && set.closing >= self.next;
        if set.epoch <= self.newest().epoch {
            return Err(ControlResult::EpochTooLow);
        }
        if !abandon && (self.pending.is_some() || self.earlier.is_some()) {
            return Err(ControlResult::EpochUnfinished);
        }
        if self.accepts() && !abandon && (!states_end || (drains && self.key.is_none())) {
            return Err(ControlResult::WrongPrior);
        }
        self.ended = if drains { EpochEnd { counter: set.closing, ..self.end() } } else { self.end() };
        match drains {
            true => self.pending = Some((set.closing, EpochKeys::new(set))),
            false => self.switch(EpochKeys::new(set), open && !abandon),
        }
        Ok(self.ended)
    }

    /// Starts `next`. With `keep` the reply key of the epoch before stays for what is open in it.
    fn switch(&mut self, next: EpochKeys, keep: bool) {
        self.next = Counter(0);
        self.key = K::new(next.cipher, &next.key);
        self.pending = None;
        self.earlier = Some(core::mem::replace(&mut self.current, next)).filter(|_| keep);
    }

    /// What the owner learns of it.
    pub(crate) fn status(&self, row: RowIndex) -> RowStatus {
        let pending = self.pending.as_ref().map(|(closing, pending)| (*closing, pending.epoch));
        let (closing, pending_epoch) = pending.unwrap_or_default();
        let state = [self.key.is_some(), self.pending.is_some(), self.earlier.is_some()];
        RowStatus {
            row,
            connection: self.connection,
            role: self.role,
            cipher: self.current.cipher,
            state: state.iter().rev().fold(0, |bits, bit| bits << 1 | u16::from(*bit)),
            epoch: self.current.epoch,
            pending_epoch,
            next: self.next,
            closing,
        }
    }
}

/// A request that was accepted and waits for this module's answer.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    row: RowIndex,
    epoch: Epoch,
    counter: Counter,
}

/// The table. Capacities are constants of the image.
pub(crate) struct Table<K, const ROWS: usize, const TOKENS: usize> {
    ports: &'static [PortInfo],
    rows: [Option<Row<K>>; ROWS],
    /// The rows' ports, close together: emitting looks here.
    on_port: [u16; ROWS],
    tokens: [Option<Token>; TOKENS],
    generations: [u32; TOKENS],
    /// Bytes that one activation of any handler may emit.
    pub(crate) room: usize,
    /// New rows start above.
    pub(crate) epoch_floor: Epoch,
    /// Number of changes.
    pub(crate) change: u16,
    /// Emissions without a connection or an epoch.
    pub(crate) unconnected: u64,
}

impl<K: Aead, const ROWS: usize, const TOKENS: usize> Table<K, ROWS, TOKENS> {
    pub(crate) fn new(ports: &'static [PortInfo]) -> Self {
        const { assert!(ROWS < FREE as usize && TOKENS < FREE as usize) };
        Self {
            ports,
            rows: [const { None }; ROWS],
            on_port: [FREE; ROWS],
            tokens: [None; TOKENS],
            generations: [0; TOKENS],
            room: TOKENS * reply_room(ports),
            epoch_floor: Epoch(0),
            change: 0,
            unconnected: 0,
        }
    }

    pub(crate) fn row(&self, index: RowIndex) -> Option<&Row<K>> {
        self.rows.get(usize::from(index.0))?.as_ref()
    }

    pub(crate) fn row_mut(&mut self, index: RowIndex) -> Option<&mut Row<K>> {
        self.rows.get_mut(usize::from(index.0))?.as_mut()
    }

    /// The row that an owner names; its connection must be the one he believes to be there.
    fn named(&mut self, name: &RowName) -> Result<&mut Option<Row<K>>, ControlResult> {
        let place = self.rows.get_mut(usize::from(name.row.0)).ok_or(ControlResult::NoSuchRow)?;
        let fits = place.as_ref().is_none_or(|row| row.connection == name.connection);
        if fits { Ok(place) } else { Err(ControlResult::RowTaken) }
    }

    /// Rows in use from `first` on.
    pub(crate) fn rows_from(&self, first: RowIndex) -> impl Iterator<Item = (RowIndex, &Row<K>)> {
        let rows = (0_u16..).zip(&self.rows).skip(usize::from(first.0));
        rows.filter_map(|(index, row)| Some((RowIndex(index), row.as_ref()?)))
    }

    /// The first row of a port from `from` on.
    pub(crate) fn next_of(&self, port: PortIndex, from: usize) -> Option<RowIndex> {
        let found = self.on_port.get(from..)?.iter().position(|on| *on == port.0)?;
        u16::try_from(from + found).ok().map(RowIndex)
    }

    /// Gives a row its next epoch's key: PROTOCOL sections 3 and 5. `requesting`: the row with the open request.
    pub(crate) fn set_key(&mut self, set: &SetKey, requesting: Option<RowIndex>) -> Result<EpochEnd, ControlResult> {
        let open = requesting == Some(set.row) || self.has_tokens(|token| token.row == set.row);
        let name = RowName { row: set.row, connection: set.connection };
        let _linked = K::new(set.cipher, &Secret::new(set.key)).ok_or(ControlResult::NoCipher)?;
        let ended = match self.named(&name)? {
            None => self.add_row(set)?,
            Some(row) if (row.role, row.port, row.current.cipher) != (set.role, set.port, set.cipher) => {
                return Err(ControlResult::RowTaken);
            }
            Some(row) if row.newest().epoch == set.epoch && row.newest().key == Secret::new(set.key) => {
                return Ok(row.ended);
            }
            Some(row) => row.advance(set, open)?,
        };
        if set.prior == PriorEpoch::Abandon {
            self.forget_tokens(set.row);
        }
        Ok(ended)
    }

    fn add_row(&mut self, set: &SetKey) -> Result<EpochEnd, ControlResult> {
        let port = self.ports.get(usize::from(set.port.0)).filter(|port| port.kind == port_kind(set.role));
        let port = port.ok_or(ControlResult::NoSuchPort)?;
        if port.payload_type != set.payload_type || port.reply_type != set.reply_type {
            return Err(ControlResult::WrongType);
        }
        if set.epoch <= self.epoch_floor {
            return Err(ControlResult::EpochTooLow);
        }
        if set.prior == PriorEpoch::CloseAt {
            return Err(ControlResult::WrongPrior);
        }
        let room = self.room.saturating_add(emit_room(port));
        let taken = set.role == Role::Requester && self.next_of(set.port, 0).is_some();
        if taken || room > OUTPUT_BYTES_MAX {
            return Err(ControlResult::NoCapacity);
        }
        *self.rows.get_mut(usize::from(set.row.0)).ok_or(ControlResult::NoSuchRow)? = Some(Row::new(set));
        self.hang(set.row, set.port.0);
        self.room = room;
        Ok(NO_EPOCH)
    }

    /// Notes which port a row is on.
    fn hang(&mut self, row: RowIndex, port: u16) {
        self.on_port.iter_mut().skip(usize::from(row.0)).take(1).for_each(|on| *on = port);
    }

    /// Ends a row's epoch without a next one. Doing it again changes nothing.
    pub(crate) fn close(&mut self, name: &RowName) -> Result<EpochEnd, ControlResult> {
        let row = self.named(name)?.as_mut().ok_or(ControlResult::NoSuchRow)?;
        row.key = None;
        row.pending = None;
        Ok(row.end())
    }

    /// Frees a row and raises the epoch floor to what it knew. Removing a free row changes nothing.
    pub(crate) fn remove(&mut self, name: &RowName) -> Result<EpochEnd, ControlResult> {
        let Some(row) = self.named(name)?.take() else { return Ok(NO_EPOCH) };
        self.epoch_floor = self.epoch_floor.max(row.newest().epoch);
        self.forget_tokens(name.row);
        self.hang(name.row, FREE);
        self.room = self.room.saturating_sub(self.ports.get(usize::from(row.port.0)).map_or(0, emit_room));
        Ok(row.end())
    }

    /// Closes every epoch on which this module emits.
    pub(crate) fn close_outgoing(&mut self) {
        self.rows.iter_mut().flatten().filter(|row| !row.accepts()).for_each(|row| row.key = None);
        self.change = self.change.wrapping_add(1);
    }

    /// Wipes all rows and tokens.
    pub(crate) fn wipe(&mut self) {
        let highest = self.rows.iter().flatten().map(|row| row.newest().epoch).max();
        self.epoch_floor = self.epoch_floor.max(highest.unwrap_or_default());
        self.rows.fill_with(|| None);
        self.on_port = [FREE; ROWS];
        self.tokens = [None; TOKENS];
        self.room = TOKENS * reply_room(self.ports);
        self.change = self.change.wrapping_add(1);
    }

    /// After an accepted event: if the epoch is drained, its successor takes over.
    pub(crate) fn promote(&mut self, index: RowIndex) {
        let open = self.has_tokens(|token| token.row == index);
        if let Some(row) = self.row_mut(index)
            && row.pending.as_ref().is_some_and(|(closing, _)| *closing == row.next)
            && let Some((_, next)) = row.pending.take()
        {
            row.switch(next, open);
            self.change = self.change.wrapping_add(1);
        }
    }

    /// A token for a request that is about to be handled; `None` when all are held.
    pub(crate) fn issue_token(&mut self, row: RowIndex, epoch: Epoch, counter: Counter) -> Option<ReplyToken> {
        let slot = self.tokens.iter().position(Option::is_none)?;
        *self.tokens.get_mut(slot)? = Some(Token { row, epoch, counter });
        let generation = self.generations.get_mut(slot)?;
        *generation = generation.wrapping_add(1);
        Some(ReplyToken { slot: u16::try_from(slot).ok()?, generation: *generation })
    }

    /// Spends a token: the row, epoch and counter that it answers.
    pub(crate) fn spend_token(&mut self, token: &ReplyToken) -> Option<(RowIndex, Epoch, Counter)> {
        let slot = usize::from(token.slot);
        let live = *self.generations.get(slot)? == token.generation;
        let spent = self.tokens.get_mut(slot).filter(|_| live)?.take()?;
        Some((spent.row, spent.epoch, spent.counter))
    }

    pub(crate) fn has_free_token(&self) -> bool {
        self.tokens.iter().any(Option::is_none)
    }

    pub(crate) fn has_tokens(&self, wanted: impl Fn(&Token) -> bool) -> bool {
        self.tokens.iter().flatten().any(wanted)
    }

    /// Forgets an earlier epoch's reply key once nothing of it is open.
    pub(crate) fn settle(&mut self, index: RowIndex) {
        let earlier = self.row(index).and_then(|row| row.earlier.as_ref()).map(|earlier| earlier.epoch);
        let open = self.has_tokens(|token| token.row == index && Some(token.epoch) == earlier);
        if let Some(row) = self.row_mut(index).filter(|_| !open) {
            row.earlier = None;
        }
    }

    fn forget_tokens(&mut self, row: RowIndex) {
        self.tokens.iter_mut().for_each(|token| *token = token.take_if(|token| token.row != row));
    }
}

const fn port_kind(role: Role) -> PortKind {
    match role {
        Role::Sender => PortKind::Output,
        Role::Receiver => PortKind::Input,
        Role::Requester => PortKind::Request,
        Role::Handler => PortKind::Handler,
    }
}

/// Bytes that one activation may emit on one connection of this port.
fn emit_room(port: &PortInfo) -> usize {
    let emits = match port.kind {
        PortKind::Output => usize::from(port.emits_max),
        PortKind::Request => 1,
        PortKind::Input | PortKind::Handler | PortKind::Entry => 0,
    };
    emits.saturating_mul(record_bytes(port.payload_bytes_max))
}

/// Bytes of the largest reply that any handler gives.
fn reply_room(ports: &[PortInfo]) -> usize {
    let handlers = ports.iter().filter(|port| port.kind == PortKind::Handler);
    handlers.map(|port| record_bytes(port.reply_bytes_max.saturating_add(2))).max().unwrap_or(0)
}

fn record_bytes(payload: u32) -> usize {
    RECORD_HEADER_BYTES + frame_bytes(usize::try_from(payload).unwrap_or(OUTPUT_BYTES_MAX))
}
