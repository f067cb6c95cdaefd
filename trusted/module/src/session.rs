//! Attestation and control sessions: PROTOCOL section 2.

use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{
    ActivationId, ApplicationId, Challenge, CipherId, ControlKind, ControlResult, Counter, Direction, Epoch,
    Freshness, Label, SessionId,
};
use veritee_seal::{AeadKey, AgreementSecret, Nonce, OwnerKey, Secret, Unauthentic, derive, sha256};
use veritee_wire::layout::{
    AgreementKey, ControlRequest, Delegation, EpochEnd, Open, OpenStatement, Transcript,
};
use veritee_wire::{Layout, Malformed};

/// A transcript with its agreement key.
pub(crate) const QUOTED_BYTES: usize = Transcript::BYTES + AgreementKey::BYTES;

/// What a module states of itself in one attestation.
#[derive(Clone, Copy)]
pub(crate) struct Statement {
    pub(crate) transcript: Transcript,
    pub(crate) agreement: [u8; 32],
}

impl Statement {
    pub(crate) fn new(
        challenge: Challenge,
        activation: ActivationId,
        freshness: Freshness,
        attest_number: u64,
    ) -> Self {
        let transcript = Transcript {
            label: Label::Transcript,
            version: PROTOCOL_VERSION,
            challenge,
            activation,
            freshness,
            attest_number,
        };
        Self { transcript, agreement: [0; 32] }
    }

    /// The statement's bytes under a label: for evidence, and as a block of key derivation.
    pub(crate) fn bytes(&self, label: Label) -> [u8; QUOTED_BYTES] {
        let mut bytes = [0; QUOTED_BYTES];
        let (front, key) = bytes.split_at_mut(Transcript::BYTES);
        let written = Transcript { label, ..self.transcript }.encode(front);
        debug_assert!(written.is_ok(), "the transcript has its own length");
        key.copy_from_slice(&self.agreement);
        bytes
    }

    /// Block of key derivation: without the agreement key where there is none.
    fn block(&self, label: Label, symmetric: bool) -> ([u8; QUOTED_BYTES], usize) {
        (self.bytes(label), if symmetric { Transcript::BYTES } else { QUOTED_BYTES })
    }
}

/// What the holder of a session may do.
#[derive(Clone, Copy)]
pub(crate) struct Permit {
    /// The application; `None` where sessions are not bound to one (symmetric platforms).
    pub(crate) application: Option<ApplicationId>,
    pub(crate) epoch_first: Epoch,
    pub(crate) epoch_last: Epoch,
    pub(crate) delegated: bool,
}

impl Permit {
    pub(crate) const OWNER: Self =
        Self { application: None, epoch_first: Epoch(0), epoch_last: Epoch(u32::MAX), delegated: false };
}

/// The stored outcome of a request: what a repeated request is answered with.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) counter: Counter,
    pub(crate) kind: ControlKind,
    pub(crate) result: ControlResult,
    pub(crate) end: Option<EpochEnd>,
}

/// A control session. Keys are wiped when it is dropped.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) permit: Permit,
    key_in: AeadKey,
    key_out: AeadKey,
    /// Number of the next new request.
    pub(crate) next_in: Counter,
    next_out: Counter,
    pub(crate) last: Option<Record>,
}

impl Session {
    /// Derives a session's keys from its secret and the statement.
    pub(crate) fn derive(
        secret: &Secret,
        statement: &Statement,
        symmetric: bool,
        cipher: CipherId,
        permit: Permit,
    ) -> Self {
        let key = |label| {
            let (block, length) = statement.block(label, symmetric);
            derive(secret.expose(), block.get(..length).unwrap_or(&block))
        };
        Self {
            id: SessionId(*key(Label::SessionId).expose()),
            permit,
            key_in: AeadKey::new(cipher, &key(Label::ControlIn)),
            key_out: AeadKey::new(cipher, &key(Label::ControlOut)),
            next_in: Counter(0),
            next_out: Counter(0),
            last: None,
        }
    }

    /// Opens a request in place. Its number must be the next one, or the last one again.
    pub(crate) fn open(
        &self,
        header: &ControlRequest,
        front: &[u8],
        body: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Unauthentic> {
        let repeated = self.last.is_some_and(|last| last.counter == header.counter);
        if header.counter != self.next_in && !repeated {
            return Err(Unauthentic);
        }
        let nonce = Nonce { counter: header.counter, direction: Direction::Forward };
        self.key_in.open(nonce, front, body, tag)
    }

    /// Takes the next number of an answer; `None` when they are used up.
    pub(crate) fn take_answer_number(&mut self) -> Option<Counter> {
        let number = self.next_out;
        self.next_out = number.next()?;
        Some(number)
    }

    /// Seals an answer in place.
    pub(crate) fn seal(&self, number: Counter, front: &[u8], body: &mut [u8]) -> [u8; 16] {
        self.key_out.seal(Nonce { counter: number, direction: Direction::Backward }, front, body)
    }
}

/// What waits behind an attestation. A later attestation replaces it.
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")]
pub(crate) enum Pending {
    /// Nothing.
    None,
    /// X25519: evidence went out, `open` has not come.
    Attested {
        /// What the evidence states.
        statement: Statement,
        /// The module's half.
        secret: AgreementSecret,
    },
    /// A session without a request so far.
    Opened(Session),
}

/// Checks the owner's half and agrees on a session: the entry `open`.
///
/// Everything that can be wrong has the same answer, so that a stranger learns nothing.
pub(crate) fn agree(
    input: &[u8],
    owner: OwnerKey,
    serial_floor: u64,
    (statement, secret): (&Statement, AgreementSecret),
    cipher: CipherId,
) -> Result<Session, Unauthentic> {
    let (open, rest) = Open::decode_front(input).map_err(|_| Unauthentic)?;
    let (signer, permit, delegation) = signer(&open, rest, owner, serial_floor)?;
    let quoted = statement.bytes(Label::Transcript);
    let statement_of_owner = OpenStatement {
        label: Label::Open,
        version: PROTOCOL_VERSION,
        quoted: sha256(&[&quoted]),
        ephemeral: open.ephemeral,
        application: open.application,
        delegation,
    };
    let mut signed = [0; OpenStatement::BYTES];
    statement_of_owner.encode(&mut signed).map_err(|_| Unauthentic)?;
    signer.verify(&sha256(&[&signed]), &open.signature).map_err(|_| Unauthentic)?;
    let mut agreed = [0; QUOTED_BYTES + 32];
    let (front, ephemeral) = agreed.split_at_mut(QUOTED_BYTES);
    front.copy_from_slice(&statement.bytes(Label::Agreed));
    ephemeral.copy_from_slice(&open.ephemeral);
    let secret = secret.agree(&open.ephemeral, &agreed).map_err(|_| Unauthentic)?;
    Ok(Session::derive(&secret, statement, false, cipher, permit))
}

/// Who must have signed, and what he may do: the owner, or through one delegation his delegate.
fn signer(
    open: &Open,
    rest: &[u8],
    owner: OwnerKey,
    serial_floor: u64,
) -> Result<(OwnerKey, Permit, [u8; 32]), Unauthentic> {
    let application = Some(open.application);
    if open.delegated == 0 && rest.is_empty() {
        return Ok((owner, Permit { application, ..Permit::OWNER }, [0; 32]));
    }
    let delegation = Delegation::decode(rest).map_err(|_: Malformed| Unauthentic)?;
    let signed = rest.get(..Delegation::BYTES - 64).ok_or(Unauthentic)?;
    owner.verify(&sha256(&[signed]), &delegation.signature).map_err(|_| Unauthentic)?;
    let fits = open.delegated == 1
        && delegation.label == Label::Delegation
        && delegation.version == PROTOCOL_VERSION
        && delegation.application == open.application
        && delegation.serial >= serial_floor;
    if !fits {
        return Err(Unauthentic);
    }
    let permit = Permit {
        application,
        epoch_first: delegation.epoch_first,
        epoch_last: delegation.epoch_last,
        delegated: true,
    };
    Ok((OwnerKey(delegation.delegate), permit, sha256(&[rest])))
}
