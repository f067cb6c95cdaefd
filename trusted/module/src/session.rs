//! Attestation and control sessions: PROTOCOL section 2.

use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ApplicationId, CipherId, ControlKind, ControlResult, Counter, Direction, Epoch, Label, SessionId};
use veritee_seal::{Aead, AgreementSecret, Nonce, OwnerKey, Secret, Unauthentic, derive, sha256};
use veritee_wire::layout::{AgreementKey, ControlRequest, Delegation, EpochEnd, Open, OpenStatement, Transcript};
use veritee_wire::{Layout, Malformed};

/// A transcript with its agreement key.
const QUOTED_BYTES: usize = Transcript::BYTES + AgreementKey::BYTES;

/// What a module states of itself in one attestation: the transcript, and on X25519 platforms its fresh public key.
#[derive(Clone, Copy)]
pub(crate) struct Statement {
    bytes: [u8; QUOTED_BYTES],
    length: usize,
}

impl Statement {
    pub(crate) fn new(transcript: &Transcript, agreement: Option<[u8; 32]>) -> Self {
        let mut bytes = [0; QUOTED_BYTES];
        let (front, key) = bytes.split_at_mut(Transcript::BYTES);
        front.copy_from_slice(&transcript.bytes::<{ Transcript::BYTES }>());
        key.copy_from_slice(&agreement.unwrap_or_default());
        Self { bytes, length: if agreement.is_some() { QUOTED_BYTES } else { Transcript::BYTES } }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }

    /// Derives a secret from `key`: its block is the statement under another label.
    pub(crate) fn derive(&self, key: &Secret, label: Label) -> Secret {
        derive(key.expose(), self.labelled(label).bytes())
    }

    fn labelled(mut self, label: Label) -> Self {
        let [low, high, ..] = &mut self.bytes;
        [*low, *high] = label.code().to_le_bytes();
        self
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
    /// Body of the answer: nothing, or an [`EpochEnd`].
    pub(crate) body: [u8; EpochEnd::BYTES],
    pub(crate) length: usize,
}

/// A control session. Keys are wiped when it is dropped.
pub(crate) struct Session<K> {
    pub(crate) id: SessionId,
    pub(crate) permit: Permit,
    key_in: K,
    key_out: K,
    /// Number of the next new request.
    pub(crate) next_in: Counter,
    /// Number of the next answer: never twice.
    pub(crate) next_out: Counter,
    pub(crate) last: Option<Record>,
}

impl<K: Aead> Session<K> {
    /// Derives a session's keys from its secret and the statement.
    pub(crate) fn derive(secret: &Secret, statement: &Statement, cipher: CipherId, permit: Permit) -> Option<Self> {
        let key = |label| K::new(cipher, &statement.derive(secret, label));
        Some(Self {
            id: SessionId(*statement.derive(secret, Label::SessionId).expose()),
            permit,
            key_in: key(Label::ControlIn)?,
            key_out: key(Label::ControlOut)?,
            next_in: Counter(0),
            next_out: Counter(0),
            last: None,
        })
    }

    /// Opens a request in place. Its number must be the next one, or the last one again.
    pub(crate) fn open(
        &self, header: &ControlRequest, front: &[u8], body: &mut [u8], tag: &[u8; 16],
    ) -> Result<(), Unauthentic> {
        let repeated = self.last.is_some_and(|last| last.counter == header.counter);
        if header.counter != self.next_in && !repeated {
            return Err(Unauthentic);
        }
        self.key_in.open(Nonce { counter: header.counter, direction: Direction::Forward }, front, body, tag)
    }

    /// Seals an answer in place.
    pub(crate) fn seal(&self, number: Counter, front: &[u8], body: &mut [u8]) -> [u8; 16] {
        self.key_out.seal(Nonce { counter: number, direction: Direction::Backward }, front, body)
    }
}

/// What waits behind an attestation. A later attestation replaces it.
pub(crate) enum Pending<K> {
    /// Nothing.
    None,
    /// X25519: evidence went out, `open` has not come.
    Attested(Statement, AgreementSecret),
    /// A session without a request so far.
    Opened(Session<K>),
}

/// Checks the owner's half and agrees on a session: the entry `open`.
///
/// Everything that can be wrong has the same answer, so that a stranger learns nothing.
pub(crate) fn agree<K: Aead>(
    input: &[u8], owner: OwnerKey, serial_floor: u64, (statement, secret): (&Statement, AgreementSecret),
    cipher: CipherId,
) -> Result<Session<K>, Unauthentic> {
    let (open, rest) = Open::decode_front(input).map_err(|_| Unauthentic)?;
    let (signer, permit, delegation) = signer(&open, rest, owner, serial_floor)?;
    let signed: [u8; OpenStatement::BYTES] = OpenStatement {
        label: Label::Open,
        version: PROTOCOL_VERSION,
        quoted: sha256(statement.bytes()),
        ephemeral: open.ephemeral,
        application: open.application,
        delegation,
    }
    .bytes();
    signer.verify(&sha256(&signed), &open.signature)?;
    let mut agreed = [0; QUOTED_BYTES + 32];
    let (front, ephemeral) = agreed.split_at_mut(QUOTED_BYTES);
    front.copy_from_slice(&statement.labelled(Label::Agreed).bytes);
    ephemeral.copy_from_slice(&open.ephemeral);
    let secret = secret.agree(&open.ephemeral, &agreed)?;
    Session::derive(&secret, statement, cipher, permit).ok_or(Unauthentic)
}

/// Who must have signed, and what he may do: the owner, or through one delegation his delegate.
fn signer(
    open: &Open, rest: &[u8], owner: OwnerKey, serial_floor: u64,
) -> Result<(OwnerKey, Permit, [u8; 32]), Unauthentic> {
    let application = Some(open.application);
    if open.delegated == 0 && rest.is_empty() {
        return Ok((owner, Permit { application, ..Permit::OWNER }, [0; 32]));
    }
    let delegation = Delegation::decode(rest).map_err(|_: Malformed| Unauthentic)?;
    let (signed, _) = rest.split_last_chunk::<64>().ok_or(Unauthentic)?;
    owner.verify(&sha256(signed), &delegation.signature)?;
    let fits = open.delegated == 1
        && delegation.label == Label::Delegation
        && delegation.version == PROTOCOL_VERSION
        && delegation.application == open.application
        && delegation.serial >= serial_floor;
    let Delegation { epoch_first, epoch_last, .. } = delegation;
    let permit = Permit { application, epoch_first, epoch_last, delegated: true };
    if fits { Ok((OwnerKey(delegation.delegate), permit, sha256(rest))) } else { Err(Unauthentic) }
}
