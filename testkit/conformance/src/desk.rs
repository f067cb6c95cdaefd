//! The owner and all peers of a probe, for one activation.

use crate::{Start, Subject, probe};
use veritee_ciphers::AeadKey;
use veritee_host::{OutputReader, OutputRecord};
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, CipherId, ConnectionId, ControlKind, ControlResult, Counter,
    Direction, Epoch, FrameKind, Op, OperationId, PortIndex, PriorEpoch, Role, RowIndex, Status, TypeHash,
};
use veritee_seal::{Aead, Nonce, Secret, derive};
use veritee_session::{Answer, OwnerIdentity, OwnerSession, SealedRequest, Signer, StatusPages, Symmetric};
use veritee_wire::Layout;
use veritee_wire::layout::{EntryResult, EpochEnd, Frame, OperationName, RowName, SetKey, Transcript};

/// The owner whose key is measured into the probe.
#[must_use]
pub fn owner() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[7; 32])
}

/// The application that all cases use.
pub const APPLICATION: ApplicationId = ApplicationId([9; 16]);
/// Its short name.
pub const HANDLE: ApplicationHandle = ApplicationHandle(3);
/// No operation.
pub const NO_OPERATION: OperationId = OperationId([0; 16]);

/// A frame that the probe emitted, opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Emitted {
    /// Its header.
    pub header: Frame,
    /// Its body.
    pub body: Vec<u8>,
}

impl Emitted {
    /// The number that the body holds.
    ///
    /// # Panics
    /// When it holds none.
    #[must_use]
    pub fn number(&self) -> u32 {
        u32::from_le_bytes(self.body.as_slice().try_into().expect("a number has four bytes"))
    }
}

/// What an entry gave, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The result.
    pub result: EntryResult,
    /// The reply, empty if none.
    pub reply: Vec<u8>,
    /// The frames.
    pub frames: Vec<Vec<u8>>,
}

/// One end of a connection, as the desk knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Row at the probe.
    pub row: RowIndex,
    /// The connection.
    pub connection: ConnectionId,
    /// The probe's port.
    pub port: PortIndex,
    /// The probe's part.
    pub role: Role,
    /// The cipher; without one it is the subject's own.
    pub cipher: Option<CipherId>,
}

impl Line {
    /// A line whose row and connection follow from the port, with the subject's own cipher.
    #[must_use]
    pub const fn to(port: PortIndex, role: Role) -> Self {
        Self { row: RowIndex(port.0), connection: ConnectionId(100 + port.0), port, role, cipher: None }
    }

    const fn replies(&self) -> bool {
        matches!(self.role, Role::Requester | Role::Handler)
    }

    /// The cipher where nobody chose one: AES.
    fn chosen(&self) -> CipherId {
        self.cipher.unwrap_or(CipherId::Aes128Gcm)
    }

    /// The key of an epoch and direction: fixed, for tests.
    #[must_use]
    pub fn key(&self, epoch: Epoch, direction: Direction) -> Secret {
        let mut block = [0; 16];
        block[..2].copy_from_slice(&self.connection.0.to_le_bytes());
        block[2..6].copy_from_slice(&epoch.0.to_le_bytes());
        block[6..8].copy_from_slice(&direction.code().to_le_bytes());
        derive(b"conformance", &block)
    }

    /// The set-key that opens an epoch at the probe.
    #[must_use]
    pub fn set_key(&self, epoch: u32, prior: PriorEpoch, closing: u64) -> SetKey {
        let replies = self.replies();
        let reply_key = self.key(Epoch(epoch), Direction::Backward);
        SetKey {
            row: self.row,
            connection: self.connection,
            application: HANDLE,
            port: self.port,
            epoch: Epoch(epoch),
            role: self.role,
            cipher: self.chosen(),
            prior,
            closing: Counter(closing),
            payload_type: probe::NUMBER,
            reply_type: if replies { probe::NUMBER } else { TypeHash([0; 8]) },
            key: *self.key(Epoch(epoch), Direction::Forward).expose(),
            reply_key: if replies { *reply_key.expose() } else { [0; 16] },
        }
    }

    /// Seals a frame of this line.
    #[must_use]
    pub fn seal(&self, kind: FrameKind, epoch: u32, counter: u64, body: &[u8]) -> Vec<u8> {
        let header = Frame { connection: self.connection, kind, epoch: Epoch(epoch), counter: Counter(counter) };
        let key = AeadKey::of(self.chosen(), &self.key(Epoch(epoch), header.direction()));
        let mut body = body.to_vec();
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        let tag = key.seal(nonce, &header.associated(HANDLE), &mut body);
        let mut frame = vec![0; Frame::BYTES];
        header.encode(&mut frame).expect("the buffer has the header's length");
        [frame, body, tag.to_vec()].concat()
    }

    /// Opens a frame of this line.
    ///
    /// # Panics
    /// When it is not one.
    #[must_use]
    pub fn open(&self, frame: &[u8]) -> Emitted {
        let (header, body, tag) = Frame::split(frame).expect("the probe emits frames");
        assert_eq!(header.connection, self.connection);
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        let opened = |cipher| {
            let mut body = body.to_vec();
            let key = AeadKey::of(cipher, &self.key(header.epoch, header.direction()));
            key.open(nonce, &header.associated(HANDLE), &mut body, tag).ok().map(|()| body)
        };
        let ciphers = self.cipher.as_ref().map_or(CipherId::ALL, core::slice::from_ref);
        let body = ciphers.iter().find_map(|&cipher| opened(cipher)).expect("the probe's frames are authentic");
        Emitted { header, body }
    }
}

/// The owner's desk: a probe with an open session.
pub struct Desk {
    subject: Box<dyn Subject>,
    /// The session; replace it to play another owner.
    pub session: OwnerSession,
    /// The probe's activation.
    pub activation: ActivationId,
}

impl core::fmt::Debug for Desk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Desk({})", self.activation)
    }
}

impl Desk {
    /// Starts a probe and opens a session; the probe is `new`.
    ///
    /// # Panics
    /// When the probe does not let the owner in.
    #[must_use]
    pub fn start(start: Start<'_>) -> Self {
        let mut subject = start();
        let (activation, session) = open_session(&mut *subject, [1; 16]);
        Self { subject, session, activation }
    }

    /// Starts a probe, opens a session and activates.
    #[must_use]
    pub fn active(start: Start<'_>) -> Self {
        let mut desk = Self::start(start);
        assert_eq!(desk.name(ControlKind::Activate, NO_OPERATION), ControlResult::Done);
        desk
    }

    /// Opens another session, which becomes current at its first request.
    pub fn reopen(&mut self, challenge: [u8; 16]) {
        let (activation, session) = open_session(&mut *self.subject, challenge);
        assert_eq!(activation, self.activation);
        self.session = session;
    }

    /// Attests and gives the transcript with the agreement key; `None` on symmetric platforms.
    ///
    /// # Panics
    /// When the probe does not attest.
    pub fn attest(&mut self, challenge: [u8; 16]) -> Option<Vec<u8>> {
        if self.subject.module_key().is_some() {
            return None;
        }
        let taken = take_apart(&self.subject.enter(Op::Attest, &challenge));
        assert_eq!(taken.result.status, Status::Accepted);
        Some(self.subject.transcript(&taken.reply))
    }

    /// Enters the probe.
    pub fn enter(&mut self, op: Op, input: &[u8]) -> Taken {
        take_apart(&self.subject.enter(op, input))
    }

    /// Sends a sealed request and opens its answer; `None` when the probe refused it.
    ///
    /// # Panics
    /// When the answer is not authentic.
    pub fn send(&mut self, request: &SealedRequest) -> Option<(Answer, Vec<Vec<u8>>)> {
        let taken = self.enter(Op::Control, &request.bytes);
        if taken.result.status != Status::Accepted {
            return None;
        }
        let answer = self.session.answer(request, &taken.reply).expect("the probe's answers are authentic");
        Some((answer, taken.frames))
    }

    /// Sends a request with a fixed body.
    ///
    /// # Panics
    /// When the session is not current.
    pub fn ask<L: Layout>(&mut self, kind: ControlKind, body: &L) -> Answer {
        let request = self.session.request(kind, body);
        self.send(&request).expect("the session is current").0
    }

    /// Sends a request that names an operation.
    pub fn name(&mut self, kind: ControlKind, operation: OperationId) -> ControlResult {
        self.ask(kind, &OperationName { operation }).result
    }

    /// Sends a request that names a row.
    ///
    /// # Errors
    /// The module's answer when it refuses.
    pub fn row(&mut self, kind: ControlKind, line: &Line) -> Result<EpochEnd, ControlResult> {
        end_of(&self.ask(kind, &RowName { row: line.row, connection: line.connection }))
    }

    /// Gives a key.
    ///
    /// # Errors
    /// The module's answer when it refuses.
    pub fn set_key(&mut self, set: &SetKey) -> Result<EpochEnd, ControlResult> {
        end_of(&self.ask(ControlKind::SetKey, set))
    }

    fn own(&self, line: &Line) -> Line {
        Line { cipher: line.cipher.or_else(|| Some(self.subject.cipher())), ..*line }
    }

    /// The set-key that opens an epoch of a line at the probe.
    #[must_use]
    pub fn key(&self, line: &Line, epoch: u32, prior: PriorEpoch, closing: u64) -> SetKey {
        self.own(line).set_key(epoch, prior, closing)
    }

    /// Seals a frame of a line.
    #[must_use]
    pub fn seal(&self, line: &Line, kind: FrameKind, epoch: u32, counter: u64, body: &[u8]) -> Vec<u8> {
        self.own(line).seal(kind, epoch, counter, body)
    }

    /// Whether the probe can seal its state.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.subject.seals()
    }

    /// Whether a bit of a frame reaches the probe.
    #[must_use]
    pub fn carries(&self, bit: usize) -> bool {
        self.subject.carries(bit)
    }

    /// Opens the first epoch of a line.
    ///
    /// # Panics
    /// When the probe refuses.
    pub fn connect(&mut self, line: &Line) {
        let ended = self.set_key(&self.key(line, 1, PriorEpoch::None, 0));
        assert_eq!(ended, Ok(EpochEnd { epoch: Epoch(0), counter: Counter(0) }));
    }

    /// Enters a frame at a line's row.
    pub fn frame(&mut self, line: &Line, frame: &[u8]) -> Taken {
        self.enter(Op::Event, &[&line.row.0.to_le_bytes(), frame].concat())
    }

    /// Enters a sealed number.
    pub fn event(&mut self, line: &Line, epoch: u32, counter: u64, number: u32) -> Taken {
        let kind = if line.role == Role::Handler { FrameKind::Request } else { FrameKind::Event };
        self.frame(line, &self.seal(line, kind, epoch, counter, &number.to_le_bytes()))
    }

    /// Enters a user entry.
    pub fn entry(&mut self, port: PortIndex, argument: u32) -> Taken {
        self.enter(Op::Entry, &[&port.0.to_le_bytes()[..], &argument.to_le_bytes()].concat())
    }

    /// Reads the whole status.
    ///
    /// # Panics
    /// When a page is malformed.
    pub fn status(&mut self) -> veritee_session::Status {
        let mut pages = StatusPages::default();
        loop {
            let answer = self.ask(ControlKind::Status, &pages.request());
            if let Some(status) = pages.take(&answer).expect("pages are well-formed") {
                return status;
            }
        }
    }
}

fn end_of(answer: &Answer) -> Result<EpochEnd, ControlResult> {
    match answer.result {
        ControlResult::Done => Ok(EpochEnd::decode(&answer.body).expect("it states an epoch's end")),
        refused => Err(refused),
    }
}

/// Attests and opens a session, as an owner does.
///
/// # Panics
/// When the probe refuses.
pub fn open_session(subject: &mut dyn Subject, challenge: [u8; 16]) -> (ActivationId, OwnerSession) {
    let taken = take_apart(&subject.enter(Op::Attest, &challenge));
    assert_eq!(taken.result.status, Status::Accepted);
    if let Some(key) = subject.module_key() {
        let (transcript, proof) = taken.reply.split_at(Transcript::BYTES);
        let known = Symmetric::new(subject.kdf(), &Secret::new(key), transcript).expect("a transcript");
        assert_eq!(known.proof().expose(), proof, "the probe proves its key");
        let statement = Transcript::decode(transcript).expect("a transcript");
        assert_eq!(statement.challenge.0, challenge);
        return (statement.activation, known.session(subject.cipher()));
    }
    let transcript = subject.transcript(&taken.reply);
    let (statement, _) = Transcript::decode_front(&transcript).expect("a transcript");
    assert_eq!(statement.challenge.0, challenge);
    let identity = owner();
    let signer = Signer::Owner(&identity);
    let (input, session) =
        veritee_session::agree(&transcript, APPLICATION, &signer, [challenge[0]; 32], CipherId::Aes128Gcm)
            .expect("the agreement holds");
    assert_eq!(take_apart(&subject.enter(Op::Open, &input)).result.status, Status::Accepted);
    (statement.activation, session)
}

/// Takes an output apart.
///
/// # Panics
/// When it is malformed.
#[must_use]
pub fn take_apart(output: &[u8]) -> Taken {
    let mut taken = Taken {
        result: EntryResult { status: Status::Halted, reserved: 0, value: 0 },
        reply: Vec::new(),
        frames: Vec::new(),
    };
    for record in OutputReader::new(output) {
        match record.expect("outputs are well-formed") {
            OutputRecord::Result(result) => taken.result = result,
            OutputRecord::Reply(reply) => taken.reply = reply.to_vec(),
            OutputRecord::Frame(frame) => taken.frames.push(frame.to_vec()),
        }
    }
    taken
}
