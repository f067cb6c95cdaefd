//! The connection table: rows, their epochs and keys, and the tokens of requests that wait for an answer.

use crate::program::ReplyToken;
use veritee_ids::limits::OUTPUT_BYTES_MAX;
use veritee_ids::{
    ApplicationHandle, CipherId, ConnectionId, ControlResult, Counter, Epoch, PortIndex, PortKind,
    PriorEpoch, Role, RowIndex,
};
use veritee_seal::{AeadKey, Secret};
use veritee_wire::frame::frame_bytes;
use veritee_wire::layout::{EpochEnd, SetKey};
use veritee_wire::output::RECORD_HEADER_BYTES;
use veritee_wire::ports::PortInfo;

/// End of a port's list of rows.
const NO_ROW: u16 = u16::MAX;
/// Most ports of a module.
pub(crate) const PORTS_MAX: usize = 64;
const NO_EPOCH: EpochEnd = EpochEnd { epoch: Epoch(0), counter: Counter(0) };

/// An epoch that waits until the one before it is drained.
pub(crate) struct PendingEpoch {
    pub(crate) epoch: Epoch,
    key: Secret,
    reply: Secret,
}

/// One row: this module's end of a connection. Keys inside are wiped when it is dropped.
pub struct Row {
    pub(crate) connection: ConnectionId,
    pub(crate) application: ApplicationHandle,
    pub(crate) port: PortIndex,
    pub(crate) role: Role,
    pub(crate) cipher: CipherId,
    /// The epoch in use, or the last one.
    pub(crate) epoch: Epoch,
    /// Next counter: to emit (sender, requester) or to accept (receiver, handler).
    pub(crate) next: Counter,
    /// Key of the forward direction; `None` when the epoch is closed.
    pub(crate) key: Option<AeadKey>,
    /// Key of the backward direction.
    reply: Secret,
    /// The epoch behind the one in use, and where the one in use ends.
    pub(crate) pending: Option<(Counter, PendingEpoch)>,
    /// Reply key of the epoch before, while a request or a token of it is open.
    pub(crate) earlier: Option<(Epoch, Secret)>,
    /// What the last set-key brought (to know its retry), and what it ended.
    last_key: Secret,
    ended: EpochEnd,
    next_on_port: u16,
}

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Row({} {} epoch {} next {})", self.connection, self.role.word(), self.epoch, self.next)
    }
}

impl Row {
    fn new(set: &SetKey, next_on_port: u16) -> Self {
        Self {
            connection: set.connection,
            application: set.application,
            port: set.port,
            role: set.role,
            cipher: set.cipher,
            epoch: set.epoch,
            next: Counter(0),
            key: Some(AeadKey::new(set.cipher, &Secret::new(set.key))),
            reply: Secret::new(set.reply_key),
            pending: None,
            earlier: None,
            last_key: Secret::new(set.key),
            ended: NO_EPOCH,
            next_on_port,
        }
    }

    /// Accepts events or requests, as opposed to emitting them.
    const fn accepts(&self) -> bool {
        matches!(self.role, Role::Receiver | Role::Handler)
    }

    /// The reply key of an epoch that is in use or still has a request or token open.
    pub(crate) fn reply_key(&self, epoch: Epoch) -> Option<AeadKey> {
        let secret = match &self.earlier {
            Some((earlier, secret)) if *earlier == epoch => secret,
            _ if self.epoch == epoch => &self.reply,
            _ => return None,
        };
        Some(AeadKey::new(self.cipher, secret))
    }

    /// The highest epoch that this row knows.
    pub(crate) fn highest(&self) -> Epoch {
        self.pending.as_ref().map_or(self.epoch, |(_, pending)| pending.epoch)
    }

    const fn end(&self) -> EpochEnd {
        EpochEnd { epoch: self.epoch, counter: self.next }
    }

    fn is_retry(&self, set: &SetKey) -> bool {
        set.epoch == self.highest() && self.last_key == Secret::new(set.key)
    }

    /// Takes the next epoch: at once, or once the one in use is drained. `open`: a request or token of it is open.
    fn advance(&mut self, set: &SetKey, open: bool) -> Result<EpochEnd, ControlResult> {
        let abandon = self.accepts() && set.prior == PriorEpoch::Abandon;
        if set.epoch <= self.highest() {
            return Err(ControlResult::EpochTooLow);
        }
        if !abandon && (self.pending.is_some() || self.earlier.is_some()) {
            return Err(ControlResult::EpochUnfinished);
        }
        let next =
            PendingEpoch { epoch: set.epoch, key: Secret::new(set.key), reply: Secret::new(set.reply_key) };
        let drains = self.accepts() && !abandon && set.closing > self.next;
        if self.accepts() && !abandon {
            let states_end = set.prior == PriorEpoch::CloseAt && set.closing >= self.next;
            if !states_end || (drains && self.key.is_none()) {
                return Err(ControlResult::WrongPrior);
            }
        }
        self.last_key = Secret::new(set.key);
        self.ended = if drains { EpochEnd { epoch: self.epoch, counter: set.closing } } else { self.end() };
        if drains {
            self.pending = Some((set.closing, next));
        } else {
            self.switch(next, open && !abandon);
        }
        Ok(self.ended)
    }

    /// Starts `next`. With `keep` the reply key of the epoch before stays for what is open in it.
    fn switch(&mut self, next: PendingEpoch, keep: bool) {
        self.earlier = keep.then(|| (self.epoch, self.reply.clone()));
        self.epoch = next.epoch;
        self.next = Counter(0);
        self.key = Some(AeadKey::new(self.cipher, &next.key));
        self.reply = next.reply;
        self.pending = None;
    }

    fn close(&mut self) -> EpochEnd {
        self.key = None;
        self.pending = None;
        self.end()
    }
}

/// A request that was accepted and waits for this module's answer.
#[derive(Clone, Copy)]
struct Token {
    row: RowIndex,
    epoch: Epoch,
    counter: Counter,
}

/// The table. Capacities are constants of the image.
pub(crate) struct Table<const ROWS: usize, const TOKENS: usize> {
    ports: &'static [PortInfo],
    rows: [Option<Row>; ROWS],
    heads: [u16; PORTS_MAX],
    tokens: [Option<Token>; TOKENS],
    generations: [u32; TOKENS],
    /// Bytes that one activation of any handler may emit.
    room: usize,
    /// New rows start above.
    pub(crate) epoch_floor: Epoch,
    /// Number of changes.
    pub(crate) change: u16,
    /// Emissions without a connection or an epoch.
    pub(crate) unconnected: u64,
}

impl<const ROWS: usize, const TOKENS: usize> Table<ROWS, TOKENS> {
    pub(crate) fn new(ports: &'static [PortInfo]) -> Self {
        const { assert!(ROWS < NO_ROW as usize && TOKENS < NO_ROW as usize) };
        Self {
            ports,
            rows: [const { None }; ROWS],
            heads: [NO_ROW; PORTS_MAX],
            tokens: [None; TOKENS],
            generations: [0; TOKENS],
            room: TOKENS * reply_room(ports),
            epoch_floor: Epoch(0),
            change: 0,
            unconnected: 0,
        }
    }

    pub(crate) const fn room(&self) -> usize {
        self.room
    }

    pub(crate) fn row(&self, index: RowIndex) -> Option<&Row> {
        self.rows.get(usize::from(index.0))?.as_ref()
    }

    pub(crate) fn row_mut(&mut self, index: RowIndex) -> Option<&mut Row> {
        self.rows.get_mut(usize::from(index.0))?.as_mut()
    }

    /// Rows in use from `first` on.
    pub(crate) fn rows_from(&self, first: RowIndex) -> impl Iterator<Item = (RowIndex, &Row)> {
        (0_u16..)
            .zip(&self.rows)
            .skip(usize::from(first.0))
            .filter_map(|(index, row)| Some((RowIndex(index), row.as_ref()?)))
    }

    /// First row of a port.
    pub(crate) fn first_of(&self, port: PortIndex) -> Option<RowIndex> {
        self.heads.get(usize::from(port.0)).copied().filter(|&row| row != NO_ROW).map(RowIndex)
    }

    /// The row behind `row` on the same port.
    pub(crate) fn next_of(&self, row: RowIndex) -> Option<RowIndex> {
        self.row(row).map(|row| row.next_on_port).filter(|&row| row != NO_ROW).map(RowIndex)
    }

    /// Gives a row its next epoch's key: PROTOCOL sections 3 and 5. `requesting`: the row with the open request.
    pub(crate) fn set_key(
        &mut self,
        set: &SetKey,
        requesting: Option<RowIndex>,
    ) -> Result<EpochEnd, ControlResult> {
        let open = requesting == Some(set.row) || self.has_tokens_of(set.row);
        let ended = match self.rows.get_mut(usize::from(set.row.0)) {
            None => return Err(ControlResult::NoSuchRow),
            Some(None) => self.add_row(set)?,
            Some(Some(row))
                if (row.connection, row.role, row.port, row.cipher)
                    != (set.connection, set.role, set.port, set.cipher) =>
            {
                return Err(ControlResult::RowTaken);
            }
            Some(Some(row)) if row.is_retry(set) => return Ok(row.ended),
            Some(Some(row)) => row.advance(set, open)?,
        };
        if set.prior == PriorEpoch::Abandon {
            self.forget_tokens(set.row);
        }
        self.change = self.change.wrapping_add(1);
        Ok(ended)
    }

    fn add_row(&mut self, set: &SetKey) -> Result<EpochEnd, ControlResult> {
        let port = self.ports.get(usize::from(set.port.0)).ok_or(ControlResult::NoSuchPort)?;
        let head = self.heads.get_mut(usize::from(set.port.0)).ok_or(ControlResult::NoSuchPort)?;
        if port.kind != port_kind(set.role) {
            return Err(ControlResult::NoSuchPort);
        }
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
        let taken = set.role == Role::Requester && *head != NO_ROW;
        let place = self.rows.get_mut(usize::from(set.row.0)).ok_or(ControlResult::NoSuchRow)?;
        if taken || room > OUTPUT_BYTES_MAX {
            return Err(ControlResult::NoCapacity);
        }
        *place = Some(Row::new(set, *head));
        *head = set.row.0;
        self.room = room;
        Ok(NO_EPOCH)
    }

    /// Ends a row's epoch without a next one. Doing it again changes nothing.
    pub(crate) fn close(
        &mut self,
        index: RowIndex,
        connection: ConnectionId,
    ) -> Result<EpochEnd, ControlResult> {
        self.change = self.change.wrapping_add(1);
        match self.row_mut(index) {
            Some(row) if row.connection == connection => Ok(row.close()),
            Some(_) => Err(ControlResult::RowTaken),
            None => Err(ControlResult::NoSuchRow),
        }
    }

    /// Frees a row and raises the epoch floor to what it knew. Removing a free row changes nothing.
    pub(crate) fn remove(
        &mut self,
        index: RowIndex,
        connection: ConnectionId,
    ) -> Result<EpochEnd, ControlResult> {
        let place = self.rows.get_mut(usize::from(index.0)).ok_or(ControlResult::NoSuchRow)?;
        let row = match place.take() {
            None => return Ok(NO_EPOCH),
            Some(row) if row.connection == connection => row,
            Some(row) => {
                *place = Some(row);
                return Err(ControlResult::RowTaken);
            }
        };
        self.epoch_floor = self.epoch_floor.max(row.highest());
        self.forget_tokens(index);
        self.unlink(index, &row);
        self.change = self.change.wrapping_add(1);
        Ok(row.end())
    }

    /// Takes a removed row out of its port's list.
    fn unlink(&mut self, index: RowIndex, row: &Row) {
        let port = usize::from(row.port.0);
        self.room = self.room.saturating_sub(self.ports.get(port).map_or(0, emit_room));
        let head = self.heads.get_mut(port).into_iter();
        let links = self.rows.iter_mut().flatten().map(|row| &mut row.next_on_port);
        for link in head.chain(links).filter(|link| **link == index.0) {
            *link = row.next_on_port;
        }
    }

    /// Closes every epoch on which this module emits.
    pub(crate) fn close_outgoing(&mut self) {
        for row in self.rows.iter_mut().flatten().filter(|row| !row.accepts()) {
            row.key = None;
        }
        self.change = self.change.wrapping_add(1);
    }

    /// Wipes all rows and tokens.
    pub(crate) fn wipe(&mut self) {
        let highest = self.rows_from(RowIndex(0)).map(|(_, row)| row.highest()).max();
        self.epoch_floor = self.epoch_floor.max(highest.unwrap_or_default());
        self.rows.fill_with(|| None);
        self.heads = [NO_ROW; PORTS_MAX];
        self.tokens = [None; TOKENS];
        self.room = TOKENS * reply_room(self.ports);
        self.change = self.change.wrapping_add(1);
    }

    /// After an accepted event: if the epoch is drained, its successor takes over.
    pub(crate) fn promote(&mut self, index: RowIndex) {
        let open = self.has_tokens_of(index);
        let Some(row) = self.row_mut(index) else { return };
        if row.pending.as_ref().is_some_and(|(closing, _)| *closing == row.next)
            && let Some((_, next)) = row.pending.take()
        {
            row.switch(next, open);
            self.change = self.change.wrapping_add(1);
        }
    }

    /// A token for a request that is about to be handled; `None` when all are held.
    pub(crate) fn issue_token(
        &mut self,
        row: RowIndex,
        epoch: Epoch,
        counter: Counter,
    ) -> Option<ReplyToken> {
        let slot = self.tokens.iter().position(Option::is_none)?;
        *self.tokens.get_mut(slot)? = Some(Token { row, epoch, counter });
        let generation = self.generations.get_mut(slot)?;
        *generation = generation.wrapping_add(1);
        Some(ReplyToken { slot: u16::try_from(slot).ok()?, generation: *generation })
    }

    /// Spends a token: the row, epoch and counter that it answers.
    pub(crate) fn spend_token(&mut self, token: &ReplyToken) -> Option<(RowIndex, Epoch, Counter)> {
        let slot = usize::from(token.slot);
        if *self.generations.get(slot)? != token.generation {
            return None;
        }
        let spent = self.tokens.get_mut(slot)?.take()?;
        Some((spent.row, spent.epoch, spent.counter))
    }

    pub(crate) fn has_free_token(&self) -> bool {
        self.tokens.iter().any(Option::is_none)
    }

    pub(crate) fn holds_tokens(&self) -> bool {
        self.tokens.iter().any(Option::is_some)
    }

    fn has_tokens_of(&self, row: RowIndex) -> bool {
        self.tokens.iter().flatten().any(|token| token.row == row)
    }

    /// Forgets an earlier epoch's reply key once nothing of it is open.
    pub(crate) fn settle(&mut self, index: RowIndex) {
        let open =
            |epoch| self.tokens.iter().flatten().any(|token| token.row == index && token.epoch == epoch);
        let earlier = self.row(index).and_then(|row| row.earlier.as_ref()).map(|(epoch, _)| *epoch);
        if earlier.is_some_and(|epoch| !open(epoch))
            && let Some(row) = self.row_mut(index)
        {
            row.earlier = None;
        }
    }

    fn forget_tokens(&mut self, row: RowIndex) {
        for token in self.tokens.iter_mut().filter(|token| token.is_some_and(|token| token.row == row)) {
            *token = None;
        }
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
    match port.kind {
        PortKind::Output => usize::from(port.emits_max).saturating_mul(record_bytes(port.payload_bytes_max)),
        PortKind::Request => record_bytes(port.payload_bytes_max),
        PortKind::Input | PortKind::Handler | PortKind::Entry => 0,
    }
}

/// Bytes of the largest reply that any handler gives.
fn reply_room(ports: &[PortInfo]) -> usize {
    let handlers = ports.iter().filter(|port| port.kind == PortKind::Handler);
    handlers.map(|port| record_bytes(port.reply_bytes_max.saturating_add(2))).max().unwrap_or(0)
}

fn record_bytes(payload: u32) -> usize {
    RECORD_HEADER_BYTES + frame_bytes(usize::try_from(payload).unwrap_or(OUTPUT_BYTES_MAX))
}
