//! Sessions on symmetric platforms: whoever knows the module key is the owner (PROTOCOL section 2).

use crate::{Kdf, OwnerSession, SessionError, checked, encode, labelled};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{CipherId, Label};
use veritee_seal::Secret;
use veritee_wire::Layout;
use veritee_wire::layout::{ActivationBlock, Transcript};

/// The secret of one activation, with a transcript that its module stated.
#[derive(Clone, Debug)]
pub struct Symmetric {
    kdf: Kdf,
    secret: Secret,
    transcript: Vec<u8>,
}

impl Symmetric {
    /// Derives the secret of the activation that `transcript` names from the module key.
    ///
    /// # Errors
    /// [`SessionError::MalformedTranscript`].
    pub fn new(kdf: Kdf, module_key: &Secret, transcript: &[u8]) -> Result<Self, SessionError> {
        let statement = Transcript::decode(transcript).map_err(|_| SessionError::MalformedTranscript)?;
        let activation = checked(statement)?.activation;
        let block = ActivationBlock { label: Label::Activation, version: PROTOCOL_VERSION, activation };
        Ok(Self { kdf, secret: kdf.derive(module_key, &encode(&block)), transcript: transcript.to_vec() })
    }

    /// The proof that evidence over this transcript ends with.
    #[must_use]
    pub fn proof(&self) -> Secret {
        self.kdf.derive(&self.secret, &labelled(&self.transcript, Label::Evidence))
    }

    /// The control session that this attestation began.
    #[must_use]
    pub fn session(&self, cipher: CipherId) -> OwnerSession {
        OwnerSession::derive(self.kdf, &self.secret, &self.transcript, cipher)
    }
}
