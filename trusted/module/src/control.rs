//! What an owner can ask of a module, inside a control session.

use crate::module::{Entered, Module};
use crate::program::{Program, Refusal};
use crate::session::{Pending, Permit, Record, Session};
use crate::status::write_page;
use veritee_ids::limits::{CONTROL_BYTES_MAX, TAG_BYTES};
use veritee_ids::{
    ApplicationId, ControlKind, ControlResult, Counter, Lifecycle, PriorEpoch, Role, SessionId,
};
use veritee_tee::Tee;
use veritee_wire::layout::{
    ControlAnswer, ControlRequest, EpochEnd, OperationName, RequestName, RowName, SaveRequest, SerialFloor,
    SetKey, StateChunk, StatusHead, StatusRequest,
};
use veritee_wire::{Layout, Malformed, OutputWriter};

/// Room for the body of an answer.
const BODY_BYTES_MAX: usize = CONTROL_BYTES_MAX - ControlAnswer::BYTES - TAG_BYTES;

/// What a request came to: its result, and what the answer's body holds.
struct Outcome {
    result: ControlResult,
    end: Option<EpochEnd>,
    /// Bytes already written to the body.
    length: usize,
}

impl Outcome {
    const fn of(result: ControlResult) -> Self {
        Self { result, end: None, length: 0 }
    }
}

impl From<Result<EpochEnd, ControlResult>> for Outcome {
    fn from(ended: Result<EpochEnd, ControlResult>) -> Self {
        match ended {
            Ok(end) => Self { end: Some(end), ..Self::of(ControlResult::Done) },
            Err(result) => Self::of(result),
        }
    }
}

impl<T, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> Module<T, P, ROWS, TOKENS, STATE>
where
    T: Tee,
    P: Program,
{
    /// The entry `control`: opens a request, executes it or repeats its outcome, seals the answer.
    pub(crate) fn control(&mut self, input: &mut [u8], output: &mut OutputWriter<'_>) -> Entered {
        let Ok((header, _)) = ControlRequest::decode_front(input) else { return Entered::MALFORMED };
        let Some((front, rest)) = input.split_at_mut_checked(ControlRequest::BYTES) else {
            return Entered::MALFORMED;
        };
        let Some((body, tag)) = rest.split_last_chunk_mut::<TAG_BYTES>() else { return Entered::MALFORMED };
        let Some(mut session) = self.take_session(&header, front, body, tag) else { return Entered::REFUSED };
        let answered = self.answer(&mut session, &header, body, output);
        self.current = Some(session);
        body.fill(0);
        answered.unwrap_or(Entered::REFUSED)
    }

    /// Finds the session whose key sealed the request. The first request that opens makes a pending session current.
    fn take_session(
        &mut self,
        header: &ControlRequest,
        front: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Option<Session> {
        if let Some(current) = &self.current
            && current.id == header.session
        {
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
            Pending::None | Pending::Attested { .. } => None,
        }
    }

    /// Executes a new request or repeats the outcome of the last one, and seals the answer under a new number.
    fn answer(
        &mut self,
        session: &mut Session,
        header: &ControlRequest,
        body: &[u8],
        output: &mut OutputWriter<'_>,
    ) -> Option<Entered> {
        let mut answer = [0; BODY_BYTES_MAX];
        let read_only = matches!(header.kind, ControlKind::Status | ControlKind::Save);
        let repeated = session.last.filter(|last| last.counter == header.counter && !read_only);
        let mut outcome = match repeated {
            Some(record) if record.kind == header.kind => {
                Outcome { end: record.end, ..Outcome::of(record.result) }
            }
            Some(_) => return None,
            None => self.execute(session.permit, header.kind, body, &mut answer, output),
        };
        if repeated.is_none() {
            self.remember(session, header, &outcome);
        }
        if let Some(end) = outcome.end {
            outcome.length = end.encode(&mut answer).ok()?;
        }
        let front = ControlAnswer {
            session: session.id,
            counter: session.take_answer_number()?,
            request: header.counter,
            kind: header.kind,
            result: outcome.result,
        };
        let sealed = seal_answer(session, &front, answer.get(..outcome.length)?, output);
        answer.fill(0);
        sealed.ok().map(|()| Entered::ACCEPTED)
    }

    fn remember(&mut self, session: &mut Session, header: &ControlRequest, outcome: &Outcome) {
        let record =
            Record { counter: header.counter, kind: header.kind, result: outcome.result, end: outcome.end };
        session.last = Some(record);
        session.next_in = header.counter.next().unwrap_or(session.next_in);
        if !matches!(header.kind, ControlKind::Status | ControlKind::Save) {
            self.last_change = Some((session.id, record));
        }
    }

    /// One arm a request. A body that is not of its form changes nothing.
    fn execute(
        &mut self,
        permit: Permit,
        kind: ControlKind,
        body: &[u8],
        answer: &mut [u8],
        output: &mut OutputWriter<'_>,
    ) -> Outcome {
        let outcome = match kind {
            ControlKind::SetKey => SetKey::decode(body).map(|set| self.set_key(permit, &set)),
            ControlKind::CloseEpoch => {
                RowName::decode(body).map(|name| self.table.close(name.row, name.connection).into())
            }
            ControlKind::Remove => RowName::decode(body).map(|name| self.remove(&name)),
            ControlKind::Disable => Ok(self.disable()),
            ControlKind::Freeze => OperationName::decode(body).map(|name| {
                let result = self.life.freeze(name.operation);
                self.rest_if_done();
                Outcome::of(result)
            }),
            ControlKind::Thaw => {
                OperationName::decode(body).map(|name| Outcome::of(self.life.thaw(name.operation)))
            }
            ControlKind::Activate => {
                OperationName::decode(body).map(|name| Outcome::of(self.life.activate(name.operation)))
            }
            ControlKind::Save => SaveRequest::decode(body).map(|save| self.save(&save, answer)),
            ControlKind::Restore => {
                StateChunk::decode_front(body).map(|(chunk, bytes)| self.restore(&chunk, bytes))
            }
            ControlKind::AbortRequest => RequestName::decode(body).map(|name| self.abort(&name, output)),
            ControlKind::RaiseSerial => {
                SerialFloor::decode(body).map(|floor| self.raise_serial(permit, floor.serial))
            }
            ControlKind::Status => StatusRequest::decode(body).and_then(|page| self.status(&page, answer)),
        };
        outcome.unwrap_or(Outcome::of(ControlResult::Malformed))
    }

    fn set_key(&mut self, permit: Permit, set: &SetKey) -> Outcome {
        if set.epoch < permit.epoch_first || set.epoch > permit.epoch_last {
            return Outcome::of(ControlResult::NotDelegated);
        }
        if self.life.lifecycle == Lifecycle::Disabled {
            return Outcome::of(ControlResult::WrongLifecycle);
        }
        let ended = self.table.set_key(set, self.request.map(|open| open.row));
        if ended.is_ok() && set.prior == PriorEpoch::Abandon && set.role == Role::Handler {
            self.rest_if_done();
        }
        ended.into()
    }

    fn remove(&mut self, name: &RowName) -> Outcome {
        if self.request.is_some_and(|open| open.row == name.row) {
            return Outcome::of(ControlResult::EpochUnfinished);
        }
        let ended = self.table.remove(name.row, name.connection);
        self.rest_if_done();
        ended.into()
    }

    fn disable(&mut self) -> Outcome {
        self.table.wipe();
        self.request = None;
        self.life.discard();
        self.life.lifecycle = Lifecycle::Disabled;
        Outcome::of(ControlResult::Done)
    }

    fn save(&mut self, save: &SaveRequest, answer: &mut [u8]) -> Outcome {
        let Some((front, chunk)) = answer.split_at_mut_checked(StateChunk::BYTES) else {
            return Outcome::of(ControlResult::NoState);
        };
        let program = &self.program;
        let saved =
            self.life.save((save.operation, save.offset), |state| program.save(state.as_mut_slice()), chunk);
        match saved {
            Ok(head) => {
                let written = head.encode(front);
                let length = written.unwrap_or(0) + usize::from(head.length);
                Outcome { length, ..Outcome::of(ControlResult::Done) }
            }
            Err(result) => Outcome::of(result),
        }
    }

    fn restore(&mut self, chunk: &StateChunk, bytes: &[u8]) -> Outcome {
        match self.life.restore(chunk, bytes) {
            Ok(true) if self.program.restore(self.life.staged().as_slice()).is_err() => {
                self.life.discard();
                Outcome::of(ControlResult::NoState)
            }
            Ok(_) => Outcome::of(ControlResult::Done),
            Err(result) => Outcome::of(result),
        }
    }

    /// Ends the wait for a reply. If that wait is over already, nothing changes.
    fn abort(&mut self, name: &RequestName, output: &mut OutputWriter<'_>) -> Outcome {
        let open = self
            .request
            .filter(|open| (open.row, open.epoch, open.counter) == (name.row, name.epoch, name.counter));
        if let Some(open) = open {
            self.request = None;
            self.continue_after(open, Err(Refusal::Aborted), output);
        }
        Outcome::of(ControlResult::Done)
    }

    fn raise_serial(&mut self, permit: Permit, serial: u64) -> Outcome {
        if permit.delegated {
            return Outcome::of(ControlResult::NotDelegated);
        }
        self.serial_floor = self.serial_floor.max(serial);
        Outcome::of(ControlResult::Done)
    }

    fn status(&self, page: &StatusRequest, answer: &mut [u8]) -> Result<Outcome, Malformed> {
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
            next_row: page.first_row,
            rows: 0,
        };
        let length = write_page(&self.table, head, page.first_row, answer)?;
        Ok(Outcome { length, ..Outcome::of(ControlResult::Done) })
    }
}

fn seal_answer(
    session: &Session,
    front: &ControlAnswer,
    body: &[u8],
    output: &mut OutputWriter<'_>,
) -> Result<(), Malformed> {
    output.reply(ControlAnswer::BYTES + body.len() + TAG_BYTES, |bytes| {
        front.encode(bytes)?;
        let (header, rest) = bytes.split_at_mut_checked(ControlAnswer::BYTES).ok_or(Malformed)?;
        let (place, tag) = rest.split_last_chunk_mut().ok_or(Malformed)?;
        place.copy_from_slice(body);
        *tag = session.seal(front.counter, header, place);
        Ok(())
    })
}

impl Entered {
    /// Room that a control answer takes in the output area.
    pub(crate) const CONTROL_ROOM: usize = veritee_wire::output::RECORD_HEADER_BYTES + CONTROL_BYTES_MAX;
}

const _: () = assert!(BODY_BYTES_MAX > StatusHead::BYTES);
