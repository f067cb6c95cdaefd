//! One module, as its owner deals with it: attest, open, ask. A driver is dealt with through its provider.

use crate::fleet::Node;
use crate::lent::Lent;
use crate::provider::Granted;
use crate::{ExecError, random};
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, Challenge, CipherId, ControlKind, ControlResult, Epoch, Freshness,
    Lifecycle, Op, OperationId, RowIndex, Status as EntryStatus,
};
use veritee_node_protocol::{FailureKind, ModuleName};
use veritee_platform::{Expected, OwnerPlatform, SessionStart, Verified, VerifyPolicy};
use veritee_session::keys::ConfirmRequest;
use veritee_session::{Answer, OwnerSession, SealedRequest, Signer, Status, StatusPages, agree};
use veritee_wire::Layout;
use veritee_wire::layout::{
    Delegation, EpochEnd, OperationName, RowName, SaveRequest, SealHead, SerialFloor, SetKey, StateChunk,
};

/// How often a request is repeated when its answer does not come.
const TRIES: u32 = 3;
/// The application's short name in events. One application an activation, so one name is enough; drivers serve several,
/// and their provider says which name is whose.
pub const HANDLE: ApplicationHandle = ApplicationHandle(1);
/// Bytes of a chunk of state: a control message has room for it, with what surrounds it.
const CHUNK_BYTES: usize = 2048;

/// What is known of a module whose evidence was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// This life of it.
    pub activation: ActivationId,
    /// Its measurement.
    pub measurement: Vec<u8>,
    /// Unprotected or simulated.
    pub simulated: bool,
    /// Where the activation's uniqueness comes from.
    pub freshness: Freshness,
    /// Who signed its image, where evidence says so.
    pub signer: Option<Vec<u8>>,
    /// What is not guaranteed although it was accepted.
    pub caveat: Option<&'static str>,
    /// A driver: its provider judged its evidence, and states this.
    pub by_provider: bool,
}

/// A module that can be asked.
#[derive(Debug)]
pub struct Desk {
    /// Its node.
    pub node: Node,
    /// Its name.
    pub name: ModuleName,
    /// What was proved of it.
    pub attested: Attested,
    /// The application's short name at this module.
    pub handle: ApplicationHandle,
    /// The epochs of the delegation by which the session was opened.
    covers: Option<(Epoch, Epoch)>,
    peer: Peer,
}

/// Who answers.
#[derive(Debug)]
enum Peer {
    /// The module itself, in a control session.
    Module(Box<OwnerSession>),
    /// The provider of a driver.
    Provider(Lent),
}

/// Has a module make evidence over a fresh challenge.
pub(crate) async fn attest(node: &Node, name: &ModuleName) -> Result<(Challenge, Vec<u8>), ExecError> {
    let challenge = Challenge(random()?);
    let entered = node.enter(name, Op::Attest, challenge.0.to_vec()).await?;
    if entered.status == EntryStatus::Accepted.code() {
        Ok((challenge, entered.reply))
    } else {
        Err(ExecError::refused(&name.module, "attest", entered.status))
    }
}

impl Desk {
    /// Attests a module, judges its evidence, opens a session.
    ///
    /// # Errors
    /// [`ExecError::Platform`] when the evidence is refused; [`ExecError::Refused`], [`ExecError::Revoked`],
    /// [`ExecError::Session`], [`ExecError::Node`].
    pub async fn open(
        node: &Node, name: ModuleName, platform: &dyn OwnerPlatform, (expected, policy): (Expected<'_>, &VerifyPolicy),
        signer: Signer<'_>,
    ) -> Result<Self, ExecError> {
        let (challenge, evidence) = attest(node, &name).await?;
        let verified = platform.verify(&evidence, challenge, expected, policy);
        let Verified { activation, measurement, simulated, freshness, signer: signed_by, caveat, start } =
            verified.map_err(|source| ExecError::Evidence { module: name.module.clone(), source })?;
        let session = match start {
            SessionStart::Agreement { transcript } => agree_with(node, &name, &transcript, signer).await?,
            SessionStart::Symmetric { known, cipher } => known.session(cipher),
        };
        let attested =
            Attested { activation, measurement, simulated, freshness, signer: signed_by, caveat, by_provider: false };
        let covers = delegation_of(signer).map(|delegation| (delegation.epoch_first, delegation.epoch_last));
        let peer = Peer::Module(Box::new(session));
        Ok(Self { node: node.clone(), name, attested, handle: HANDLE, covers, peer })
    }

    /// Takes a driver from its provider.
    ///
    /// # Errors
    /// [`ExecError::Provider`] when he refuses or cannot be reached.
    pub async fn lend(node: &Node, name: ModuleName, lent: Lent, application: &str) -> Result<Self, ExecError> {
        let granted = lent.take(application, &name.module).await?;
        Ok(Self::of_driver(node, name, lent, granted))
    }

    /// A driver that this application has; takes nothing.
    ///
    /// # Errors
    /// [`ExecError::NotLent`]; [`ExecError::ProviderUnreached`].
    pub async fn look(node: &Node, name: ModuleName, lent: Lent) -> Result<Self, ExecError> {
        let granted = lent.look().await?;
        Ok(Self::of_driver(node, name, lent, granted))
    }

    fn of_driver(node: &Node, name: ModuleName, lent: Lent, granted: Granted) -> Self {
        let attested = Attested {
            activation: ActivationId(granted.activation),
            measurement: granted.measurement,
            simulated: granted.simulated,
            freshness: Freshness::try_from(granted.freshness).unwrap_or(Freshness::None),
            signer: None,
            caveat: None,
            by_provider: true,
        };
        let handle = ApplicationHandle(granted.handle);
        Self { node: node.clone(), name, attested, handle, covers: None, peer: Peer::Provider(lent) }
    }

    /// This life of the module.
    #[must_use]
    pub const fn activation(&self) -> ActivationId {
        self.attested.activation
    }

    /// Whether the module is a driver, which its provider controls.
    #[must_use]
    pub const fn is_driver(&self) -> bool {
        matches!(self.peer, Peer::Provider(_))
    }

    /// Asks with a fixed body; a refusal is an error.
    async fn ask<L: Layout>(&mut self, kind: ControlKind, body: &L) -> Result<Answer, ExecError> {
        let mut bytes = vec![0; L::BYTES];
        body.encode(&mut bytes).expect("the buffer has the layout's length");
        self.ask_bytes(kind, &bytes).await
    }

    async fn ask_bytes(&mut self, kind: ControlKind, body: &[u8]) -> Result<Answer, ExecError> {
        let module = self.name.module.clone();
        let Peer::Module(session) = &mut self.peer else { return Err(ExecError::NotOurs { module, kind }) };
        let request = session.request_bytes(kind, body);
        let answer = send(&self.node, &self.name, session, &request).await?;
        match answer.result {
            ControlResult::Done => Ok(answer),
            result => Err(ExecError::Control { module, kind, result }),
        }
    }

    /// Ends the module.
    ///
    /// # Errors
    /// [`ExecError::Control`] when the module refuses; [`ExecError::Node`], [`ExecError::Session`];
    /// [`ExecError::NotOurs`] for a driver.
    pub async fn disable(&mut self) -> Result<(), ExecError> {
        self.ask_bytes(ControlKind::Disable, &[]).await.map(|_| ())
    }

    /// Makes a new module run, and one that rests go on; one that runs, and a driver, are left as they are.
    ///
    /// # Errors
    /// As [`disable`](Self::disable), but for drivers; [`ExecError::HalfRestored`].
    pub async fn activate(&mut self) -> Result<(), ExecError> {
        if self.is_driver() {
            return Ok(());
        }
        let head = self.status().await?.head;
        if head.lifecycle != Lifecycle::New {
            return self.go_on().await;
        }
        // Whole, it is what an interrupted restore wanted.
        self.operate(ControlKind::Activate, head.operation).await.map_err(|error| match error {
            ExecError::Control { module, result: ControlResult::NoState, .. } => ExecError::HalfRestored { module },
            error => error,
        })
    }

    /// Asks for something that names an operation.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn operate(&mut self, kind: ControlKind, operation: OperationId) -> Result<(), ExecError> {
        self.ask(kind, &OperationName { operation }).await.map(|_| ())
    }

    /// Has a module refuse delegations with lower serials from now on.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn raise_serial(&mut self, serial: u64) -> Result<(), ExecError> {
        self.ask(ControlKind::RaiseSerial, &SerialFloor { serial }).await.map(|_| ())
    }

    /// Ends the rest of a module, under whatever operation it rests.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn go_on(&mut self) -> Result<(), ExecError> {
        let head = self.status().await?.head;
        match head.lifecycle {
            Lifecycle::Freezing | Lifecycle::Frozen => self.operate(ControlKind::Thaw, head.operation).await,
            Lifecycle::New | Lifecycle::Active | Lifecycle::Disabled => Ok(()),
        }
    }

    /// Has a module at rest seal its state; gives how.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn seal(&mut self, head: &SealHead) -> Result<SealHead, ExecError> {
        let answer = self.ask(ControlKind::Seal, head).await?;
        let sealed = SealHead::decode(&answer.body).map_err(|_| self.malformed())?;
        let fits = (sealed.subject, sealed.counter, sealed.policy) == (head.subject, head.counter, head.policy);
        if fits { Ok(sealed) } else { Err(self.malformed()) }
    }

    /// Reads the state of a module at rest: sealed, if it was.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn saved(&mut self, operation: OperationId) -> Result<Vec<u8>, ExecError> {
        let mut state = Vec::new();
        loop {
            let offset = u32::try_from(state.len()).map_err(|_| self.malformed())?;
            let answer = self.ask(ControlKind::Save, &SaveRequest { operation, offset }).await?;
            let (chunk, bytes) = StateChunk::decode_front(&answer.body).map_err(|_| self.malformed())?;
            if (chunk.operation, chunk.offset, usize::from(chunk.length)) != (operation, offset, bytes.len()) {
                return Err(self.malformed());
            }
            state.extend_from_slice(bytes);
            if u32::try_from(state.len()).is_ok_and(|length| length >= chunk.total) {
                return Ok(state);
            }
        }
    }

    /// Says how the state is sealed that follows.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn unseal(&mut self, head: &SealHead) -> Result<(), ExecError> {
        self.ask(ControlKind::Unseal, head).await.map(|_| ())
    }

    /// Writes the state of a new module.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn restore(&mut self, operation: OperationId, state: &[u8]) -> Result<(), ExecError> {
        let total = u32::try_from(state.len()).map_err(|_| self.malformed())?;
        for (at, bytes) in state.chunks(CHUNK_BYTES).enumerate() {
            let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            let chunk = StateChunk { operation, offset: number(at * CHUNK_BYTES), total, length };
            let mut body = vec![0; StateChunk::BYTES];
            chunk.encode(&mut body).map_err(|_| self.malformed())?;
            body.extend_from_slice(bytes);
            self.ask_bytes(ControlKind::Restore, &body).await?;
        }
        Ok(())
    }

    /// Gives a key; the answer says which epoch that ended, and where. A driver's proof that it took the key is checked.
    ///
    /// # Errors
    /// [`ExecError::Control`] when the module refuses; [`ExecError::Node`], [`ExecError::Session`],
    /// [`ExecError::Provider`].
    pub async fn set_key(&mut self, set: &SetKey) -> Result<EpochEnd, ExecError> {
        if let Peer::Provider(lent) = &self.peer {
            return lent.set_key(set, self.attested.activation).await;
        }
        let answer = self.ask(ControlKind::SetKey, set).await.map_err(|error| match (error, self.covers) {
            (ExecError::Control { module, result: ControlResult::NotDelegated, .. }, Some(epochs)) => {
                ExecError::EpochNotDelegated { module, epoch: set.epoch, epochs }
            }
            (error, _) => error,
        })?;
        self.end_of(&answer)
    }

    /// Frees a row.
    ///
    /// # Errors
    /// As [`set_key`](Self::set_key).
    pub async fn remove(&mut self, row: &RowName) -> Result<EpochEnd, ExecError> {
        if let Peer::Provider(lent) = &self.peer {
            return lent.remove(row).await;
        }
        let answer = self.ask(ControlKind::Remove, row).await?;
        self.end_of(&answer)
    }

    /// What this driver computes under the key of a row: the proof that it is this application's. For its provider.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn confirm(
        &mut self, row: RowIndex, device: u16, application: ApplicationId,
    ) -> Result<[u8; 16], ExecError> {
        let answer = self.ask(ControlKind::Confirm, &ConfirmRequest { row, device, application }).await?;
        answer.body.try_into().map_err(|_| self.malformed())
    }

    fn malformed(&self) -> ExecError {
        ExecError::Session { module: self.name.module.clone(), source: veritee_session::SessionError::MalformedAnswer }
    }

    fn end_of(&self, answer: &Answer) -> Result<EpochEnd, ExecError> {
        EpochEnd::decode(&answer.body).map_err(|_| self.malformed())
    }

    /// Reads the sealed status; of a driver, the provider's statement.
    ///
    /// # Errors
    /// As [`set_key`](Self::set_key).
    pub async fn status(&mut self) -> Result<Status, ExecError> {
        if let Peer::Provider(lent) = &self.peer {
            return lent.status().await;
        }
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

/// Sends the owner's half of an agreement, or his delegate's.
async fn agree_with(
    node: &Node, name: &ModuleName, transcript: &[u8], signer: Signer<'_>,
) -> Result<OwnerSession, ExecError> {
    let application = ApplicationId(name.application);
    let (input, session) = agree(transcript, application, &signer, random()?, CipherId::Aes128Gcm)
        .map_err(|source| ExecError::Session { module: name.module.clone(), source })?;
    let entered = node.enter(name, Op::Open, input).await?;
    if entered.status == EntryStatus::Accepted.code() {
        return Ok(session);
    }
    // A module says no in one way only. What can be wrong with a delegation but its serial was judged before.
    Err(match delegation_of(signer) {
        Some(delegation) => ExecError::Revoked { module: name.module.clone(), serial: delegation.serial },
        None => ExecError::refused(&name.module, "open (is it another owner's?)", entered.status),
    })
}

/// The delegation by which somebody signs.
fn delegation_of(signer: Signer<'_>) -> Option<Delegation> {
    match signer {
        Signer::Owner(_) => None,
        Signer::Delegate(delegated) => Delegation::decode(&delegated.delegation).ok(),
    }
}

/// Sends a request until its answer comes. It may be executed once only, however often it is sent.
async fn send(
    node: &Node, name: &ModuleName, session: &mut OwnerSession, request: &SealedRequest,
) -> Result<Answer, ExecError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let entered = match node.enter(name, Op::Control, request.bytes.clone()).await {
            Ok(entered) => entered,
            // What the node says no to now, it says no to again.
            Err(error) if tries >= TRIES || error.failure() == Some(FailureKind::Unavailable) => return Err(error),
            Err(_) => continue,
        };
        if entered.status != EntryStatus::Accepted.code() {
            return Err(ExecError::refused(&name.module, request.kind.word(), entered.status));
        }
        let answer = session.answer(request, &entered.reply);
        return answer.map_err(|source| ExecError::Session { module: name.module.clone(), source });
    }
}
