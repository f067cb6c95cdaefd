//! The owner's end of a control session, bytes in, bytes out: PROTOCOL sections 2 and 3.
//!
//! [`identity`] signs; [`agree`] answers a transcript with the owner's half and derives the session; [`symmetric`] derives one
//! from a module key; [`OwnerSession`] seals requests and opens answers; [`keys`] derives connection keys from the root;
//! [`status`] reads status pages.
//!
//! Not a goal: transport, retries, files. Those are `deploy/exec`'s.

pub mod identity;
pub mod kdf;
pub mod keys;
pub mod status;
pub mod symmetric;

pub use identity::{Delegated, OwnerIdentity, Signer};
pub use kdf::Kdf;
pub use keys::{KeySource, OwnerRoot};
pub use status::{Status, StatusPages};
pub use symmetric::Symmetric;

use veritee_ciphers::AeadKey;
use veritee_ids::limits::{PROTOCOL_VERSION, TAG_BYTES};
use veritee_ids::{ApplicationId, CipherId, ControlKind, ControlResult, Counter, Direction, Label, SessionId};
use veritee_seal::{Aead, AgreementSecret, Nonce, Secret, sha256};
use veritee_wire::Layout;
use veritee_wire::layout::{AgreementKey, ControlAnswer, ControlRequest, Open, OpenStatement, Transcript};

#[cfg(test)]
mod tests;

/// Why a session could not be opened, or an answer not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The transcript does not have its form.
    #[error("the module's transcript is malformed")]
    MalformedTranscript,
    /// The module's agreement key has low order.
    #[error("the module's agreement key is not acceptable")]
    BadAgreement,
    /// The delegation is malformed, or for another application or delegate.
    #[error("the delegation is not for this delegate and application")]
    OtherDelegation,
    /// The delegation is over.
    #[error("the delegation ended at {not_after} (seconds since 1970)")]
    DelegationOver {
        /// Its last second.
        not_after: u64,
    },
    /// The answer does not have its form.
    #[error("the module's answer is malformed")]
    MalformedAnswer,
    /// The answer was not sealed by this session, or is an old one.
    #[error("the answer does not come from this session")]
    Unauthentic,
    /// The answer is one to another request.
    #[error("the answer belongs to request {actual}, expected {expected}")]
    OtherRequest {
        /// The request that was asked.
        expected: u64,
        /// The request that was answered.
        actual: u64,
    },
}

/// A sealed request: its bytes may be sent again and again, they mean the same.
#[derive(Clone, Debug)]
pub struct SealedRequest {
    /// Its number.
    pub counter: Counter,
    /// What it asks.
    pub kind: ControlKind,
    /// Input of the entry `control`.
    pub bytes: Vec<u8>,
}

/// An opened answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What was asked.
    pub kind: ControlKind,
    /// What it came to.
    pub result: ControlResult,
    /// The answer's body.
    pub body: Vec<u8>,
}

/// A control session, the owner's end. Keys are wiped when it is dropped.
#[derive(Debug)]
pub struct OwnerSession {
    id: SessionId,
    key_out: AeadKey,
    key_in: AeadKey,
    next_request: Counter,
    next_answer: Counter,
}

/// Opens a session on an X25519 platform, after the evidence was judged.
///
/// `transcript` is the module's statement with its agreement key, as the evidence proved it; `random` 32 fresh secret bytes.
/// Gives the input of the entry `open` and the session, which is the module's once its first request is answered.
///
/// # Errors
/// [`SessionError::MalformedTranscript`] or [`SessionError::BadAgreement`].
pub fn agree(
    transcript: &[u8], application: ApplicationId, signer: &Signer<'_>, random: [u8; 32], cipher: CipherId,
) -> Result<(Vec<u8>, OwnerSession), SessionError> {
    let agreement = agreement_key(transcript)?;
    let secret = AgreementSecret::new(random);
    let ephemeral = secret.public();
    let delegation = signer.delegation_bytes();
    let to_sign = OpenStatement {
        label: Label::Open,
        version: PROTOCOL_VERSION,
        quoted: sha256(transcript),
        ephemeral,
        application,
        delegation: delegation.map_or([0; 32], sha256),
    };
    let open = Open {
        ephemeral,
        application,
        signature: signer.identity().sign(&sha256(&encode(&to_sign))),
        delegated: u16::from(delegation.is_some()),
    };
    let mut input = encode(&open);
    input.extend_from_slice(delegation.unwrap_or_default());
    let mut agreed = labelled(transcript, Label::Agreed);
    agreed.extend_from_slice(&ephemeral);
    let secret = secret.agree(&agreement, &agreed).map_err(|_| SessionError::BadAgreement)?;
    Ok((input, OwnerSession::derive(Kdf::HkdfSha256, &secret, transcript, cipher)))
}

/// The module's agreement key, behind a sound transcript.
fn agreement_key(transcript: &[u8]) -> Result<[u8; 32], SessionError> {
    let malformed = |_| SessionError::MalformedTranscript;
    let (statement, rest) = Transcript::decode_front(transcript).map_err(malformed)?;
    let key = AgreementKey::decode(rest).map_err(malformed)?;
    checked(statement).map(|_| key.key)
}

fn checked(statement: Transcript) -> Result<Transcript, SessionError> {
    let sound = statement.label == Label::Transcript && statement.version == PROTOCOL_VERSION;
    sound.then_some(statement).ok_or(SessionError::MalformedTranscript)
}

/// A transcript under another label: the block that a secret of its session is derived from.
fn labelled(transcript: &[u8], label: Label) -> Vec<u8> {
    let mut block = transcript.to_vec();
    block.splice(..2, label.code().to_le_bytes());
    block
}

fn encode<L: Layout>(layout: &L) -> Vec<u8> {
    let mut bytes = vec![0; L::BYTES];
    layout.encode(&mut bytes).expect("the buffer has the layout's length");
    bytes
}

impl OwnerSession {
    /// Derives a session from its secret and a sound transcript (with the agreement key, if there is one).
    fn derive(kdf: Kdf, secret: &Secret, transcript: &[u8], cipher: CipherId) -> Self {
        let key = |label| kdf.derive(secret, &labelled(transcript, label));
        Self {
            id: SessionId(*key(Label::SessionId).expose()),
            key_out: AeadKey::of(cipher, &key(Label::ControlIn)),
            key_in: AeadKey::of(cipher, &key(Label::ControlOut)),
            next_request: Counter(0),
            next_answer: Counter(0),
        }
    }

    /// The session's public name.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Seals a request with a fixed body.
    pub fn request<L: Layout>(&mut self, kind: ControlKind, body: &L) -> SealedRequest {
        self.request_bytes(kind, &encode(body))
    }

    /// Seals a request with any body; `disable` has an empty one.
    ///
    /// # Panics
    /// After 2^64 - 1 requests.
    pub fn request_bytes(&mut self, kind: ControlKind, body: &[u8]) -> SealedRequest {
        let counter = self.next_request;
        self.next_request = counter.next().expect("no session lives for 2^64 requests");
        let front = encode(&ControlRequest { session: self.id, counter, kind });
        let mut sealed = body.to_vec();
        let tag = self.key_out.seal(Nonce { counter, direction: Direction::Forward }, &front, &mut sealed);
        let bytes = [front.as_slice(), &sealed, &tag].concat();
        SealedRequest { counter, kind, bytes }
    }

    /// Opens the answer to a request. Answers that were lost on the way are skipped; none is taken twice.
    ///
    /// # Errors
    /// [`SessionError::MalformedAnswer`], [`SessionError::Unauthentic`] or [`SessionError::OtherRequest`].
    pub fn answer(&mut self, request: &SealedRequest, bytes: &[u8]) -> Result<Answer, SessionError> {
        let malformed = |_| SessionError::MalformedAnswer;
        let (header, rest) = ControlAnswer::decode_front(bytes).map_err(malformed)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(SessionError::MalformedAnswer)?;
        if header.session != self.id || header.counter < self.next_answer {
            return Err(SessionError::Unauthentic);
        }
        let mut body = body.to_vec();
        let nonce = Nonce { counter: header.counter, direction: Direction::Backward };
        let front = bytes.get(..ControlAnswer::BYTES).ok_or(SessionError::MalformedAnswer)?;
        self.key_in.open(nonce, front, &mut body, tag).map_err(|_| SessionError::Unauthentic)?;
        self.next_answer = header.counter.next().ok_or(SessionError::Unauthentic)?;
        if header.request != request.counter || header.kind != request.kind {
            return Err(SessionError::OtherRequest { expected: request.counter.0, actual: header.request.0 });
        }
        Ok(Answer { kind: header.kind, result: header.result, body })
    }
}
