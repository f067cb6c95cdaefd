//! State that is sealed: when, for whom, and what does not open.

use crate::Start;
use crate::desk::{APPLICATION, Desk, Line, NO_OPERATION};
use crate::probe::{ADD, BURST};
use veritee_ids::{
    ApplicationId, CipherId, ControlKind, ControlResult, Counter, Lifecycle, Op, OperationId, PriorEpoch, Role,
    SealPolicy, Status,
};
use veritee_session::{Signer, agree};
use veritee_wire::Layout;
use veritee_wire::layout::{SaveRequest, SealHead, StateChunk};

const ADD_LINE: Line = Line::to(ADD, Role::Receiver);
const SEALING: OperationId = OperationId([5; 16]);
const OPENING: OperationId = OperationId([6; 16]);
/// The sum of a probe that is sealed.
pub const SUM: u32 = 1234;

fn wanted(counter: u64) -> SealHead {
    SealHead {
        operation: SEALING,
        application: ApplicationId([0; 16]),
        subject: [3; 16],
        counter: Counter(counter),
        policy: SealPolicy::Signer,
        name: [0; 34],
        tag: [0; 16],
    }
}

/// A probe at rest that has a sum.
fn resting(start: Start<'_>) -> Desk {
    let mut desk = Desk::active(start);
    desk.connect(&ADD_LINE);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, SUM).result.status, Status::Accepted);
    assert_eq!(desk.name(ControlKind::Freeze, SEALING), ControlResult::Done);
    desk
}

fn seal(desk: &mut Desk, counter: u64) -> Result<SealHead, ControlResult> {
    let answer = desk.ask(ControlKind::Seal, &wanted(counter));
    match answer.result {
        ControlResult::Done => Ok(SealHead::decode(&answer.body).expect("a head")),
        refused => Err(refused),
    }
}

fn saved(desk: &mut Desk) -> Vec<u8> {
    let answer = desk.ask(ControlKind::Save, &SaveRequest { operation: SEALING, offset: 0 });
    let (chunk, state) = StateChunk::decode_front(&answer.body).expect("a chunk");
    assert_eq!((chunk.total, usize::from(chunk.length)), (4, state.len()));
    state.to_vec()
}

/// A sealed state of a probe that has the sum [`SUM`]: its head, and its bytes.
#[must_use]
pub fn sealed(start: Start<'_>, policy: SealPolicy) -> (SealHead, Vec<u8>) {
    let mut desk = resting(start);
    let answer = desk.ask(ControlKind::Seal, &SealHead { policy, ..wanted(7) });
    assert_eq!(answer.result, ControlResult::Done);
    let head = SealHead::decode(&answer.body).expect("a head");
    (SealHead { operation: OPENING, ..head }, saved(&mut desk))
}

/// What a new probe makes of it: the sum that it has then.
///
/// # Errors
/// Why it refuses.
pub fn opened(start: Start<'_>, head: &SealHead, state: &[u8]) -> Result<u32, ControlResult> {
    let mut desk = Desk::start(start);
    assert_eq!(desk.ask(ControlKind::Unseal, head).result, ControlResult::Done);
    match restore(&mut desk, 0, state) {
        ControlResult::Done => {
            assert_eq!(desk.name(ControlKind::Activate, OPENING), ControlResult::Done);
            Ok(sum(&mut desk))
        }
        refused => Err(refused),
    }
}

fn restore(desk: &mut Desk, offset: u32, bytes: &[u8]) -> ControlResult {
    let length = u16::try_from(bytes.len()).expect("short");
    let mut body = vec![0; StateChunk::BYTES];
    let chunk = StateChunk { operation: OPENING, offset, total: 4, length };
    chunk.encode(&mut body).expect("the buffer has the layout's length");
    body.extend_from_slice(bytes);
    let request = desk.session.request_bytes(ControlKind::Restore, &body);
    desk.send(&request).expect("the session is current").0.result
}

fn sum(desk: &mut Desk) -> u32 {
    u32::from_le_bytes(desk.entry(BURST, 0).reply.try_into().expect("the sum"))
}

pub(crate) fn a_state_is_sealed_at_rest_only(start: Start<'_>) {
    let mut desk = Desk::active(start);
    if !desk.seals() {
        // In Rust the answer says so; the core in C does not know the request.
        assert_eq!(desk.name(ControlKind::Freeze, SEALING), ControlResult::Done);
        for kind in [ControlKind::Seal, ControlKind::Unseal] {
            let request = desk.session.request(kind, &wanted(1));
            let answer = desk.send(&request).map(|(answer, _)| answer.result);
            assert!(!matches!(answer, Some(ControlResult::Done)), "{kind:?}: {answer:?}");
            if answer.is_none() {
                desk.reopen([4; 16]);
            }
        }
        assert_eq!(saved(&mut desk), [0; 4], "the state is in clear for its owner");
        assert_eq!(desk.name(ControlKind::Thaw, SEALING), ControlResult::Done);
        return;
    }
    assert_eq!(seal(&mut desk, 1), Err(ControlResult::WrongLifecycle));
    let mut desk = resting(start);
    let other = SealHead { operation: OPENING, ..wanted(1) };
    assert_eq!(desk.ask(ControlKind::Seal, &other).result, ControlResult::WrongOperation);
    let clear = saved(&mut desk);
    assert_eq!(clear, SUM.to_le_bytes());
    let first = seal(&mut desk, 1).expect("it seals");
    assert_eq!((first.counter, first.policy, first.subject), (Counter(1), SealPolicy::Signer, [3; 16]));
    let cipher = saved(&mut desk);
    assert_ne!(cipher, clear);
    desk.reopen([4; 16]);
    assert_eq!(seal(&mut desk, 1), Ok(first), "done again it is the same");
    assert_eq!(saved(&mut desk), cipher);
    let second = seal(&mut desk, 2).expect("it seals");
    assert_ne!(second.name, first.name, "each has a key of its own");
    assert_eq!(desk.status().head.lifecycle, Lifecycle::Frozen);
    // The next rest begins in clear.
    assert_eq!(desk.name(ControlKind::Thaw, SEALING), ControlResult::Done);
    assert_eq!(desk.event(&ADD_LINE, 1, 1, 0).result.status, Status::Accepted);
    assert_eq!(desk.name(ControlKind::Freeze, SEALING), ControlResult::Done);
    assert_eq!(saved(&mut desk), clear);
}

pub(crate) fn sealed_state_comes_back(start: Start<'_>) {
    if !Desk::start(start).seals() {
        return;
    }
    let (head, state) = sealed(start, SealPolicy::Signer);
    let mut new = Desk::start(start);
    assert_eq!(new.ask(ControlKind::Unseal, &head).result, ControlResult::Done);
    let other = SealHead { operation: SEALING, ..head };
    assert_eq!(new.ask(ControlKind::Unseal, &other).result, ControlResult::WrongOperation);
    assert_eq!(new.name(ControlKind::Activate, OPENING), ControlResult::NoState);
    assert_eq!(restore(&mut new, 0, &state[..2]), ControlResult::Done);
    assert_eq!(new.name(ControlKind::Activate, OPENING), ControlResult::NoState);
    assert_eq!(restore(&mut new, 2, &state[2..]), ControlResult::Done);
    // Another session does it again: nothing changes.
    new.reopen([4; 16]);
    assert_eq!(new.ask(ControlKind::Unseal, &head).result, ControlResult::Done);
    assert_eq!(restore(&mut new, 0, &state), ControlResult::Done);
    assert_eq!(new.name(ControlKind::Activate, NO_OPERATION), ControlResult::WrongOperation);
    assert_eq!(new.name(ControlKind::Activate, OPENING), ControlResult::Done);
    assert_eq!(sum(&mut new), SUM);
    assert_eq!(new.ask(ControlKind::Unseal, &head).result, ControlResult::WrongLifecycle);
    // It goes on like any other, and what it seals next is its state of then.
    new.connect(&ADD_LINE);
    assert_eq!(new.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
    assert_eq!(new.name(ControlKind::Freeze, SEALING), ControlResult::Done);
    assert_eq!(saved(&mut new), (SUM + 1).to_le_bytes());
}

pub(crate) fn what_is_not_as_it_was_sealed_does_not_open(start: Start<'_>) {
    if !Desk::start(start).seals() {
        return;
    }
    let (head, state) = sealed(start, SealPolicy::Signer);
    let (mut name, mut tag, mut cipher) = (head.name, head.tag, state.clone());
    (name[33], tag[0], cipher[1]) = (name[33] ^ 1, tag[0] ^ 1, cipher[1] ^ 1);
    let mut new = Desk::start(start);
    for (what, head, state) in [
        ("another number", SealHead { counter: Counter(8), ..head }, &state),
        ("another policy", SealHead { policy: SealPolicy::Enclave, ..head }, &state),
        ("another subject", SealHead { subject: [4; 16], ..head }, &state),
        ("another key", SealHead { name, ..head }, &state),
        ("another tag", SealHead { tag, ..head }, &state),
        ("another state", head, &cipher),
    ] {
        assert_eq!(new.ask(ControlKind::Unseal, &head).result, ControlResult::Done);
        assert_eq!(restore(&mut new, 0, state), ControlResult::NoState, "{what}");
        assert_eq!(new.status().head.operation, NO_OPERATION, "nothing of it is left");
    }
    // A sound one, taken back by one that is not: the module is as it began.
    assert_eq!(new.ask(ControlKind::Unseal, &head).result, ControlResult::Done);
    assert_eq!(restore(&mut new, 0, &state), ControlResult::Done);
    assert_eq!(new.ask(ControlKind::Unseal, &SealHead { tag, ..head }).result, ControlResult::Done);
    assert_eq!(restore(&mut new, 0, &state), ControlResult::NoState);
    assert_eq!(new.name(ControlKind::Activate, NO_OPERATION), ControlResult::Done);
    assert_eq!(sum(&mut new), 0);
    assert_eq!(another_application(start, &head, &state), ControlResult::NoState);
}

/// The owner's other application has the same module, and gives it this state.
fn another_application(start: Start<'_>, head: &SealHead, state: &[u8]) -> ControlResult {
    let mut new = Desk::start(start);
    let transcript = new.attest([9; 16]).expect("what seals agrees on sessions");
    let identity = crate::desk::owner();
    let signer = Signer::Owner(&identity);
    let other = ApplicationId([0xee; 16]);
    assert_ne!(other, APPLICATION);
    let (input, session) = agree(&transcript, other, &signer, [5; 32], CipherId::Aes128Gcm).expect("the half is sound");
    assert_eq!(new.enter(Op::Open, &input).result.status, Status::Accepted);
    new.session = session;
    // The head may say what it wants.
    for application in [other, APPLICATION] {
        assert_eq!(new.ask(ControlKind::Unseal, &SealHead { application, ..*head }).result, ControlResult::Done);
        assert_eq!(restore(&mut new, 0, state), ControlResult::NoState);
    }
    assert_eq!(new.set_key(&new.key(&ADD_LINE, 1, PriorEpoch::None, 0)).map(|end| end.counter), Ok(Counter(0)));
    ControlResult::NoState
}
