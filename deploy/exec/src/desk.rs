//! One module, as its owner deals with it: attest, open, ask.

use crate::fleet::Node;
use crate::{ExecError, random};
use veritee_ids::{
    ActivationId, ApplicationId, Challenge, CipherId, ControlKind, ControlResult, Op, Status as EntryStatus,
};
use veritee_node_protocol::ModuleName;
use veritee_platform::{OwnerPlatform, SessionStart, Verified, VerifyPolicy};
use veritee_session::{Answer, OwnerIdentity, OwnerSession, SealedRequest, Signer, Status, StatusPages, agree};
use veritee_wire::Layout;
use veritee_wire::layout::{EpochEnd, RowName, SetKey};

/// How often a request is repeated when its answer does not come.
const TRIES: u32 = 3;

/// A module with an open session.
#[derive(Debug)]
pub struct Desk {
    /// Its node.
    pub node: Node,
    /// Its name.
    pub name: ModuleName,
    /// What its evidence proved.
    pub verified: Verified,
    session: OwnerSession,
}

impl Desk {
    /// Attests a module, judges its evidence, opens a session.
    ///
    /// # Errors
    /// [`ExecError::Platform`] when the evidence is refused; [`ExecError::Refused`], [`ExecError::Session`],
    /// [`ExecError::Node`].
    pub async fn open(
        node: &Node, name: ModuleName, platform: &dyn OwnerPlatform, (measurement, policy): (&[u8], &VerifyPolicy),
        owner: &OwnerIdentity,
    ) -> Result<Self, ExecError> {
        let challenge = Challenge(random()?);
        let entered = node.enter(&name, Op::Attest, challenge.0.to_vec()).await?;
        if entered.status != EntryStatus::Accepted.code() {
            return Err(ExecError::refused(&name.module, "attest", entered.status));
        }
        let verified = platform.verify(&entered.reply, challenge, measurement, policy)?;
        let session_error = |source| ExecError::Session { module: name.module.clone(), source };
        let SessionStart::Agreement { transcript } = &verified.start else {
            return Err(session_error(veritee_session::SessionError::MalformedTranscript));
        };
        let application = ApplicationId(name.application);
        let (input, session) = agree(transcript, application, &Signer::Owner(owner), random()?, CipherId::Aes128Gcm)
            .map_err(session_error)?;
        let entered = node.enter(&name, Op::Open, input).await?;
        if entered.status != EntryStatus::Accepted.code() {
            return Err(ExecError::refused(&name.module, "open (is it another owner's?)", entered.status));
        }
        Ok(Self { node: node.clone(), name, verified, session })
    }

    /// This life of the module.
    #[must_use]
    pub const fn activation(&self) -> ActivationId {
        self.verified.activation
    }

    /// Sends a request until its answer comes. It may be executed once only, however often it is sent.
    async fn send(&mut self, request: &SealedRequest) -> Result<Answer, ExecError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let entered = self.node.enter(&self.name, Op::Control, request.bytes.clone()).await;
            let entered = match entered {
                Ok(entered) => entered,
                Err(error) if tries >= TRIES => return Err(error),
                Err(_) => continue,
            };
            if entered.status != EntryStatus::Accepted.code() {
                return Err(ExecError::refused(&self.name.module, request.kind.word(), entered.status));
            }
            let answer = self.session.answer(request, &entered.reply);
            return answer.map_err(|source| ExecError::Session { module: self.name.module.clone(), source });
        }
    }

    /// Asks with a fixed body; a refusal is an error.
    ///
    /// # Errors
    /// [`ExecError::Control`] when the module refuses; [`ExecError::Node`], [`ExecError::Session`].
    pub async fn ask<L: Layout>(&mut self, kind: ControlKind, body: &L) -> Result<Answer, ExecError> {
        let request = self.session.request(kind, body);
        self.done(request).await
    }

    async fn done(&mut self, request: SealedRequest) -> Result<Answer, ExecError> {
        let answer = self.send(&request).await?;
        if answer.result == ControlResult::Done {
            return Ok(answer);
        }
        let module = self.name.module.clone();
        Err(ExecError::Control { module, kind: answer.kind, result: answer.result })
    }

    /// Ends the module.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn disable(&mut self) -> Result<(), ExecError> {
        let request = self.session.request_bytes(ControlKind::Disable, &[]);
        self.done(request).await.map(|_| ())
    }

    /// Gives a key; the answer says which epoch that ended, and where.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn set_key(&mut self, set: &SetKey) -> Result<EpochEnd, ExecError> {
        let answer = self.ask(ControlKind::SetKey, set).await?;
        self.end_of(&answer)
    }

    /// Frees a row.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn remove(&mut self, row: &RowName) -> Result<EpochEnd, ExecError> {
        let answer = self.ask(ControlKind::Remove, row).await?;
        self.end_of(&answer)
    }

    fn end_of(&self, answer: &Answer) -> Result<EpochEnd, ExecError> {
        EpochEnd::decode(&answer.body).map_err(|_| ExecError::Session {
            module: self.name.module.clone(),
            source: veritee_session::SessionError::MalformedAnswer,
        })
    }

    /// Reads the sealed status.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn status(&mut self) -> Result<Status, ExecError> {
        let mut pages = StatusPages::default();
        loop {
            let page = pages.request();
            let answer = self.ask(ControlKind::Status, &page).await?;
            let taken = pages.take(&answer);
            let taken = taken.map_err(|source| ExecError::Session { module: self.name.module.clone(), source });
            if let Some(status) = taken? {
                return Ok(status);
            }
        }
    }
}
