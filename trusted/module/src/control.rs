//! What an owner can ask: PROTOCOL sections 2, 3, 5 and 6.

use crate::lifecycle::NO_OPERATION;
use crate::module::{Module, Verdict};
use crate::program::{Program, Refusal};
use crate::session::{Pending, Permit, Record, Session};
use veritee_ids::limits::{CONTROL_BYTES_MAX, TAG_BYTES};
use veritee_ids::{
    ApplicationId, ControlKind, ControlResult, Counter, Direction, Lifecycle, PriorEpoch, Role, RowIndex, SessionId,
    Status,
};
use veritee_seal::{Aead, Nonce};
use veritee_tee::Tee;
use veritee_wire::layout::{
    ControlAnswer, ControlRequest, EpochEnd, OperationName, RequestName, RowName, RowStatus, SaveRequest, SealHead,
    SerialFloor, SetKey, StateChunk, StatusHead, StatusRequest,
};
use veritee_wire::output::REPLY;
use veritee_wire::{Layout, OutputWriter, Writer};

/// Longest body of an answer.
const BODY_BYTES_MAX: usize = CONTROL_BYTES_MAX - ControlAnswer::BYTES - TAG_BYTES;

/// Length of an answer's body, or why nothing was done.
type Outcome = Result<usize, ControlResult>;

impl<T, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> Module<T, P, ROWS, TOKENS, STATE>
where
    T: Tee,
    P: Program,
{
    /// A sealed request of the owner. The first one of a new session ends the session before.
    pub(crate) fn control(&mut self, input: &mut [u8], output: &mut OutputWriter<'_>) -> Result<(), Verdict> {
        let (header, _) = ControlRequest::decode_front(input)?;
        let (front, rest) = input.split_at_mut_checked(ControlRequest::BYTES).ok_or(Status::Malformed)?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_BYTES>().ok_or(Status::Malformed)?;
        let mut session = self.take_session(&header, front, body, tag).ok_or(Status::Refused)?;
        let answered = self.answer(&mut session, &header, body, output);
        self.current = Some(session);
        body.fill(0);
        Ok(answered.ok_or(Status::Refused)?)
    }

    /// The session that sealed a request, which is opened in place.
    fn take_session(
        &mut self, header: &ControlRequest, front: &[u8], body: &mut [u8], tag: &[u8; TAG_BYTES],
    ) -> Option<Session<T::Key>> {
        if let Some(current) = self.current.as_ref().filter(|current| current.id == header.session) {
            current.open(header, front, body, tag).ok()?;
            return self.current.take();
        }
        let Pending::Opened(pending) = &self.pending else { return None };
        let application = pending.permit.application;
        if pending.id != header.session || (self.application.is_some() && self.application != application) {
            return None;
        }
        pending.open(header, front, body, tag).ok()?;
        self.application = application;
        match core::mem::replace(&mut self.pending, Pending::None) {
            Pending::Opened(session) => Some(session),
            Pending::None | Pending::Attested(..) => None,
        }
    }

    /// Executes a new request or repeats the outcome of the last one, and seals the answer under a new number.
    fn answer(
        &mut self, session: &mut Session<T::Key>, header: &ControlRequest, body: &[u8], output: &mut OutputWriter<'_>,
    ) -> Option<()> {
        let mut answer = [0; BODY_BYTES_MAX];
        let (counter, kind) = (header.counter, header.kind);
        let changes = !matches!(kind, ControlKind::Status | ControlKind::Save | ControlKind::Seal);
        let record = match session.last.filter(|last| last.counter == counter && changes) {
            Some(last) if last.kind != kind => return None,
            Some(last) => {
                *answer.first_chunk_mut()? = last.body;
                last
            }
            None => {
                let outcome = self.execute(session.permit, kind, body, &mut answer, output);
                let result = outcome.err().unwrap_or(ControlResult::Done);
                Record { counter, kind, result, body: *answer.first_chunk()?, length: outcome.unwrap_or(0) }
            }
        };
        session.last = Some(record);
        session.next_in = session.next_in.max(counter.next()?);
        if changes {
            self.table.change = self.table.change.wrapping_add(1);
            self.last_change = Some((session.id, record));
        }
        let number = session.next_out;
        session.next_out = number.next()?;
        let front =
            ControlAnswer { session: session.id, counter: number, request: counter, kind, result: record.result };
        let body = answer.get_mut(..record.length)?;
        let sealed = output.record(REPLY, ControlAnswer::BYTES + body.len() + TAG_BYTES).ok()?;
        let (place, rest) = sealed.split_at_mut_checked(ControlAnswer::BYTES)?;
        front.encode(place).ok()?;
        let (answer, tag) = rest.split_last_chunk_mut()?;
        answer.copy_from_slice(body);
        *tag = session.seal(number, place, answer);
        body.fill(0);
        Some(())
    }

    /// One arm a request. A body that is not of its form changes nothing.
    fn execute(
        &mut self, permit: Permit, kind: ControlKind, body: &[u8], answer: &mut [u8], output: &mut OutputWriter<'_>,
    ) -> Outcome {
        let operation = || OperationName::decode(body).map(|name| name.operation);
        match kind {
            ControlKind::SetKey => return Ok(self.set_key(permit, &SetKey::decode(body)?)?.encode(answer)?),
            ControlKind::CloseEpoch => return Ok(self.table.close(&RowName::decode(body)?)?.encode(answer)?),
            ControlKind::Remove => return Ok(self.remove(&RowName::decode(body)?)?.encode(answer)?),
            ControlKind::Save => return self.life.save(&SaveRequest::decode(body)?, &self.program, answer),
            ControlKind::Seal => return Ok(self.seal(SealHead::decode(body)?)?.encode(answer)?),
            ControlKind::Status => return self.status(StatusRequest::decode(body)?.first_row, answer),
            ControlKind::Disable => self.disable(),
            ControlKind::Freeze => {
                self.life.freeze(operation()?)?;
                self.rest_if_done();
            }
            ControlKind::Thaw => self.life.thaw(operation()?)?,
            ControlKind::Activate => self.life.activate(operation()?)?,
            ControlKind::Unseal => self.life.unseal(&SealHead::decode(body)?)?,
            ControlKind::Restore => {
                let (chunk, bytes) = StateChunk::decode_front(body)?;
                self.restore(&chunk, bytes)?;
            }
            ControlKind::Confirm => return Err(ControlResult::NoSuchPort),
            ControlKind::AbortRequest => self.abort(&RequestName::decode(body)?, output),
            ControlKind::RaiseSerial if permit.delegated => return Err(ControlResult::NotDelegated),
            ControlKind::RaiseSerial => self.serial_floor = self.serial_floor.max(SerialFloor::decode(body)?.serial),
        }
        Ok(0)
    }

    fn set_key(&mut self, permit: Permit, set: &SetKey) -> Result<EpochEnd, ControlResult> {
        if set.epoch < permit.epoch_first || set.epoch > permit.epoch_last {
            return Err(ControlResult::NotDelegated);
        }
        if self.life.lifecycle == Lifecycle::Disabled {
            return Err(ControlResult::WrongLifecycle);
        }
        let ended = self.table.set_key(set, self.request.map(|open| open.row))?;
        if set.prior == PriorEpoch::Abandon && set.role == Role::Handler {
            self.rest_if_done();
        }
        Ok(ended)
    }

    fn remove(&mut self, name: &RowName) -> Result<EpochEnd, ControlResult> {
        if self.request.is_some_and(|open| open.row == name.row) {
            return Err(ControlResult::EpochUnfinished);
        }
        let ended = self.table.remove(name);
        self.rest_if_done();
        ended
    }

    fn disable(&mut self) {
        self.table.wipe();
        self.request = None;
        self.life.discard();
        self.life.lifecycle = Lifecycle::Disabled;
    }

    fn restore(&mut self, chunk: &StateChunk, bytes: &[u8]) -> Result<(), ControlResult> {
        let whole = self.life.restore(chunk, bytes)?;
        if whole && (self.open_sealed().is_none() || self.program.restore(&self.life.staging).is_err()) {
            self.life.discard();
            self.program = P::start();
            return Err(ControlResult::NoState);
        }
        Ok(())
    }

    /// Seals the frozen module's state in the staging. Done again, it stays as it is.
    fn seal(&mut self, asked: SealHead) -> Result<SealHead, ControlResult> {
        self.life.rests(asked.operation)?;
        if let Some(sealed) = self.life.sealed.filter(|sealed| sealed.counter == asked.counter) {
            return Ok(sealed);
        }
        let (key, mut head) = self.sealing(asked, true).ok_or(ControlResult::NoState)?;
        self.program.save(&mut self.life.staging);
        head.tag = key.seal(SEAL_NONCE, &head.bytes::<{ SealHead::BYTES }>(), &mut self.life.staging);
        head.operation = asked.operation;
        self.life.sealed = Some(head);
        Ok(head)
    }

    /// Opens what was restored, if it is sealed.
    fn open_sealed(&mut self) -> Option<()> {
        let Some(sealed) = self.life.sealed else { return Some(()) };
        let (key, head) = self.sealing(sealed, false)?;
        key.open(SEAL_NONCE, &head.bytes::<{ SealHead::BYTES }>(), &mut self.life.staging, &sealed.tag).ok()
    }

    /// The key of a sealed state, and its head as it is authenticated.
    fn sealing(&mut self, head: SealHead, fresh: bool) -> Option<(T::Key, SealHead)> {
        let application = self.application?;
        let (secret, name) = self.tee.sealing_key(head.policy, Some(head.name).filter(|_| !fresh))?;
        let key = T::Key::new(T::CONTROL_CIPHER, &secret)?;
        Some((key, SealHead { operation: NO_OPERATION, application, name, tag: [0; 16], ..head }))
    }

    /// Ends the wait for a reply. If that wait is over already, nothing changes.
    fn abort(&mut self, name: &RequestName, output: &mut OutputWriter<'_>) {
        let wanted = (name.row, name.epoch, name.counter);
        if let Some(open) = self.request.filter(|open| (open.row, open.epoch, open.counter) == wanted) {
            self.request = None;
            self.continue_after(open, Err(Refusal::Aborted), output);
        }
    }

    /// The module's state from a row on: the owner's only trustworthy knowledge of progress.
    fn status(&self, first: RowIndex, answer: &mut [u8]) -> Outcome {
        let capacity = answer.len().saturating_sub(StatusHead::BYTES) / RowStatus::BYTES;
        let next_row = self.table.rows_from(first).nth(capacity).map_or(RowIndex(u16::MAX), |(index, _)| index);
        let rows = || self.table.rows_from(first).take(capacity);
        let last = self.last_change;
        let head = StatusHead {
            activation: self.activation,
            application: self.application.unwrap_or(ApplicationId([0; 16])),
            operation: self.life.operation,
            last_session: last.map_or(SessionId([0; 16]), |(session, _)| session),
            last_counter: last.map_or(Counter(0), |(_, record)| record.counter),
            malformed: self.malformed,
            unconnected: self.table.unconnected,
            lifecycle: self.life.lifecycle,
            last_kind: last.map_or(0, |(_, record)| record.kind.code()),
            last_result: last.map_or(0, |(_, record)| record.result.code()),
            change: self.table.change,
            epoch_floor: self.table.epoch_floor,
            next_row,
            rows: u16::try_from(rows().count()).unwrap_or(u16::MAX),
        };
        let mut writer = Writer::new(answer);
        head.put(&mut writer);
        rows().for_each(|(index, row)| row.status(index).put(&mut writer));
        Ok(writer.finish()?)
    }
}

/// A sealing key seals once.
const SEAL_NONCE: Nonce = Nonce { counter: Counter(0), direction: Direction::Forward };

/// Room that a control answer takes in the output area.
pub(crate) const CONTROL_ROOM: usize = veritee_wire::output::RECORD_HEADER_BYTES + CONTROL_BYTES_MAX;

const _: () = assert!(BODY_BYTES_MAX > StatusHead::BYTES);
