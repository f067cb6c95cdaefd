//! What a node and its modules must refuse, each time with an answer, and without harm.
//!
//! The tool is the attacker here: it has what every event manager has, the bytes, and enters what it likes.

use super::report::{Checks, Kind};
use super::rig::{Evidence, Rig, load, word};
use anyhow::{Result, bail, ensure};
use std::collections::BTreeMap;
use veritee_exec::ExecError;
use veritee_exec::direct::Caller;
use veritee_exec::fleet::{Entered, Node};
use veritee_exec::random;
use veritee_ids::limits::FRAME_HEADER_BYTES;
use veritee_ids::{ApplicationId, Challenge, CipherId, ControlKind, Op, Status};
use veritee_node_client::Identity;
use veritee_node_protocol::{ConnectionFigures, FailureKind, ModuleName, Request};
use veritee_platform::{Expected, SessionStart, VerifyPolicy};
use veritee_session::{OwnerIdentity, OwnerSession, SealedRequest, Signer, StatusPages, agree};

pub(super) async fn run(rig: &Rig, checks: &mut Checks<'_>) {
    checks.take(Kind::Refusals, "an identity that the node does not know", stranger(rig).await);
    checks.take(Kind::Refusals, "a changed image", changed_image(rig).await);
    checks.take(Kind::Refusals, "evidence over another challenge", other_challenge(rig).await);
    checks.take(Kind::Refusals, "evidence under a policy without this platform", strict_policy(rig).await);
    checks.take(Kind::Refusals, "a challenge that is cut or too long", bad_challenge(rig).await);
    checks.take(Kind::Refusals, "a session of another owner or application", other_owner(rig).await);
    checks.take(Kind::Refusals, "changed and replayed control requests", control(rig).await);
    checks.take(Kind::Refusals, "a control request of a session that is over", dead_session(rig).await);
    checks.take(Kind::Refusals, "a forged event", forged(rig).await);
    checks.take(Kind::Refusals, "a truncated event", truncated(rig).await);
    checks.take(Kind::Refusals, "a repeated event, and one ahead of its turn", out_of_turn(rig).await);
    checks.take(Kind::Refusals, "an event of an unknown connection or row", unknown(rig).await);
    checks.take(Kind::Refusals, "an entry that is none, and arguments that are none", bad_entry(rig).await);
    checks.take(Kind::Refusals, "node and module are unharmed", unharmed(rig).await);
}

/// The node does not even hear who is not enrolled.
async fn stranger(rig: &Rig) -> Result<String> {
    match Node::connect(&rig.node.name, &rig.node.address, rig.node.identity, &Identity::generate()?).await {
        Err(ExecError::Node { .. }) => Ok("the handshake fails".to_owned()),
        Err(error) => bail!(error),
        Ok(_) => bail!("a stranger is let in"),
    }
}

/// One bit of the image differs: the node refuses it, or its evidence does not pass.
async fn changed_image(rig: &Rig) -> Result<String> {
    let mut image = std::fs::read(&rig.image.path)?;
    if let Some(last) = image.last_mut() {
        *last ^= 1;
    }
    let name = ModuleName { application: rig.application.0, module: "changed".to_owned() };
    let platform = rig.platform.name().to_owned();
    let loaded = rig.node.tell(Request::Load { name: name.clone(), platform, image, restart: false }, "load").await;
    if let Err(error) = loaded {
        ensure!(error.failure() == Some(FailureKind::BadImage), error);
        return Ok("by the node".to_owned());
    }
    let challenge = Challenge(random()?);
    let entered = rig.node.enter(&name, Op::Attest, challenge.0.to_vec()).await;
    rig.node.tell(Request::Unload { name }, "unload").await?;
    let Ok(entered) = entered else { return Ok("it does not run".to_owned()) };
    match rig.judge(&Evidence { challenge, bytes: entered.reply }) {
        Err(error) => Ok(format!("by the owner: {error}")),
        Ok(_) => bail!("it proves to be the original"),
    }
}

/// A replayed quote, and one for somebody else.
async fn other_challenge(rig: &Rig) -> Result<String> {
    let old = rig.attest().await?;
    let replayed = Evidence { challenge: Challenge(random()?), bytes: old.bytes.clone() };
    let Err(error) = rig.judge(&replayed) else { bail!("replayed evidence is accepted") };
    let mut measurement = rig.image.measurement.clone();
    if let Some(first) = measurement.first_mut() {
        *first ^= 1;
    }
    let expected = Expected { measurement: &measurement, ..rig.expected() };
    let policy = VerifyPolicy {
        allow_simulated: vec![rig.platform.name().to_owned(), simulated(rig)],
        freshness: Vec::new(),
        ..VerifyPolicy::default()
    };
    let other = rig.platform.verify(&old.bytes, old.challenge, expected, &policy);
    ensure!(other.is_err(), "evidence of another image is accepted");
    Ok(error.to_string())
}

fn simulated(rig: &Rig) -> String {
    format!("{}-simulated", rig.platform.name())
}

async fn strict_policy(rig: &Rig) -> Result<String> {
    let evidence = rig.attest().await?;
    if !rig.judge(&evidence)?.simulated {
        return Ok("not needed: it is neither unprotected nor simulated".to_owned());
    }
    match rig.judge_under(&evidence, &VerifyPolicy::default()) {
        Err(error) => Ok(error.to_string()),
        Ok(_) => bail!("an unprotected or simulated platform is accepted without being named"),
    }
}

async fn bad_challenge(rig: &Rig) -> Result<String> {
    let mut tally = Tally::default();
    for length in [0, 15, 17, 4096] {
        tally.refused(rig.node.enter(&rig.far, Op::Attest, vec![0x5a; length]).await)?;
    }
    Ok(tally.to_string())
}

/// The transcript of a fresh attestation; nothing where knowledge of the module's key is the authentication.
async fn transcript(rig: &Rig) -> Result<Option<Vec<u8>>> {
    Ok(match rig.judge(&rig.attest().await?)?.start {
        SessionStart::Agreement { transcript } => Some(transcript),
        SessionStart::Symmetric { .. } => None,
    })
}

/// Whoever is not the owner opens nothing; the owner opens no session of another application, at the latest with its first
/// request.
async fn other_owner(rig: &Rig) -> Result<String> {
    let mut tally = Tally::default();
    let stranger = OwnerIdentity::from_seed(&random()?);
    for (identity, application) in [(&stranger, rig.application), (&rig.owner.identity, ApplicationId(random()?))] {
        let Some(transcript) = transcript(rig).await? else {
            return Ok("not needed: who knows the module's key is its owner".to_owned());
        };
        let signer = Signer::Owner(identity);
        let (input, mut session) = agree(&transcript, application, &signer, random()?, CipherId::Aes128Gcm)?;
        let opened = rig.node.enter(&rig.far, Op::Open, input).await?;
        if application == rig.application || opened.status != Status::Accepted.code() {
            tally.refused(Ok(opened))?;
            continue;
        }
        let request = session.request(ControlKind::Status, &StatusPages::default().request());
        tally.refused(control_entry(rig, &request.bytes).await)?;
    }
    Ok(tally.to_string())
}

/// A session whose requests are in our hands.
async fn session(rig: &Rig) -> Result<OwnerSession> {
    match rig.judge(&rig.attest().await?)?.start {
        SessionStart::Symmetric { known, cipher } => Ok(known.session(cipher)),
        SessionStart::Agreement { transcript } => {
            let signer = Signer::Owner(&rig.owner.identity);
            let (input, session) = agree(&transcript, rig.application, &signer, random()?, CipherId::Aes128Gcm)?;
            let entered = rig.node.enter(&rig.far, Op::Open, input).await?;
            ensure!(entered.status == Status::Accepted.code(), "open came to {}", word(entered.status));
            Ok(session)
        }
    }
}

async fn control_entry(rig: &Rig, bytes: &[u8]) -> Result<Entered, ExecError> {
    rig.node.enter(&rig.far, Op::Control, bytes.to_vec()).await
}

/// Asks for the status; gives the request as it was sent, and the answer's bytes.
async fn ask(rig: &Rig, session: &mut OwnerSession) -> Result<(SealedRequest, Vec<u8>)> {
    let request = session.request(ControlKind::Status, &StatusPages::default().request());
    let entered = control_entry(rig, &request.bytes).await?;
    ensure!(entered.status == Status::Accepted.code(), "a request came to {}", word(entered.status));
    session.answer(&request, &entered.reply)?;
    Ok((request, entered.reply))
}

async fn control(rig: &Rig) -> Result<String> {
    let mut tally = Tally::default();
    let mut session = session(rig).await?;
    let (first, _) = ask(rig, &mut session).await?;
    let (last, answer) = ask(rig, &mut session).await?;
    tally.refused(control_entry(rig, &first.bytes).await)?;
    let next = session.request(ControlKind::Status, &StatusPages::default().request());
    for at in 0..next.bytes.len() {
        let mut bytes = next.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        tally.refused(control_entry(rig, &bytes).await)?;
        bytes.truncate(at);
        tally.refused(control_entry(rig, &bytes).await)?;
    }
    // The last one may be repeated: its answer was perhaps lost. It is sealed anew.
    let again = control_entry(rig, &last.bytes).await?;
    ensure!(
        again.status == Status::Accepted.code() && again.reply != answer,
        "a repeated request is not answered anew"
    );
    session.answer(&last, &again.reply)?;
    let entered = control_entry(rig, &next.bytes).await?;
    ensure!(entered.status == Status::Accepted.code(), "the session did not survive");
    Ok(tally.to_string())
}

async fn dead_session(rig: &Rig) -> Result<String> {
    let mut tally = Tally::default();
    let mut old = session(rig).await?;
    ask(rig, &mut old).await?;
    let mut new = session(rig).await?;
    ask(rig, &mut new).await?;
    let request = old.request(ControlKind::Disable, &StatusPages::default().request());
    tally.refused(control_entry(rig, &request.bytes).await)?;
    ask(rig, &mut new).await?;
    Ok(tally.to_string())
}

/// What stood before events of the connection `note` were tried.
struct Before {
    figures: ConnectionFigures,
    noted: u64,
}

impl Before {
    async fn now(rig: &Rig) -> Result<Self> {
        let [_, _, noted] = rig.seen().await?;
        Ok(Self { figures: rig.figures("note").await?, noted })
    }

    /// The module took so many of its owner's events since.
    async fn took(&self, rig: &Rig, events: u64) -> Result<()> {
        let [_, _, noted] = rig.seen().await?;
        ensure!(noted - self.noted == events, "the handler ran {} times instead of {events}", noted - self.noted);
        Ok(())
    }

    /// Holds what the module took and what the node counted since against the answers that were given.
    async fn answers(&self, rig: &Rig, tally: &Tally, events: u64) -> Result<()> {
        self.took(rig, events).await?;
        let now = rig.figures("note").await?;
        let sum = |figures: &ConnectionFigures| figures.refused + figures.gaps + figures.busy + figures.duplicates;
        let refused = sum(&now) - sum(&self.figures);
        ensure!(refused == tally.by_module, "the node counted {refused} refusals, the module gave {}", tally.by_module);
        ensure!(now.accepted - self.figures.accepted == events, "the node counted other events as accepted");
        Ok(())
    }
}

async fn enter(caller: &Caller, frame: Vec<u8>) -> Result<Entered, ExecError> {
    caller.enter(caller.row(), frame, 0).await
}

/// A frame that no bit was changed of is taken.
async fn accepted(caller: &Caller, frame: Vec<u8>) -> Result<()> {
    let entered = enter(caller, frame).await?;
    ensure!(entered.status == Status::Accepted.code(), "a sound event came to {}", word(entered.status));
    Ok(())
}

/// Every byte of a frame counts.
async fn forged(rig: &Rig) -> Result<String> {
    let mut caller = rig.caller("note").await?;
    let before = Before::now(rig).await?;
    let mut tally = Tally::default();
    let sound = caller.seal(&load(1))?;
    // The connection's number is the first field: with another one it is not this connection's to count.
    for at in 2..sound.len() {
        let mut frame = sound.clone();
        frame[at] ^= 1 << (at % 8);
        tally.refused(enter(&caller, frame).await)?;
    }
    accepted(&caller, sound).await?;
    before.answers(rig, &tally, 1).await?;
    Ok(format!("{tally}; then the sound one was accepted"))
}

async fn truncated(rig: &Rig) -> Result<String> {
    let mut caller = rig.caller("note").await?;
    let before = Before::now(rig).await?;
    let mut tally = Tally::default();
    let sound = caller.seal(&load(2))?;
    for length in 0..sound.len() {
        tally.refused(enter(&caller, sound.get(..length).unwrap_or_default().to_vec()).await)?;
    }
    tally.refused(enter(&caller, [&sound[..], &[0, 0]].concat()).await)?;
    accepted(&caller, sound).await?;
    before.answers(rig, &tally, 1).await?;
    Ok(format!("{tally}; then the whole one was accepted"))
}

async fn out_of_turn(rig: &Rig) -> Result<String> {
    let mut caller = rig.caller("note").await?;
    let before = Before::now(rig).await?;
    let mut tally = Tally::default();
    let (first, second, third) = (caller.seal(&load(3))?, caller.seal(&load(4))?, caller.seal(&load(5))?);
    let ahead = enter(&caller, second.clone()).await?;
    ensure!(
        (ahead.status, ahead.value) == (Status::Gap.code(), 0),
        "an event ahead of its turn: {}",
        word(ahead.status)
    );
    tally.refused(Ok(ahead))?;
    accepted(&caller, first.clone()).await?;
    let again = enter(&caller, first).await?;
    ensure!(again.status == Status::Duplicate.code(), "a repeated event: {}", word(again.status));
    tally.refused(Ok(again))?;
    accepted(&caller, second).await?;
    // A later epoch of the slot ends this one.
    drop(caller);
    let caller = rig.caller("note").await?;
    let old = enter(&caller, third).await?;
    ensure!(old.status == Status::Refused.code(), "an event of a dead epoch: {}", word(old.status));
    tally.refused(Ok(old))?;
    before.answers(rig, &tally, 2).await?;
    Ok(tally.to_string())
}

async fn unknown(rig: &Rig) -> Result<String> {
    let mut caller = rig.caller("note").await?;
    let before = Before::now(rig).await?;
    let mut tally = Tally::default();
    let sound = caller.seal(&load(6))?;
    for row in (0..16).chain([255, 0x7fff, 0xffff]).filter(|row| *row != caller.row()) {
        tally.refused(caller.enter(row, sound.clone(), 0).await)?;
    }
    for connection in [0_u16, 999, 30_000, u16::MAX] {
        let mut frame = sound.clone();
        frame.splice(..2, connection.to_le_bytes());
        tally.refused(enter(&caller, frame).await)?;
    }
    tally.refused(enter(&caller, vec![0xff; FRAME_HEADER_BYTES + 66]).await)?;
    accepted(&caller, sound).await?;
    before.took(rig, 1).await?;
    Ok(tally.to_string())
}

async fn bad_entry(rig: &Rig) -> Result<String> {
    let mut tally = Tally::default();
    for input in [vec![], vec![0], vec![0xff, 0xff], vec![0x5a; 300]] {
        tally.refused(rig.node.enter(&rig.far, Op::Entry, input).await)?;
    }
    Ok(tally.to_string())
}

async fn unharmed(rig: &Rig) -> Result<String> {
    rig.lives().await?;
    rig.judge(&rig.attest().await?)?;
    let mut caller = rig.caller("echo").await?;
    let reply = caller.request(&load(7), std::time::Duration::from_secs(10)).await?;
    ensure!(reply.is_ok_and(|reply| reply.starts_with(&load(7))), "it does not do its work any more");
    Ok("it lives, proves itself and answers".to_owned())
}

/// Answers to what must be refused.
#[derive(Default)]
struct Tally {
    answers: BTreeMap<&'static str, u64>,
    /// Those of the module itself; the rest the node turned away at its door.
    by_module: u64,
}

impl Tally {
    /// Takes an answer; silence, a death and acceptance are failures.
    fn refused(&mut self, answer: Result<Entered, ExecError>) -> Result<()> {
        let word = match answer {
            Ok(entered) if entered.status == Status::Accepted.code() => bail!("it was accepted"),
            Ok(entered) => {
                Status::try_from(entered.status).map_err(|_| anyhow::anyhow!("an unknown status"))?;
                self.by_module += 1;
                word(entered.status)
            }
            Err(error) if error.failure() == Some(FailureKind::Malformed) => "turned away by the node",
            Err(error) => bail!(error),
        };
        *self.answers.entry(word).or_default() += 1;
        Ok(())
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let answers: Vec<String> = self.answers.iter().map(|(word, count)| format!("{count} {word}")).collect();
        f.write_str(&answers.join(", "))
    }
}
