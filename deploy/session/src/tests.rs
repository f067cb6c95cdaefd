//! Sessions with the real core, over a host that loses, repeats, delays and forges.

use crate::identity::Grant;
use crate::keys::EpochRecord;
use crate::{
    Answer, Delegated, Kdf, KeySource, OwnerIdentity, OwnerRoot, OwnerSession, SealedRequest, SessionError, Signer,
    StatusPages, Symmetric, agree,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use veritee_conformance::Subject;
use veritee_conformance::desk::take_apart;
use veritee_conformance::subjects::InProcess;
use veritee_ids::{
    ActivationId, ApplicationId, CipherId, ConnectionId, ControlKind, ControlResult, Counter, Direction, Epoch,
    Lifecycle, Op, OperationId, Role, RowIndex, SessionId, Status,
};
use veritee_seal::Secret;
use veritee_wire::Layout;
use veritee_wire::layout::{ControlAnswer, OperationName, RowStatus, StatusHead, StatusRequest, Transcript};

const APPLICATION: ApplicationId = ApplicationId([9; 16]);
const CIPHER: CipherId = CipherId::Aes128Gcm;
const KEY: [u8; 16] = [0x42; 16];
const ACTIVATE: OperationName = OperationName { operation: OperationId([0; 16]) };
const FREEZE: OperationName = OperationName { operation: OperationId([3; 16]) };

/// The owner whose key the probe has measured.
fn owner() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[7; 32])
}

fn transcript(module: &mut InProcess, challenge: u8) -> Vec<u8> {
    let taken = take_apart(&module.enter(Op::Attest, &[challenge; 16]));
    assert_eq!(taken.result.status, Status::Accepted);
    taken.reply
}

/// Opens a session as an owner does, on a platform with agreement.
fn open(module: &mut InProcess, challenge: u8) -> OwnerSession {
    let transcript = transcript(module, challenge);
    let (input, session) = agree(&transcript, APPLICATION, &Signer::Owner(&owner()), [challenge; 32], CIPHER).unwrap();
    assert_eq!(take_apart(&module.enter(Op::Open, &input)).result.status, Status::Accepted);
    session
}

fn start() -> (InProcess, OwnerSession) {
    let mut module = InProcess::new(None);
    let session = open(&mut module, 1);
    (module, session)
}

/// The module's sealed answer; `None` when it refuses.
fn ask(module: &mut InProcess, request: &SealedRequest) -> Option<Vec<u8>> {
    let taken = take_apart(&module.enter(Op::Control, &request.bytes));
    (taken.result.status == Status::Accepted).then_some(taken.reply)
}

fn answered(module: &mut InProcess, session: &mut OwnerSession, request: &SealedRequest) -> Answer {
    let bytes = ask(module, request).expect("the session is current");
    session.answer(request, &bytes).expect("an authentic answer")
}

fn status(module: &mut InProcess, session: &mut OwnerSession) -> crate::Status {
    let mut pages = StatusPages::default();
    loop {
        let request = session.request(ControlKind::Status, &pages.request());
        if let Some(status) = pages.take(&answered(module, session, &request)).unwrap() {
            return status;
        }
    }
}

#[test]
fn a_session_asks_and_is_answered() {
    let (mut module, mut session) = start();
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    let answer = answered(&mut module, &mut session, &request);
    assert_eq!((answer.kind, answer.result), (ControlKind::Activate, ControlResult::Done));
    let status = status(&mut module, &mut session);
    assert_eq!(status.head.lifecycle, Lifecycle::Active);
    assert_eq!((status.head.application, status.head.last_session), (APPLICATION, session.id()));
    assert!(status.rows.is_empty());
}

#[test]
fn a_request_whose_answer_was_lost_is_repeated_and_means_the_same() {
    let (mut module, mut session) = start();
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    let lost = ask(&mut module, &request).unwrap();
    let again = ask(&mut module, &request).unwrap();
    assert_ne!(lost, again, "each answer is sealed under a number of its own");
    assert_eq!(session.answer(&request, &again).unwrap().result, ControlResult::Done);
    let frozen = session.request(ControlKind::Freeze, &FREEZE);
    assert_eq!(answered(&mut module, &mut session, &frozen).result, ControlResult::Done);
    assert_eq!(ask(&mut module, &request), None, "an older request is not executed again");
    assert_ne!(status(&mut module, &mut session).head.lifecycle, Lifecycle::Active);
}

#[test]
fn a_stale_answer_is_refused() {
    let (mut module, mut session) = start();
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    let [first, second, third] = [(); 3].map(|()| ask(&mut module, &request).unwrap());
    assert!(session.answer(&request, &second).is_ok(), "a lost answer is skipped");
    for stale in [&first, &second] {
        assert_eq!(session.answer(&request, stale), Err(SessionError::Unauthentic));
    }
    assert!(session.answer(&request, &third).is_ok());
}

#[test]
fn a_late_answer_to_another_request_is_not_taken_for_this_one() {
    let (mut module, mut session) = start();
    let first = session.request(ControlKind::Activate, &ACTIVATE);
    let early = ask(&mut module, &first).unwrap();
    let late = ask(&mut module, &first).unwrap();
    session.answer(&first, &early).unwrap();
    let second = session.request(ControlKind::Activate, &ACTIVATE);
    let mixed = SessionError::OtherRequest { expected: second.counter.0, actual: first.counter.0 };
    assert_eq!(session.answer(&second, &late), Err(mixed));
    answered(&mut module, &mut session, &second);
}

#[test]
fn an_answer_of_another_kind_is_not_taken() {
    let (mut module, mut session) = start();
    let mut request = session.request(ControlKind::Activate, &ACTIVATE);
    let bytes = ask(&mut module, &request).unwrap();
    request.kind = ControlKind::Freeze;
    assert!(matches!(session.answer(&request, &bytes), Err(SessionError::OtherRequest { .. })));
}

#[test]
fn an_answer_sealed_for_another_session_is_refused() {
    let (mut module, mut session) = start();
    let (mut other_module, mut other_session) = start();
    assert_ne!(session.id(), other_session.id());
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    let other_request = other_session.request(ControlKind::Activate, &ACTIVATE);
    let mut foreign = ask(&mut other_module, &other_request).unwrap();
    assert_eq!(session.answer(&request, &foreign), Err(SessionError::Unauthentic));
    foreign[..session.id().0.len()].copy_from_slice(&session.id().0);
    assert_eq!(session.answer(&request, &foreign), Err(SessionError::Unauthentic), "its name is not enough");
    answered(&mut module, &mut session, &request);
}

#[test]
fn a_session_that_was_replaced_is_over() {
    let (mut module, mut old) = start();
    let request = old.request(ControlKind::Activate, &ACTIVATE);
    answered(&mut module, &mut old, &request);
    let mut new = open(&mut module, 2);
    assert_ne!(old.id(), new.id());
    assert_eq!(status(&mut module, &mut new).head.last_session, old.id(), "it knows what the old one did");
    let request = old.request(ControlKind::Activate, &ACTIVATE);
    assert_eq!(ask(&mut module, &request), None);
}

#[test]
fn a_request_that_was_changed_on_the_way_is_refused() {
    let (mut module, mut session) = start();
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    for at in 0..request.bytes.len() {
        let mut changed = request.clone();
        changed.bytes[at] ^= 1;
        assert_eq!(ask(&mut module, &changed), None, "byte {at}");
    }
    answered(&mut module, &mut session, &request);
}

#[test]
fn an_answer_that_was_changed_on_the_way_is_refused_and_the_true_one_still_opens() {
    let (mut module, mut session) = start();
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    let bytes = ask(&mut module, &request).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let refused = session.answer(&request, &changed).expect_err("it is not authentic");
        assert!(matches!(refused, SessionError::Unauthentic | SessionError::MalformedAnswer), "byte {at}");
    }
    for length in 0..bytes.len() {
        assert!(session.answer(&request, &bytes[..length]).is_err(), "cut to {length}");
    }
    let shortest = ControlAnswer::BYTES + veritee_ids::limits::TAG_BYTES;
    assert_eq!(session.answer(&request, &bytes[..shortest - 1]), Err(SessionError::MalformedAnswer));
    assert!(session.answer(&request, &bytes).is_ok(), "a forged number costs the true answer nothing");
}

#[test]
fn counters_are_never_used_twice() {
    let (mut module, mut session) = start();
    let mut seen = BTreeSet::new();
    for round in 0..20_u64 {
        let request = session.request(ControlKind::Status, &StatusRequest { first_row: RowIndex(0) });
        assert_eq!(request.counter, Counter(round));
        assert!(seen.insert(request.bytes.clone()), "equal requests do not look equal");
        if round % 3 == 0 {
            assert!(session.answer(&request, b"nonsense").is_err());
        }
        answered(&mut module, &mut session, &request);
    }
}

#[test]
fn a_session_on_a_symmetric_platform_talks_as_well() {
    let mut module = InProcess::new(Some(KEY));
    let evidence = transcript(&mut module, 1);
    let (transcript, proof) = evidence.split_at(Transcript::BYTES);
    let known = Symmetric::new(Kdf::HkdfSha256, &Secret::new(KEY), transcript).unwrap();
    assert_eq!(known.proof().expose(), proof);
    let mut session = known.session(CIPHER);
    let request = session.request(ControlKind::Activate, &ACTIVATE);
    assert_eq!(answered(&mut module, &mut session, &request).result, ControlResult::Done);

    let wrong = Symmetric::new(Kdf::HkdfSha256, &Secret::new([0x43; 16]), transcript).unwrap();
    assert_ne!(wrong.proof().expose(), proof);
    let mut stranger = wrong.session(CIPHER);
    let request = stranger.request(ControlKind::Activate, &ACTIVATE);
    assert_eq!(ask(&mut module, &request), None);
}

#[test]
fn malformed_transcripts_are_refused() {
    let mut module = InProcess::new(None);
    let good = transcript(&mut module, 1);
    let refused = |transcript: &[u8]| agree(transcript, APPLICATION, &Signer::Owner(&owner()), [1; 32], CIPHER).err();
    let malformed = Some(SessionError::MalformedTranscript);
    assert_eq!(refused(&good), None);
    for length in 0..good.len() {
        assert_eq!(refused(&good[..length]), malformed, "cut to {length}");
    }
    assert_eq!(refused(&[&good[..], &[0]].concat()), malformed);
    for at in 0..4 {
        let mut other = good.clone();
        other[at] ^= 1;
        assert_eq!(refused(&other), malformed, "another label or version, byte {at}");
    }
    let mut low = good;
    low[Transcript::BYTES..].fill(0);
    assert_eq!(refused(&low), Some(SessionError::BadAgreement));
}

#[test]
fn malformed_transcripts_of_symmetric_platforms_are_refused() {
    let mut module = InProcess::new(Some(KEY));
    let evidence = transcript(&mut module, 1);
    let good = &evidence[..Transcript::BYTES];
    let secret = Secret::new(KEY);
    let refused = |transcript: &[u8]| Symmetric::new(Kdf::HkdfSha256, &secret, transcript).err();
    let malformed = Some(SessionError::MalformedTranscript);
    assert_eq!(refused(good), None);
    assert_eq!(refused(&evidence), malformed);
    assert_eq!(refused(&good[1..]), malformed);
    for at in 0..4 {
        let mut other = good.to_vec();
        other[at] ^= 1;
        assert_eq!(refused(&other), malformed, "another label or version, byte {at}");
    }
}

#[test]
fn only_the_owner_and_whom_he_delegates_get_in() {
    let delegate = OwnerIdentity::from_seed(&[8; 32]);
    let grant = Grant {
        application: APPLICATION,
        delegate: delegate.public(),
        epochs: (Epoch(1), Epoch(9)),
        serial: 1,
        not_after: u64::MAX,
    };
    let mut module = InProcess::new(None);
    let mut open_as = |signer: &Signer<'_>| {
        let transcript = transcript(&mut module, 1);
        let (input, _) = agree(&transcript, APPLICATION, signer, [1; 32], CIPHER).unwrap();
        take_apart(&module.enter(Op::Open, &input)).result.status
    };
    assert_eq!(open_as(&Signer::Owner(&delegate)), Status::Refused, "without a delegation");
    let delegation = owner().delegate(&grant);
    let delegated = Delegated { identity: delegate.clone(), delegation };
    assert_eq!(open_as(&Signer::Delegate(&delegated)), Status::Accepted);
    let own = Delegated { identity: delegate.clone(), delegation: delegate.delegate(&grant) };
    assert_eq!(open_as(&Signer::Delegate(&own)), Status::Refused, "nobody delegates to himself");
    let stolen = Delegated { identity: OwnerIdentity::from_seed(&[9; 32]), ..delegated };
    assert_eq!(open_as(&Signer::Delegate(&stolen)), Status::Refused, "a delegation names its delegate");
}

#[test]
fn a_delegate_does_not_use_what_is_over_or_not_his() {
    let delegate = OwnerIdentity::from_seed(&[8; 32]);
    let grant = Grant {
        application: APPLICATION,
        delegate: delegate.public(),
        epochs: (Epoch(1), Epoch(9)),
        serial: 1,
        not_after: 100,
    };
    let delegated = Delegated { identity: delegate, delegation: owner().delegate(&grant) };
    assert_eq!(delegated.check(APPLICATION, 100), Ok(()));
    assert_eq!(delegated.check(APPLICATION, 101), Err(SessionError::DelegationOver { not_after: 100 }));
    let other = Err(SessionError::OtherDelegation);
    assert_eq!(delegated.check(ApplicationId([0xee; 16]), 100), other);
    assert_eq!(Delegated { identity: owner(), ..delegated.clone() }.check(APPLICATION, 100), other);
    let cut = delegated.delegation[1..].to_vec();
    assert_eq!(Delegated { delegation: cut, ..delegated }.check(APPLICATION, 100), other);
}

fn head(rows: u16, next_row: u16, change: u16) -> StatusHead {
    StatusHead {
        activation: ActivationId([1; 16]),
        application: APPLICATION,
        operation: OperationId([0; 16]),
        last_session: SessionId([2; 16]),
        last_counter: Counter(0),
        malformed: 0,
        unconnected: 0,
        lifecycle: Lifecycle::Active,
        last_kind: 0,
        last_result: 0,
        change,
        epoch_floor: Epoch(0),
        next_row: RowIndex(next_row),
        rows,
    }
}

fn row(row: u16) -> RowStatus {
    RowStatus {
        row: RowIndex(row),
        connection: ConnectionId(row),
        role: Role::Sender,
        cipher: CIPHER,
        state: 1,
        epoch: Epoch(1),
        pending_epoch: Epoch(0),
        next: Counter(5),
        closing: Counter(0),
    }
}

fn page(head: &StatusHead, rows: &[RowStatus]) -> Answer {
    let mut body = crate::encode(head);
    rows.iter().for_each(|row| body.extend(crate::encode(row)));
    Answer { kind: ControlKind::Status, result: ControlResult::Done, body }
}

#[test]
fn a_status_is_collected_over_pages() {
    let mut pages = StatusPages::default();
    assert_eq!(pages.request().first_row, RowIndex(0));
    assert_eq!(pages.take(&page(&head(2, 4, 7), &[row(0), row(3)])), Ok(None));
    assert_eq!(pages.request().first_row, RowIndex(4));
    let status = pages.take(&page(&head(1, 0xffff, 7), &[row(5)])).unwrap().expect("the last page");
    assert_eq!(status.rows, [row(0), row(3), row(5)]);
}

#[test]
fn a_status_starts_over_when_the_table_moved() {
    let mut pages = StatusPages::default();
    assert_eq!(pages.take(&page(&head(1, 4, 7), &[row(0)])), Ok(None));
    assert_eq!(pages.take(&page(&head(1, 0xffff, 8), &[row(5)])), Ok(None));
    assert_eq!(pages.request().first_row, RowIndex(0));
    let status = pages.take(&page(&head(1, 0xffff, 8), &[row(5)])).unwrap().expect("a whole status");
    assert_eq!(status.rows, [row(5)], "nothing of the earlier table is in it");
}

#[test]
fn malformed_pages_are_refused_and_change_nothing() {
    let mut pages = StatusPages::default();
    let good = page(&head(2, 0xffff, 7), &[row(0), row(1)]);
    for length in 0..good.body.len() {
        let cut = Answer { body: good.body[..length].to_vec(), ..good.clone() };
        assert_eq!(pages.take(&cut), Err(SessionError::MalformedAnswer), "cut to {length}");
    }
    let long = Answer { body: [&good.body[..], &[0]].concat(), ..good.clone() };
    assert_eq!(pages.take(&long), Err(SessionError::MalformedAnswer));
    assert_eq!(pages.take(&good).unwrap().expect("a whole status").rows.len(), 2);
}

#[test]
fn connection_keys_differ_in_every_part_of_their_origin() {
    let record = EpochRecord {
        application: APPLICATION,
        connection: ConnectionId(1),
        epoch: Epoch(1),
        salt: [1; 32],
        source: ActivationId([1; 16]),
        target: ActivationId([2; 16]),
    };
    let root = OwnerRoot::new([5; 32]);
    let records = [
        record,
        EpochRecord { application: ApplicationId([8; 16]), ..record },
        EpochRecord { connection: ConnectionId(2), ..record },
        EpochRecord { epoch: Epoch(2), ..record },
        EpochRecord { salt: [2; 32], ..record },
        EpochRecord { source: record.target, target: record.source, ..record },
        EpochRecord { target: ActivationId([3; 16]), ..record },
    ];
    let mut keys = BTreeSet::new();
    for record in &records {
        for direction in [Direction::Forward, Direction::Backward] {
            assert!(keys.insert(*root.connection_key(record, direction).expose()), "{record:?} {direction:?}");
        }
    }
    let other = OwnerRoot::new([6; 32]);
    assert!(keys.insert(*other.connection_key(&record, Direction::Forward).expose()));
    let again = root.connection_key(&record, Direction::Forward);
    assert!(!keys.insert(*again.expose()), "the same origin gives the same key");
}

#[test]
fn secrets_are_not_printed() {
    let shown = format!("{:?} {:?}", OwnerRoot::new([0xab; 32]), OwnerIdentity::from_seed(&[0xab; 32]));
    assert_eq!(shown, "OwnerRoot(..) OwnerIdentity(..)");
    let (_, session) = start();
    let shown = format!("{session:?}");
    assert!(!shown.contains("0x") && shown.len() < 400, "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_answers_and_transcripts_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        let (_, mut session) = start();
        let request = session.request(ControlKind::Activate, &ACTIVATE);
        prop_assert!(session.answer(&request, &bytes).is_err());
        let named = [&session.id().0[..], &bytes].concat();
        prop_assert!(session.answer(&request, &named).is_err());
        prop_assert!(agree(&bytes, APPLICATION, &Signer::Owner(&owner()), [1; 32], CIPHER).is_err());
        let arbitrary = Answer { kind: ControlKind::Status, result: ControlResult::Done, body: bytes };
        prop_assert!(StatusPages::default().take(&arbitrary).is_err());
    }

    /// Whatever the host does with answers, the owner takes each at most once, in order, and only for what he asked.
    #[test]
    fn answers_are_taken_once_and_in_order(deliveries in vec((any::<bool>(), any::<prop::sample::Index>()), 1..30)) {
        let (mut module, mut session) = start();
        let mut request = session.request(ControlKind::Activate, &ACTIVATE);
        let mut answers: Vec<(Counter, Vec<u8>)> = Vec::new();
        let mut taken = None;
        for (next, delivered) in deliveries {
            if next && !answers.is_empty() {
                request = session.request(ControlKind::Freeze, &FREEZE);
            }
            answers.push((request.counter, ask(&mut module, &request).expect("the session is current")));
            let index = delivered.index(answers.len());
            let (of, bytes) = &answers[index];
            let fresh = taken.is_none_or(|taken| index > taken);
            match session.answer(&request, bytes) {
                Ok(_) => prop_assert!(fresh && *of == request.counter),
                Err(SessionError::OtherRequest { .. }) => prop_assert!(fresh && *of != request.counter),
                Err(error) => prop_assert!(!fresh && error == SessionError::Unauthentic),
            }
            taken = taken.max(Some(index));
        }
    }
}
