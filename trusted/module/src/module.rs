//! The one way into a module, and an event's path through it.

use crate::control::CONTROL_ROOM;
use crate::lifecycle::Life;
use crate::program::{Call, Program, Refusal, ReplyToken};
use crate::session::{Pending, Permit, Record, Session, Statement, agree};
use crate::table::{PORTS_MAX, Table};
use crate::wires::{Activation, OpenRequest, nonce, outcome};
use veritee_ids::limits::{FRAME_HEADER_BYTES, PROTOCOL_VERSION, TAG_BYTES};
use veritee_ids::{
    ActivationId, ApplicationId, Challenge, FrameKind, Label, Lifecycle, Op, PortIndex, PortKind, Role, RowIndex,
    SessionId, Status,
};
use veritee_seal::{Aead, AgreementSecret, Secret, Unauthentic, derive};
use veritee_tee::{EVIDENCE_BYTES_MAX, NoEntropy, Root, Tee};
use veritee_wire::layout::{ActivationBlock, EntryResult, Frame, Transcript};
use veritee_wire::output::{RECORD_HEADER_BYTES, REPLY, RESULT_RECORD_BYTES};
use veritee_wire::ports::{FLAG_LATE, PortInfo};
use veritee_wire::{Layout, Malformed, OutputWriter};
use zeroize::Zeroize;

/// A module: the author's program between the TEE and the host.
///
/// `ROWS` connections, `TOKENS` requests that wait for an answer of this module, `STATE` bytes of movable state.
/// Created once per activation; dropped (and wiped) at its end.
#[expect(missing_debug_implementations, reason = "it holds every secret that there is")]
pub struct Module<T: Tee, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> {
    pub(crate) tee: T,
    pub(crate) program: P,
    pub(crate) activation: ActivationId,
    attest_number: u64,
    pub(crate) pending: Pending<T::Key>,
    pub(crate) current: Option<Session<T::Key>>,
    /// The last state-changing request of any session.
    pub(crate) last_change: Option<(SessionId, Record)>,
    pub(crate) application: Option<ApplicationId>,
    pub(crate) serial_floor: u64,
    pub(crate) table: Table<T::Key, ROWS, TOKENS>,
    pub(crate) life: Life<STATE>,
    pub(crate) request: Option<OpenRequest>,
    /// One bit a port: `late` was entered since the last accepted event.
    late_entered: u64,
    pub(crate) malformed: u64,
    halted: bool,
}

/// Why an entry was not accepted: the status, and its value (see [`EntryResult`]).
#[derive(Clone, Copy)]
pub(crate) struct Verdict(Status, u64);

macro_rules! verdicts {
    ($($from:ty => $status:expr;)*) => {$(
        impl From<$from> for Verdict {
            fn from(from: $from) -> Self {
                Self($status(from), 0)
            }
        }
    )*};
}

verdicts! { Status => Status::from; Malformed => |_| Status::Malformed; Unauthentic => |_| Status::Refused; }

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
        const { assert!(P::PORTS.len() <= PORTS_MAX, "a module has at most 64 ports") };
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
        let entered = if self.halted { Ok(()) } else { self.dispatch(op, input, &mut output) };
        let Verdict(status, value) = match (self.halted, entered) {
            (true, _) => Status::Halted.into(),
            (false, Ok(())) => Status::Accepted.into(),
            (false, Err(verdict)) => verdict,
        };
        if status == Status::Halted {
            output.clear();
        }
        output.finish(EntryResult { status, reserved: 0, value })
    }

    fn dispatch(&mut self, op: u16, input: &mut [u8], output: &mut OutputWriter<'_>) -> Result<(), Verdict> {
        let op = Op::try_from(op).map_err(|_| Status::Malformed)?;
        let room = self.room(op);
        if output.room() < room {
            return Err(Verdict(Status::NoRoom, u64::try_from(room + RESULT_RECORD_BYTES).unwrap_or(u64::MAX)));
        }
        match op {
            Op::Attest => self.attest(input, output),
            Op::Open => self.open(input),
            Op::Control => self.control(input, output),
            Op::Event => self.event(input, output),
            Op::Entry => self.entry(input, output),
            Op::Late => self.late(input, output),
        }
    }

    /// Bytes that an entry may need in the output area: checked before anything happens.
    fn room(&self, op: Op) -> usize {
        let own = match op {
            Op::Attest => RECORD_HEADER_BYTES + EVIDENCE_BYTES_MAX,
            Op::Control => CONTROL_ROOM,
            Op::Entry => RECORD_HEADER_BYTES + const { response_bytes_max(P::PORTS) },
            Op::Open | Op::Event | Op::Late => 0,
        };
        own.saturating_add(self.table.room)
    }

    /// Evidence over a challenge. Open to anybody, so it changes nothing but the pending slot.
    fn attest(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> Result<(), Verdict> {
        let challenge = Challenge::decode(input)?;
        self.attest_number = self.attest_number.checked_add(1).ok_or(Status::Refused)?;
        let transcript = Transcript {
            label: Label::Transcript,
            version: PROTOCOL_VERSION,
            challenge,
            activation: self.activation,
            freshness: self.tee.freshness(),
            attest_number: self.attest_number,
        };
        let mut evidence = [0; EVIDENCE_BYTES_MAX];
        let length = match self.tee.root() {
            Root::Symmetric(key) => {
                let secret = activation_secret(key, self.activation);
                self.attest_symmetric(&secret, &Statement::new(&transcript, None), &mut evidence)
            }
            Root::Agreement(_) => self.attest_agreement(&transcript, &mut evidence),
        };
        let evidence = length.and_then(|length| evidence.get(..length)).ok_or(Status::Refused)?;
        output.record(REPLY, evidence.len())?.copy_from_slice(evidence);
        Ok(())
    }

    /// The statement and a proof that this module could derive the activation's secret.
    fn attest_symmetric(&mut self, secret: &Secret, statement: &Statement, evidence: &mut [u8]) -> Option<usize> {
        let session = Session::derive(secret, statement, T::CONTROL_CIPHER, Permit::OWNER)?;
        self.pending = Pending::Opened(session);
        let (front, rest) = evidence.split_at_mut_checked(Transcript::BYTES)?;
        front.copy_from_slice(statement.bytes());
        rest.get_mut(..TAG_BYTES)?.copy_from_slice(statement.derive(secret, Label::Evidence).expose());
        Some(Transcript::BYTES + TAG_BYTES)
    }

    /// Evidence of the TEE over the statement with a fresh agreement key.
    fn attest_agreement(&mut self, transcript: &Transcript, evidence: &mut [u8; EVIDENCE_BYTES_MAX]) -> Option<usize> {
        let mut random = [0; 32];
        self.tee.random(&mut random).ok()?;
        let secret = AgreementSecret::new(random);
        random.zeroize();
        let statement = Statement::new(transcript, Some(secret.public()));
        let length = self.tee.evidence(statement.bytes(), evidence).ok()?;
        self.pending = Pending::Attested(statement, secret);
        Some(length)
    }

    /// The owner's half of the agreement.
    fn open(&mut self, input: &[u8]) -> Result<(), Verdict> {
        let (Root::Agreement(owner), Pending::Attested(statement, secret)) = (self.tee.root(), &self.pending) else {
            return Err(Status::Refused.into());
        };
        let half = (statement, secret.clone());
        self.pending = Pending::Opened(agree(input, owner, self.serial_floor, half, T::CONTROL_CIPHER)?);
        Ok(())
    }

    /// An event, request or reply: finds the row and judges the frame.
    fn event(&mut self, input: &mut [u8], output: &mut OutputWriter<'_>) -> Result<(), Verdict> {
        let (row, frame) = input.split_first_chunk_mut().ok_or(Status::Malformed)?;
        let row = RowIndex(u16::from_le_bytes(*row));
        let (header, _, &tag) = Frame::split(frame)?;
        let end = frame.len() - TAG_BYTES;
        let body = frame.get_mut(FRAME_HEADER_BYTES..end).ok_or(Status::Malformed)?;
        let entered = match header.kind {
            FrameKind::Event => self.accept(row, Role::Receiver, &header, (body, &tag), output),
            FrameKind::Request => self.accept(row, Role::Handler, &header, (body, &tag), output),
            FrameKind::Reply => self.accept_reply(row, &header, (body, &tag), output),
        };
        // The plaintext is the author's business, not the next entry's.
        body.fill(0);
        entered
    }

    /// Accepts exactly the next event of a row's epoch; then, and only then, the counter moves and the handler runs.
    fn accept(
        &mut self, index: RowIndex, role: Role, header: &Frame, (body, tag): (&mut [u8], &[u8; TAG_BYTES]),
        output: &mut OutputWriter<'_>,
    ) -> Result<(), Verdict> {
        let ready = self.ready().is_ok() && (role == Role::Receiver || self.table.has_free_token());
        let unknown = if header.epoch > self.table.epoch_floor { Status::Busy } else { Status::Refused };
        let row = self.table.row_mut(index).ok_or(unknown)?;
        if row.connection != header.connection || row.role != role || header.epoch < row.current.epoch {
            return Err(Status::Refused.into());
        }
        if header.epoch > row.current.epoch {
            return Err(Status::Busy.into());
        }
        if header.counter < row.next {
            return Err(Status::Duplicate.into());
        }
        let key = row.key.as_ref().ok_or(Status::Refused)?;
        if header.counter > row.next {
            return Err(Verdict(Status::Gap, row.next.0));
        }
        if !ready {
            return Err(Status::Busy.into());
        }
        let next = header.counter.next().ok_or(Status::Refused)?;
        key.open(nonce(header), &header.associated(row.application), body, tag)?;
        row.next = next;
        let port = row.port;
        self.late_entered &= !late_bit(port);
        let call = match role {
            Role::Handler => {
                self.table.issue_token(index, header.epoch, header.counter).map(|token| Call::Request(body, token))
            }
            _ => Some(Call::Input(body)),
        };
        // An event that does not decode is accepted and counted: its sender is authentic.
        _ = call.map(|call| self.run(port, call, output));
        self.table.promote(index);
        Ok(())
    }

    /// Accepts the reply to the open request.
    fn accept_reply(
        &mut self, index: RowIndex, header: &Frame, (body, tag): (&mut [u8], &[u8; TAG_BYTES]),
        output: &mut OutputWriter<'_>,
    ) -> Result<(), Verdict> {
        let row = self.table.row(index).ok_or(Status::Refused)?;
        if row.connection != header.connection || row.role != Role::Requester {
            return Err(Status::Refused.into());
        }
        let frame = (header.epoch, header.counter);
        let over = if frame < (row.current.epoch, row.next) { Status::Duplicate } else { Status::Refused };
        let open = self.request.filter(|open| open.row == index && (open.epoch, open.counter) == frame).ok_or(over)?;
        let key = row.reply_key(header.epoch).ok_or(Status::Refused)?;
        key.open(nonce(header), &header.associated(row.application), body, tag)?;
        let (code, value) = body.split_first_chunk().ok_or(Status::Refused)?;
        self.request = None;
        let outcome = match u16::from_le_bytes(*code) {
            outcome::VALUE => Ok(value),
            outcome::MALFORMED => Err(Refusal::Malformed),
            code => Err(Refusal::Refused(code - outcome::REFUSED)),
        };
        self.continue_after(open, outcome, output);
        Ok(())
    }

    /// Runs the continuation of a request that is over.
    pub(crate) fn continue_after(
        &mut self, open: OpenRequest, outcome: Result<&[u8], Refusal>, output: &mut OutputWriter<'_>,
    ) {
        self.table.settle(open.row);
        if self.run(open.port, Call::Reply(outcome), output).is_err() {
            let again = self.run(open.port, Call::Reply(Err(Refusal::Malformed)), output);
            debug_assert!(again.is_ok(), "a refusal always decodes");
        }
        self.rest_if_done();
    }

    /// A user entry: public and unauthenticated.
    fn entry(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> Result<(), Verdict> {
        let (index, arguments) = PortIndex::decode_front(input)?;
        named::<P>(index, |port| port.kind == PortKind::Entry)?;
        self.ready()?;
        Ok(self.run(index, Call::Entry(arguments), output)?)
    }

    /// The host says that a deadline passed. Once until the next accepted event.
    fn late(&mut self, input: &[u8], output: &mut OutputWriter<'_>) -> Result<(), Verdict> {
        let index = PortIndex::decode(input)?;
        named::<P>(index, |port| port.flags & FLAG_LATE != 0)?;
        self.ready()?;
        if self.late_entered & late_bit(index) != 0 {
            return Err(Status::Duplicate.into());
        }
        self.late_entered |= late_bit(index);
        Ok(self.run(index, Call::Late, output)?)
    }

    /// The module runs, and waits for nothing.
    fn ready(&self) -> Result<(), Status> {
        let ready = self.life.lifecycle == Lifecycle::Active && self.request.is_none();
        if ready { Ok(()) } else { Err(Status::Busy) }
    }

    /// Runs a handler. What does not decode is counted, and answered if it was a request.
    fn run(&mut self, port: PortIndex, call: Call<'_>, output: &mut OutputWriter<'_>) -> Result<(), Malformed> {
        let token = match &call {
            Call::Request(_, ReplyToken { slot, generation }) => Some((*slot, *generation)),
            _ => None,
        };
        let (table, request) = (&mut self.table, &mut self.request);
        let mut activation = Activation { table, output, request, overrun: false };
        let ran = self.program.run(port, call, &mut activation);
        if let (Err(Malformed), Some((slot, generation))) = (ran, token) {
            activation.reply(&ReplyToken { slot, generation }, outcome::MALFORMED, &[]);
        }
        let overrun = activation.overrun;
        self.malformed = self.malformed.saturating_add(u64::from(ran.is_err()));
        if overrun {
            self.halt();
        }
        ran
    }

    /// A freezing module is frozen once nothing is open.
    pub(crate) fn rest_if_done(&mut self) {
        let open = self.request.is_some() || self.table.has_tokens(|_| true);
        if self.life.lifecycle == Lifecycle::Freezing && !open {
            self.life.lifecycle = Lifecycle::Frozen;
            self.table.close_outgoing();
        }
    }

    /// Wipes everything; nothing answers any more. Also for a runtime that noticed something impossible.
    pub fn halt(&mut self) {
        self.table.wipe();
        self.life.discard();
        self.pending = Pending::None;
        self.current = None;
        self.request = None;
        self.halted = true;
    }
}

/// Checks that a port exists and is what an entry needs.
fn named<P: Program>(index: PortIndex, fits: impl FnOnce(&PortInfo) -> bool) -> Result<(), Malformed> {
    if P::PORTS.get(usize::from(index.0)).is_some_and(fits) { Ok(()) } else { Err(Malformed) }
}

const fn late_bit(port: PortIndex) -> u64 {
    1 << (port.0 % 64)
}

/// The secret of an activation (symmetric platforms).
fn activation_secret(key: &Secret, activation: ActivationId) -> Secret {
    let block = ActivationBlock { label: Label::Activation, version: PROTOCOL_VERSION, activation };
    derive(key.expose(), &block.bytes::<{ ActivationBlock::BYTES }>())
}

/// Largest response of an entry.
const fn response_bytes_max(ports: &[PortInfo]) -> usize {
    let (mut index, mut largest) = (0, 0);
    while index < ports.len() {
        let bytes = ports[index].reply_bytes_max as usize;
        if matches!(ports[index].kind, PortKind::Entry) && bytes > largest {
            largest = bytes;
        }
        index += 1;
    }
    largest
}
