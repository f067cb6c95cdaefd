//! The owner: gives keys in the order of the protocol, may crash between any two steps, and starts over.

use crate::World;
use crate::oracle::Input;
use crate::world::Connection;
use veritee_conformance::desk::{HANDLE, NO_OPERATION, Taken, take_apart};
use veritee_conformance::probe::{ASK, NUMBER};
use veritee_ids::{ControlKind, ControlResult, Counter, Direction, Epoch, Op, PriorEpoch, Role, RowIndex, TypeHash};
use veritee_module::Refusal;
use veritee_session::keys::EpochRecord;
use veritee_session::{Answer, KeySource, SealedRequest, Status, StatusPages};
use veritee_wire::Layout;
use veritee_wire::layout::{EpochEnd, OperationName, RequestName, RowStatus, SetKey};

/// The owner's tool crashed, or the module does not know the session any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupted {
    /// The module executed the request, but the tool never learned it.
    executed: bool,
}

const NOT_SENT: Interrupted = Interrupted { executed: false };
const NOT_LEARNED: Interrupted = Interrupted { executed: true };

impl World {
    /// Sends a request. Answers and requests may be lost on the way, and the tool may crash.
    fn send(&mut self, module: usize, request: &SealedRequest) -> Result<(Answer, Taken), Interrupted> {
        if self.choices.below(40) == 0 {
            self.summary.crashes += 1;
            return Err(NOT_SENT);
        }
        let node = &mut self.nodes[module];
        let mut taken = take_apart(&node.subject.enter(Op::Control, &request.bytes));
        if self.choices.below(10) == 0 {
            // The answer was lost: the same request again.
            let again = take_apart(&node.subject.enter(Op::Control, &request.bytes));
            taken = Taken { frames: taken.frames, ..again };
        }
        if self.choices.below(40) == 0 {
            self.summary.crashes += 1;
            return Err(NOT_LEARNED);
        }
        let answer = node.session.answer(request, &taken.reply).map_err(|_| NOT_LEARNED)?;
        Ok((answer, taken))
    }

    fn ask<L: Layout>(&mut self, module: usize, kind: ControlKind, body: &L) -> Result<Answer, Interrupted> {
        let request = self.nodes[module].session.request(kind, body);
        Ok(self.send(module, &request)?.0)
    }

    fn status(&mut self, module: usize) -> Result<Status, Interrupted> {
        let mut pages = StatusPages::default();
        loop {
            let page = pages.request();
            let answer = self.ask(module, ControlKind::Status, &page)?;
            if let Some(status) = pages.take(&answer).map_err(|_| NOT_LEARNED)? {
                return Ok(status);
            }
        }
    }

    /// Brings a connection to its next epoch, or finishes what an earlier call began.
    pub(crate) fn rekey(&mut self, index: usize) {
        let connection = self.connections[index];
        // A new process of the tool opens sessions of its own.
        self.reopen(connection.from.0);
        self.reopen(connection.to.0);
        // A crash is no failure: the next call finishes the work.
        _ = self.try_rekey(index);
    }

    fn try_rekey(&mut self, index: usize) -> Result<(), Interrupted> {
        let connection = self.connections[index];
        let from = row_of(&self.status(connection.from.0)?, connection.from.2);
        let to = row_of(&self.status(connection.to.0)?, connection.to.2);
        let record = self.record(index, from.as_ref(), to.as_ref());
        let ended = self.key_sender(&connection, &record, from.as_ref());
        if ended.is_ok() || ended == Err(NOT_LEARNED) {
            self.connections[index].sender_keyed = Some(record.source);
        }
        let ended = ended?;
        self.key_receiver(&connection, &record, to.as_ref(), ended)?;
        for module in [connection.to.0, connection.from.0] {
            self.ask(module, ControlKind::Activate, &OperationName { operation: NO_OPERATION })?;
        }
        Ok(())
    }

    /// The durable record: the old one while it is not finished and both activations live, else a new epoch.
    fn record(&mut self, index: usize, from: Option<&RowStatus>, to: Option<&RowStatus>) -> EpochRecord {
        let connection = self.connections[index];
        let (source, target) = (self.nodes[connection.from.0].activation, self.nodes[connection.to.0].activation);
        let highest = |row: &RowStatus| row.epoch.max(row.pending_epoch);
        let unfinished = connection.record.filter(|record| {
            (record.source, record.target) == (source, target)
                && (from.map(highest) != Some(record.epoch) || to.map(highest) != Some(record.epoch))
        });
        if let Some(record) = unfinished {
            return record;
        }
        let known = [connection.record.map(|record| record.epoch), from.map(highest), to.map(highest)];
        let highest = known.into_iter().flatten().max().unwrap_or(Epoch(0));
        let record = EpochRecord {
            application: veritee_conformance::desk::APPLICATION,
            connection: connection.id,
            epoch: Epoch(highest.0 + 1),
            salt: self.choices.bytes(),
            source,
            target,
        };
        self.connections[index].record = Some(record);
        self.remember(record, connection.cipher);
        record
    }

    fn key_sender(
        &mut self, connection: &Connection, record: &EpochRecord, row: Option<&RowStatus>,
    ) -> Result<EpochEnd, Interrupted> {
        let set = self.set_key(connection, record, Side::Source, (PriorEpoch::None, Counter(0)));
        let answer = self.ask(connection.from.0, ControlKind::SetKey, &set)?;
        if answer.result == ControlResult::EpochUnfinished
            && let Some(row) = row
        {
            // A request of the epoch before the last is still open: its owner ends the wait.
            self.abort(connection, row)?;
        }
        EpochEnd::decode(&answer.body).map_err(|_| NOT_LEARNED)
    }

    fn abort(&mut self, connection: &Connection, row: &RowStatus) -> Result<(), Interrupted> {
        for (epoch, counter) in [(row.epoch, row.next), (Epoch(row.epoch.0.saturating_sub(1)), row.next)] {
            let last = Counter(counter.0.saturating_sub(1));
            let name = RequestName { row: row.row, reserved: 0, epoch, counter: last };
            let request = self.nodes[connection.from.0].session.request(ControlKind::AbortRequest, &name);
            let (_, taken) = self.send(connection.from.0, &request)?;
            if !taken.frames.is_empty() {
                let input = Input::Reply(ASK, Err(Refusal::Aborted));
                self.judge(connection.from.0, &input, &taken);
            }
        }
        Ok(())
    }

    fn key_receiver(
        &mut self, connection: &Connection, record: &EpochRecord, row: Option<&RowStatus>, ended: EpochEnd,
    ) -> Result<(), Interrupted> {
        let same_sender = ended.epoch != Epoch(0) && row.is_some_and(|row| row.epoch == ended.epoch);
        let prior = match row {
            None => (PriorEpoch::None, Counter(0)),
            Some(row) if row.pending_epoch == record.epoch || row.epoch == record.epoch => return Ok(()),
            Some(_) if same_sender => (PriorEpoch::CloseAt, ended.counter),
            Some(_) => (PriorEpoch::Abandon, Counter(0)),
        };
        let set = self.set_key(connection, record, Side::Target, prior);
        let answer = self.ask(connection.to.0, ControlKind::SetKey, &set)?;
        if answer.result == ControlResult::Done { Ok(()) } else { Err(NOT_LEARNED) }
    }

    fn set_key(
        &self, connection: &Connection, record: &EpochRecord, side: Side, (prior, closing): (PriorEpoch, Counter),
    ) -> SetKey {
        let requests = connection.requests();
        let (role, (_, port, row)) = match (side, requests) {
            (Side::Source, false) => (Role::Sender, connection.from),
            (Side::Source, true) => (Role::Requester, connection.from),
            (Side::Target, false) => (Role::Receiver, connection.to),
            (Side::Target, true) => (Role::Handler, connection.to),
        };
        let key = |direction| *self.root.connection_key(record, direction).expose();
        SetKey {
            row,
            connection: connection.id,
            application: HANDLE,
            port,
            epoch: record.epoch,
            role,
            cipher: connection.cipher,
            prior,
            closing,
            payload_type: NUMBER,
            reply_type: if requests { NUMBER } else { TypeHash([0; 8]) },
            key: key(Direction::Forward),
            reply_key: if requests { key(Direction::Backward) } else { [0; 16] },
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Target,
}

fn row_of(status: &Status, row: RowIndex) -> Option<RowStatus> {
    status.rows.iter().find(|status| status.row == row).copied()
}
