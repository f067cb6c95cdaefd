//! The one way into a module, and an event's path through it.

use crate::lifecycle::Life;
use crate::program::{Io, Program, Refusal};
use crate::session::{Pending, Permit, Record, Session, Statement, agree};
use crate::table::Table;
use crate::wires::{Activation, OpenRequest, outcome};
use veritee_ids::limits::{FRAME_HEADER_BYTES, TAG_BYTES};
use veritee_ids::{
    ActivationId, ApplicationId, Challenge, EntryIndex, FrameKind, Label, Lifecycle, Op, PortIndex, PortKind,
    Role, RowIndex, SessionId, Status,
};
use veritee_seal::{AgreementSecret, Nonce, derive};
use veritee_tee::{EVIDENCE_BYTES_MAX, NoEntropy, Root, Tee};
use veritee_wire::layout::{ActivationBlock, EntryResult, Frame, Transcript};
use veritee_wire::output::{RECORD_HEADER_BYTES, RESULT_RECORD_BYTES};
use veritee_wire::ports::FLAG_LATE;
use veritee_wire::{Layout, OutputWriter};
use zeroize::Zeroize;

/// A module: the author's program between the TEE and the host.
///
/// `ROWS` connections, `TOKENS` requests that wait for an answer of this module, `STATE` bytes of movable state.
/// Created once per activation; dropped (and wiped) at its end.
pub struct Module<T, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> {
    pub(crate) tee: T,
    pub(crate) program: P,
    pub(crate) activation: ActivationId,
    attest_number: u64,
    pub(crate) pending: Pending,
    pub(crate) current: Option<Session>,
    /// The last state-changing request of any session.
    pub(crate) last_change: Option<(SessionId, Record)>,
    pub(crate) application: Option<ApplicationId>,
    pub(crate) serial_floor: u64,
    pub(crate) table: Table<ROWS, TOKENS>,
    pub(crate) life: Life<STATE>,
    pub(crate) request: Option<OpenRequest>,
    /// One bit a port: `late` was entered since the last accepted event.
    late_entered: u64,
    pub(crate) malformed: u64,
    halted: bool,
}

impl<T, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> core::fmt::Debug
    for Module<T, P, ROWS, TOKENS, STATE>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Module({})", self.activation)
    }
}

/// What an entry came to.
#[derive(Clone, Copy)]
pub(crate) struct Entered {
    status: Status,
    value: u64,
}

impl Entered {
    pub(crate) const ACCEPTED: Self = Self::of(Status::Accepted);
    pub(crate) const REFUSED: Self = Self::of(Status::Refused);
    pub(crate) const MALFORMED: Self = Self::of(Status::Malformed);
    const BUSY: Self = Self::of(Status::Busy);
    const DUPLICATE: Self = Self::of(Status::Duplicate);
    const HALTED: Self = Self::of(Status::Halted);

    const fn of(status: Status) -> Self {
        Self { status, value: 0 }
    }
}

impl<T, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> Module<T, P, ROWS, TOKENS, STATE>
where
    T: Tee,
    P: Program,
{
    /// Begins an activation: draws its id, sets the program to its initial state.
    ///
    /// # Errors
    /// [`NoEntropy`] when the TEE cannot give an activation id.
    pub fn new(mut tee: T) -> Result<Self, NoEntropy> {
        const { assert!(P::STATE_BYTES == STATE, "the movable state has the program's length") };
        const { assert!(P::PORTS.len() <= crate::table::PORTS_MAX, "a module has at most 64 ports") };
        let mut activation = [0; 16];
        tee.random(&mut activation)?;
        Ok(Self {
            tee,
            program: P::start(),
            activation: ActivationId(activation),
            attest_number: 0,
            pending: Pending::None,
            current: None,
            last_change: None,
            application: None,
            serial_floor: 0,
            table: Table::new(P::PORTS),
            life: Life::new(),
            request: None,
            late_entered: 0,
            malformed: 0,
            halted: false,
        })
    }

    /// Enters the module: `op` with its `input` bytes; what it leaves behind goes to `output`.
    ///
    /// Gives the length of the output; 0 when `output` cannot even hold a result.
    ///
    /// # Trust
    /// `op` and `input` are the attacker's. Both slices are memory that nobody else touches meanwhile: a TEE with shared
    /// memory copies first. `input` is overwritten.
    pub fn enter(&mut self, op: u16, input: &mut [u8], output: &mut [u8]) -> usize {
        let Ok(mut output) = OutputWriter::new(output) else { return 0 };
        let entered = match (Op::try_from(op), self.halted) {
            (_, true) => Entered::HALTED,
            (Err(_), _) => Entered::MALFORMED,
            (Ok(op), _) => self.dispatch(op, input, &mut output),
        };
        if entered.status == Status::Halted {
            output.clear();
        }
        output.finish(EntryResult { status: entered.status, reserved: 0, value: entered.value })
    }

    fn dispatch(&mut self, op: Op, input: &mut [u8], output: &mut OutputWriter<'_>) -> Entered {
        let room = self.room(op);
        if output.room() < room {
            let value = u64::try_from(room + RESULT_RECORD_BYTES).unwrap_or(u64::MAX);
            return Entered { status: Status::NoRoom, value };
        }
        let entered = match op {
            Op::Attest => self.attest(input, output),
            Op::Open => self.open(input),
            Op::Control => self.control(input, output),
            Op::Event => self.event(input, output),
            Op::Entry => self.entry(input, output),
            Op::Late => self.late(input, output),
        };
        if self.halted { Entered::HALTED } else { entered }
    }

    /// Bytes that an entry may need in the output area: checked before anything happens.
    fn room(&self, op: Op) -> usize {
        let own = match op {
            Op::Attest => RECORD_HEADER_BYTES + EVIDENCE_BYTES_MAX,
            Op::Control => Entered::CONTROL_ROOM,
            Op::Entry => RECORD_HEADER_BYTES + const { response_bytes_max::<P>() },
            Op::Open | Op::Event | Op::Late => 0,
        };
        own.saturating_add(self.table.room())
    }

    /// Evidence over a challenge. Open to anybody, so it changes nothing but the pending slot.
    fn attest(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> Entered {
        let Ok(challenge) = <[u8; 16]>::try_from(input) else { return Entered::MALFORMED };
        let Some(number) = self.attest_number.checked_add(1) else { return Entered::REFUSED };
        self.attest_number = number;
        let statement = Statement::new(Challenge(challenge), self.activation, self.tee.freshness(), number);
        let mut evidence = [0; EVIDENCE_BYTES_MAX];
        let length = match self.tee.root() {
            Root::Symmetric(_) => self.attest_symmetric(&statement, &mut evidence),
            Root::Agreement(_) => self.attest_agreement(statement, &mut evidence),
        };
        let Some(evidence) = length.and_then(|length| evidence.get(..length)) else {
            return Entered::REFUSED;
        };
        let written = output.reply(evidence.len(), |body| {
            body.copy_from_slice(evidence);
            Ok(())
        });
        if written.is_ok() { Entered::ACCEPTED } else { Entered::REFUSED }
    }

    /// The statement and a proof that this module could derive the activation's secret.
    fn attest_symmetric(
        &mut self,
        statement: &Statement,
        evidence: &mut [u8; EVIDENCE_BYTES_MAX],
    ) -> Option<usize> {
        let Root::Symmetric(key) = self.tee.root() else { return None };
        let mut block = [0; ActivationBlock::BYTES];
        ActivationBlock {
            label: Label::Activation,
            version: veritee_ids::limits::PROTOCOL_VERSION,
            activation: self.activation,
        }
        .encode(&mut block)
        .ok()?;
        let secret = derive(key.expose(), &block);
        let proof = derive(secret.expose(), statement.bytes(Label::Evidence).get(..Transcript::BYTES)?);
        let session = Session::derive(&secret, statement, true, T::CONTROL_CIPHER, Permit::OWNER);
        self.pending = Pending::Opened(session);
        let (front, rest) = evidence.split_at_mut(Transcript::BYTES);
        front.copy_from_slice(statement.bytes(Label::Transcript).get(..Transcript::BYTES)?);
        rest.get_mut(..TAG_BYTES)?.copy_from_slice(proof.expose());
        Some(Transcript::BYTES + TAG_BYTES)
    }

    /// Evidence of the TEE over the statement with a fresh agreement key.
    fn attest_agreement(
        &mut self,
        mut statement: Statement,
        evidence: &mut [u8; EVIDENCE_BYTES_MAX],
    ) -> Option<usize> {
        let mut random = [0; 32];
        self.tee.random(&mut random).ok()?;
        let secret = AgreementSecret::new(random);
        random.zeroize();
        statement.agreement = secret.public();
        let length = self.tee.evidence(&statement.bytes(Label::Transcript), evidence).ok()?;
        self.pending = Pending::Attested { statement, secret };
        Some(length)
    }

    /// The owner's half of the agreement.
    fn open(&mut self, input: &[u8]) -> Entered {
        let Root::Agreement(owner) = self.tee.root() else { return Entered::REFUSED };
        let Pending::Attested { statement, secret } = &self.pending else { return Entered::REFUSED };
        let agreed = agree(input, owner, self.serial_floor, (statement, secret.clone()), T::CONTROL_CIPHER);
        match agreed {
            Ok(session) => {
                self.pending = Pending::Opened(session);
                Entered::ACCEPTED
            }
            Err(_) => Entered::REFUSED,
        }
    }

    /// An event, request or reply: finds the row and judges the frame.
    fn event(&mut self, input: &mut [u8], output: &mut OutputWriter<'_>) -> Entered {
        let Some((row, frame)) = input.split_first_chunk_mut::<2>() else { return Entered::MALFORMED };
        let row = RowIndex(u16::from_le_bytes(*row));
        let Ok((header, _, tag)) = Frame::split(frame).map(|(header, body, tag)| (header, body, *tag)) else {
            return Entered::MALFORMED;
        };
        let end = frame.len() - TAG_BYTES;
        let Some(body) = frame.get_mut(FRAME_HEADER_BYTES..end) else { return Entered::MALFORMED };
        let entered = match header.kind {
            FrameKind::Event => self.accept(row, Role::Receiver, &header, (&mut *body, &tag), output),
            FrameKind::Request => self.accept(row, Role::Handler, &header, (&mut *body, &tag), output),
            FrameKind::Reply => self.accept_reply(row, &header, (&mut *body, &tag), output),
        };
        // The plaintext is the author's business, not the next entry's.
        body.fill(0);
        entered
    }

    /// Accepts exactly the next event of a row's epoch; then, and only then, the counter moves and the handler runs.
    fn accept(
        &mut self,
        index: RowIndex,
        role: Role,
        header: &Frame,
        (body, tag): (&mut [u8], &[u8; TAG_BYTES]),
        output: &mut OutputWriter<'_>,
    ) -> Entered {
        let ready = self.life.lifecycle == Lifecycle::Active
            && self.request.is_none()
            && (role == Role::Receiver || self.table.has_free_token());
        let Some(row) = self.table.row_mut(index) else {
            return if header.epoch > self.table.epoch_floor { Entered::BUSY } else { Entered::REFUSED };
        };
        if row.connection != header.connection || row.role != role || header.epoch < row.epoch {
            return Entered::REFUSED;
        }
        if header.epoch > row.epoch {
            return Entered::BUSY;
        }
        if header.counter < row.next {
            return Entered::DUPLICATE;
        }
        let Some(key) = &row.key else { return Entered::REFUSED };
        if header.counter > row.next {
            return Entered { status: Status::Gap, value: row.next.0 };
        }
        if !ready {
            return Entered::BUSY;
        }
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        let opened = key.open(nonce, &header.associated(row.application), body, tag);
        let (Ok(()), Some(next)) = (opened, header.counter.next()) else { return Entered::REFUSED };
        row.next = next;
        let port = row.port;
        self.late_entered &= !late_bit(port);
        match role {
            Role::Handler => self.handle(index, port, header, body, output),
            // An event that does not decode is accepted and counted: its sender is authentic.
            _ => _ = self.run(output, |program, io| program.input(port, body, io)),
        }
        self.table.promote(index);
        Entered::ACCEPTED
    }

    /// Runs a handler with a token for its answer. A request that does not decode is answered as such.
    fn handle(
        &mut self,
        index: RowIndex,
        port: PortIndex,
        header: &Frame,
        body: &[u8],
        output: &mut OutputWriter<'_>,
    ) {
        let Some(token) = self.table.issue_token(index, header.epoch, header.counter) else { return };
        let (slot, generation) = token.parts();
        if self.run(output, |program, io| program.handle(port, body, token, io)).is_err() {
            let token = crate::ReplyToken { slot, generation };
            self.activate(output, |_, activation| activation.reply(&token, outcome::MALFORMED, &[]));
        }
    }

    /// Accepts the reply to the open request.
    fn accept_reply(
        &mut self,
        index: RowIndex,
        header: &Frame,
        (body, tag): (&mut [u8], &[u8; TAG_BYTES]),
        output: &mut OutputWriter<'_>,
    ) -> Entered {
        let Some(row) = self.table.row(index) else { return Entered::REFUSED };
        if row.connection != header.connection || row.role != Role::Requester {
            return Entered::REFUSED;
        }
        let frame = (header.epoch, header.counter);
        let Some(open) = self.request.filter(|open| open.row == index && (open.epoch, open.counter) == frame)
        else {
            let answered = frame < (row.epoch, row.next);
            return if answered { Entered::DUPLICATE } else { Entered::REFUSED };
        };
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        let opened = row
            .reply_key(header.epoch)
            .map(|key| key.open(nonce, &header.associated(row.application), body, tag));
        let (Some(Ok(())), Some((code, value))) = (opened, body.split_first_chunk::<2>()) else {
            return Entered::REFUSED;
        };
        self.request = None;
        let outcome = match u16::from_le_bytes(*code) {
            outcome::VALUE => Ok(value),
            outcome::MALFORMED => Err(Refusal::Malformed),
            code => Err(Refusal::Refused(code - outcome::REFUSED)),
        };
        self.continue_after(open, outcome, output);
        Entered::ACCEPTED
    }

    /// Runs the continuation of a request that is over.
    pub(crate) fn continue_after(
        &mut self,
        open: OpenRequest,
        outcome: Result<&[u8], Refusal>,
        output: &mut OutputWriter<'_>,
    ) {
        self.table.settle(open.row);
        if self.run(output, |program, io| program.reply(open.port, outcome, io)).is_err() {
            let again = self.run(output, |program, io| program.reply(open.port, Err(Refusal::Malformed), io));
            debug_assert!(again.is_ok(), "a refusal always decodes");
        }
        self.rest_if_done();
    }

    /// A user entry: public and unauthenticated.
    fn entry(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> Entered {
        let Some((index, arguments)) = input.split_first_chunk() else { return Entered::MALFORMED };
        let index = EntryIndex(u16::from_le_bytes(*index));
        if P::PORTS.get(usize::from(index.0)).is_none_or(|port| port.kind != PortKind::Entry) {
            return Entered::MALFORMED;
        }
        if self.life.lifecycle != Lifecycle::Active || self.request.is_some() {
            return Entered::BUSY;
        }
        let run = self.run(output, |program, io| program.entry(PortIndex(index.0), arguments, io));
        if run.is_ok() { Entered::ACCEPTED } else { Entered::MALFORMED }
    }

    /// A deadline passed: entered at most once between two accepted events, never while a request is open.
    fn late(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> Entered {
        let Ok(index) = <[u8; 2]>::try_from(input) else { return Entered::MALFORMED };
        let port = PortIndex(u16::from_le_bytes(index));
        if P::PORTS.get(usize::from(port.0)).is_none_or(|port| port.flags & FLAG_LATE == 0) {
            return Entered::MALFORMED;
        }
        if self.life.lifecycle != Lifecycle::Active || self.request.is_some() {
            return Entered::BUSY;
        }
        if self.late_entered & late_bit(port) != 0 {
            return Entered::DUPLICATE;
        }
        self.late_entered |= late_bit(port);
        self.activate(output, |program, activation| program.late(port, Io::new(activation)));
        Entered::ACCEPTED
    }

    /// Runs a handler; an event that does not decode is counted and runs nothing.
    fn run(
        &mut self,
        output: &mut OutputWriter<'_>,
        handler: impl FnOnce(&mut P, Io<'_>) -> Result<(), veritee_wire::Malformed>,
    ) -> Result<(), veritee_wire::Malformed> {
        let ran = self.activate(output, |program, activation| handler(program, Io::new(activation)));
        if ran.is_err() {
            self.malformed = self.malformed.saturating_add(1);
        }
        ran
    }

    /// Lends the program and the wires to `body`. A handler that emitted more than it declared halts the module.
    fn activate<'o, R>(
        &mut self,
        output: &mut OutputWriter<'o>,
        body: impl FnOnce(&mut P, &mut Activation<'_, 'o, ROWS, TOKENS>) -> R,
    ) -> R {
        let mut overrun = false;
        let mut activation =
            Activation { table: &mut self.table, output, request: &mut self.request, overrun: &mut overrun };
        let returned = body(&mut self.program, &mut activation);
        if overrun {
            self.halt();
        }
        returned
    }

    /// A freezing module is frozen once no request is open and no token is held. Its outgoing epochs close then.
    pub(crate) fn rest_if_done(&mut self) {
        let open = self.request.is_some() || self.table.holds_tokens();
        if self.life.lifecycle == Lifecycle::Freezing && !open {
            self.life.lifecycle = Lifecycle::Frozen;
            self.table.close_outgoing();
        }
    }

    /// Wipes all keys; nothing answers any more.
    pub fn halt(&mut self) {
        self.table.wipe();
        self.life.discard();
        self.pending = Pending::None;
        self.current = None;
        self.request = None;
        self.halted = true;
    }
}

const fn late_bit(port: PortIndex) -> u64 {
    1 << (port.0 % 64)
}

/// The largest response of any user entry.
const fn response_bytes_max<P: Program>() -> usize {
    let (mut index, mut largest) = (0, 0);
    while index < P::PORTS.len() {
        let port = &P::PORTS[index];
        if matches!(port.kind, PortKind::Entry) && port.reply_bytes_max as usize > largest {
            largest = port.reply_bytes_max as usize;
        }
        index += 1;
    }
    largest
}
