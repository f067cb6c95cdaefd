//! The rules of the protocol, a case each.

use crate::Start;
use crate::delegated::{
    a_delegate_opens_the_epochs_that_he_was_given, a_repeated_challenge_opens_nothing_again,
    an_owners_half_of_low_order_is_refused, delegations_for_others_and_old_ones_are_refused,
};
use crate::desk::{Desk, Line, NO_OPERATION};
use crate::probe::{ADD, ASK, BURST, DOUBLE, FAILED, LATE, RELAY, START, SUM};
use crate::sealed::{
    a_state_is_sealed_at_rest_only, sealed_state_comes_back, what_is_not_as_it_was_sealed_does_not_open,
};
use veritee_ids::{
    CipherId, ConnectionId, ControlKind, ControlResult, Counter, Epoch, FrameKind, Lifecycle, Op, OperationId,
    PortIndex, PriorEpoch, Role, RowIndex, Status, TypeHash,
};
use veritee_wire::Layout;
use veritee_wire::layout::{EpochEnd, RequestName, SaveRequest, SerialFloor, StateChunk, StatusRequest};

/// A case: it panics when the rule does not hold.
pub type Case = fn(Start<'_>);

macro_rules! cases {
    ($($name:ident,)*) => {
        /// All cases with their names.
        pub const CASES: &[(&str, Case)] = &[$((stringify!($name), $name),)*];
    };
}

cases! {
    a_new_module_answers_control_only,
    events_are_accepted_once_in_order_without_gap,
    every_flipped_bit_of_a_frame_is_refused,
    frames_of_another_row_kind_or_application_are_refused,
    every_cipher_carries_events,
    outputs_fan_out_to_all_connections,
    emissions_without_connection_are_counted,
    undecodable_events_are_accepted_and_counted,
    a_requester_waits_for_exactly_its_reply,
    an_owner_can_end_the_wait_for_a_reply,
    handlers_answer_now_later_or_refuse,
    tokens_are_limited,
    a_senders_epoch_ends_where_its_answer_says,
    a_receiver_drains_an_epoch_to_its_end,
    an_abandoned_epoch_is_dead,
    old_and_repeated_epochs_are_refused,
    a_retried_set_key_changes_nothing,
    removed_rows_raise_the_epoch_floor,
    wrong_ports_types_and_rows_are_refused,
    requests_of_a_session_are_numbered,
    a_repeated_request_is_answered_again_but_not_executed_again,
    sessions_never_share_keys,
    nothing_of_another_life_is_taken,
    a_stranger_cannot_open_a_session,
    a_delegate_opens_the_epochs_that_he_was_given,
    delegations_for_others_and_old_ones_are_refused,
    a_repeated_challenge_opens_nothing_again,
    an_owners_half_of_low_order_is_refused,
    a_new_session_touches_no_connection,
    late_is_entered_once_between_two_events,
    a_frozen_module_rests_and_thaws,
    state_moves_under_one_operation,
    a_state_is_sealed_at_rest_only,
    sealed_state_comes_back,
    what_is_not_as_it_was_sealed_does_not_open,
    a_disabled_module_forgets_its_keys,
    status_tells_all_rows,
    nonsense_is_malformed,
    emitting_more_than_declared_halts,
}

const ADD_LINE: Line = Line::to(ADD, Role::Receiver);
const SUM_LINE: Line = Line::to(SUM, Role::Sender);
const ASK_LINE: Line = Line::to(ASK, Role::Requester);
const DOUBLE_LINE: Line = Line::to(DOUBLE, Role::Handler);
const RELAY_LINE: Line = Line::to(RELAY, Role::Handler);
const OPERATION: OperationId = OperationId([5; 16]);

fn value(number: u32) -> Vec<u8> {
    [&[0, 0][..], &number.to_le_bytes()].concat()
}

/// A probe that adds and reports sums.
fn adder(start: Start<'_>) -> Desk {
    let mut desk = Desk::active(start);
    desk.connect(&ADD_LINE);
    desk.connect(&SUM_LINE);
    desk
}

fn a_new_module_answers_control_only(start: Start<'_>) {
    let mut desk = Desk::start(start);
    desk.connect(&ADD_LINE);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 5).result.status, Status::Busy);
    assert_eq!(desk.entry(BURST, 0).result.status, Status::Busy);
    assert_eq!(desk.enter(Op::Late, &ADD.0.to_le_bytes()).result.status, Status::Busy);
    assert_eq!(desk.status().head.lifecycle, Lifecycle::New);
    assert_eq!(desk.name(ControlKind::Activate, NO_OPERATION), ControlResult::Done);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 5).result.status, Status::Accepted);
}

fn events_are_accepted_once_in_order_without_gap(start: Start<'_>) {
    let mut desk = adder(start);
    for counter in 0..3 {
        let taken = desk.event(&ADD_LINE, 1, counter, 10);
        assert_eq!(taken.result.status, Status::Accepted);
        let emitted = SUM_LINE.open(&taken.frames[0]);
        let sum = 10 * (u32::try_from(counter).unwrap_or(0) + 1);
        assert_eq!((emitted.header.counter, emitted.number()), (Counter(counter), sum));
    }
    let repeated = desk.event(&ADD_LINE, 1, 1, 10);
    assert_eq!((repeated.result.status, repeated.frames.len()), (Status::Duplicate, 0));
    let early = desk.event(&ADD_LINE, 1, 5, 10);
    assert_eq!((early.result.status, early.result.value), (Status::Gap, 3));
    assert_eq!(desk.event(&ADD_LINE, 1, 3, 10).result.status, Status::Accepted);
}

fn every_flipped_bit_of_a_frame_is_refused(start: Start<'_>) {
    let mut desk = adder(start);
    let frame = desk.seal(&ADD_LINE, FrameKind::Event, 1, 0, &1_u32.to_le_bytes());
    let carried: Vec<usize> = (0..frame.len() * 8).filter(|&bit| desk.carries(bit)).collect();
    for bit in carried {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let taken = desk.frame(&ADD_LINE, &flipped);
        assert!(taken.result.status != Status::Accepted && taken.frames.is_empty(), "bit {bit}");
    }
    for length in 0..frame.len() {
        let taken = desk.frame(&ADD_LINE, &frame[..length]);
        assert!(taken.result.status != Status::Accepted, "length {length}");
    }
    assert_eq!(desk.frame(&ADD_LINE, &frame).result.status, Status::Accepted);
}

fn frames_of_another_row_kind_or_application_are_refused(start: Start<'_>) {
    let mut desk = adder(start);
    let other = Line { row: RowIndex(9), connection: ConnectionId(200), ..ADD_LINE };
    desk.connect(&other);
    let frame = desk.seal(&ADD_LINE, FrameKind::Event, 1, 0, &1_u32.to_le_bytes());
    assert_eq!(desk.frame(&other, &frame).result.status, Status::Refused);
    assert_eq!(desk.frame(&SUM_LINE, &frame).result.status, Status::Refused);
    let nowhere = Line { row: RowIndex(60_000), ..ADD_LINE };
    assert_eq!(desk.frame(&nowhere, &frame).result.status, Status::Busy);
    for kind in [FrameKind::Request, FrameKind::Reply] {
        let frame = desk.seal(&ADD_LINE, kind, 1, 0, &1_u32.to_le_bytes());
        assert_eq!(desk.frame(&ADD_LINE, &frame).result.status, Status::Refused);
    }
}

fn every_cipher_carries_events(start: Start<'_>) {
    for &cipher in start().ciphers() {
        let mut desk = Desk::active(start);
        let (add, sum) = (Line { cipher: Some(cipher), ..ADD_LINE }, Line { cipher: Some(cipher), ..SUM_LINE });
        desk.connect(&add);
        desk.connect(&sum);
        let taken = desk.event(&add, 1, 0, 77);
        assert_eq!(taken.result.status, Status::Accepted, "{}", cipher.word());
        assert_eq!(sum.open(&taken.frames[0]).number(), 77);
    }
}

fn outputs_fan_out_to_all_connections(start: Start<'_>) {
    let mut desk = adder(start);
    let lines = [8, 9, 10].map(|row| Line { row: RowIndex(row), connection: ConnectionId(300 + row), ..SUM_LINE });
    for line in &lines {
        desk.connect(line);
    }
    let frames = desk.event(&ADD_LINE, 1, 0, 4).frames;
    assert_eq!(frames.len(), 4);
    assert!(desk.row(ControlKind::Remove, &lines[1]).is_ok());
    let frames = desk.event(&ADD_LINE, 1, 1, 4).frames;
    let mut connections: Vec<u16> = frames.iter().map(|frame| u16::from_le_bytes([frame[0], frame[1]])).collect();
    connections.sort_unstable();
    assert_eq!(connections, [101, 308, 310]);
}

fn emissions_without_connection_are_counted(start: Start<'_>) {
    let mut desk = Desk::active(start);
    desk.connect(&ADD_LINE);
    assert!(desk.event(&ADD_LINE, 1, 0, 4).frames.is_empty());
    assert_eq!(desk.status().head.unconnected, 1);
    desk.connect(&SUM_LINE);
    assert!(desk.row(ControlKind::CloseEpoch, &SUM_LINE).is_ok());
    assert!(desk.event(&ADD_LINE, 1, 1, 4).frames.is_empty());
    assert_eq!(desk.status().head.unconnected, 2);
}

fn undecodable_events_are_accepted_and_counted(start: Start<'_>) {
    let mut desk = adder(start);
    let frame = desk.seal(&ADD_LINE, FrameKind::Event, 1, 0, &[1; 6]);
    let taken = desk.frame(&ADD_LINE, &frame);
    assert_eq!((taken.result.status, taken.frames.len()), (Status::Accepted, 0));
    assert_eq!(desk.status().head.malformed, 1);
    let taken = desk.event(&ADD_LINE, 1, 1, 2);
    assert_eq!(SUM_LINE.open(&taken.frames[0]).number(), 2);
}

fn a_requester_waits_for_exactly_its_reply(start: Start<'_>) {
    let mut desk = adder(start);
    desk.connect(&ASK_LINE);
    let asked = desk.entry(START, 50).frames;
    let asked = ASK_LINE.open(&asked[0]);
    assert_eq!((asked.header.kind, asked.header.counter, asked.number()), (FrameKind::Request, Counter(0), 50));
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Busy);
    assert_eq!(desk.entry(START, 51).result.status, Status::Busy);
    let early = desk.seal(&ASK_LINE, FrameKind::Reply, 1, 1, &value(9));
    assert_eq!(desk.frame(&ASK_LINE, &early).result.status, Status::Refused);
    let mut forged = desk.seal(&ASK_LINE, FrameKind::Reply, 1, 0, &value(9));
    forged[20] ^= 1;
    assert_eq!(desk.frame(&ASK_LINE, &forged).result.status, Status::Refused);
    let reply = desk.seal(&ASK_LINE, FrameKind::Reply, 1, 0, &value(9));
    let taken = desk.frame(&ASK_LINE, &reply);
    assert_eq!(taken.result.status, Status::Accepted);
    assert_eq!(SUM_LINE.open(&taken.frames[0]).number(), 9);
    assert_eq!(desk.frame(&ASK_LINE, &reply).result.status, Status::Duplicate);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
}

fn an_owner_can_end_the_wait_for_a_reply(start: Start<'_>) {
    let mut desk = adder(start);
    desk.connect(&ASK_LINE);
    assert_eq!(desk.entry(START, 1).frames.len(), 1);
    let name = RequestName { row: ASK_LINE.row, reserved: 0, epoch: Epoch(1), counter: Counter(0) };
    let wrong = RequestName { counter: Counter(1), ..name };
    assert_eq!(desk.ask(ControlKind::AbortRequest, &wrong).result, ControlResult::Done);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Busy);
    let request = desk.session.request(ControlKind::AbortRequest, &name);
    let (answer, frames) = desk.send(&request).expect("the session is current");
    assert_eq!((answer.result, SUM_LINE.open(&frames[0]).number()), (ControlResult::Done, FAILED));
    let reply = desk.seal(&ASK_LINE, FrameKind::Reply, 1, 0, &value(9));
    assert_eq!(desk.frame(&ASK_LINE, &reply).result.status, Status::Duplicate);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
}

fn handlers_answer_now_later_or_refuse(start: Start<'_>) {
    let mut desk = Desk::active(start);
    for line in [&DOUBLE_LINE, &RELAY_LINE, &ASK_LINE] {
        desk.connect(line);
    }
    let now = DOUBLE_LINE.open(&desk.event(&DOUBLE_LINE, 1, 0, 21).frames[0]);
    assert_eq!((now.header.kind, now.header.counter), (FrameKind::Reply, Counter(0)));
    assert_eq!(now.body, value(42));
    let refused = DOUBLE_LINE.open(&desk.event(&DOUBLE_LINE, 1, 1, 13).frames[0]);
    assert_eq!((refused.header.counter, refused.body), (Counter(1), vec![9, 0]));
    let malformed = desk.seal(&DOUBLE_LINE, FrameKind::Request, 1, 2, &[1; 6]);
    let malformed = DOUBLE_LINE.open(&desk.frame(&DOUBLE_LINE, &malformed).frames[0]);
    assert_eq!((malformed.header.counter, malformed.body), (Counter(2), vec![1, 0]));
    let asked = desk.event(&RELAY_LINE, 1, 0, 5).frames;
    assert_eq!((asked.len(), ASK_LINE.open(&asked[0]).number()), (1, 5));
    let reply = desk.seal(&ASK_LINE, FrameKind::Reply, 1, 0, &value(8));
    let later = RELAY_LINE.open(&desk.frame(&ASK_LINE, &reply).frames[0]);
    assert_eq!((later.header.counter, later.body), (Counter(0), value(9)));
}

fn tokens_are_limited(start: Start<'_>) {
    let mut desk = Desk::active(start);
    desk.connect(&RELAY_LINE);
    // Without a connection on `ask` the relay refuses at once, so tokens come back.
    for counter in 0..5 {
        let taken = desk.event(&RELAY_LINE, 1, counter, 5);
        assert_eq!(RELAY_LINE.open(&taken.frames[0]).body, vec![3, 0]);
    }
}

fn a_senders_epoch_ends_where_its_answer_says(start: Start<'_>) {
    let mut desk = adder(start);
    for counter in 0..3 {
        assert_eq!(desk.event(&ADD_LINE, 1, counter, 1).frames.len(), 1);
    }
    let ended = desk.set_key(&desk.key(&SUM_LINE, 2, PriorEpoch::None, 0));
    assert_eq!(ended, Ok(EpochEnd { epoch: Epoch(1), counter: Counter(3) }));
    let emitted = SUM_LINE.open(&desk.event(&ADD_LINE, 1, 3, 1).frames[0]);
    assert_eq!((emitted.header.epoch, emitted.header.counter), (Epoch(2), Counter(0)));
    let closed = desk.row(ControlKind::CloseEpoch, &SUM_LINE);
    assert_eq!(closed, Ok(EpochEnd { epoch: Epoch(2), counter: Counter(1) }));
    assert!(desk.event(&ADD_LINE, 1, 4, 1).frames.is_empty());
}

fn a_receiver_drains_an_epoch_to_its_end(start: Start<'_>) {
    let mut desk = adder(start);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
    let ended = desk.set_key(&desk.key(&ADD_LINE, 2, PriorEpoch::CloseAt, 3));
    assert_eq!(ended, Ok(EpochEnd { epoch: Epoch(1), counter: Counter(3) }));
    assert_eq!(desk.event(&ADD_LINE, 2, 0, 1).result.status, Status::Busy);
    let third = desk.set_key(&desk.key(&ADD_LINE, 3, PriorEpoch::CloseAt, 0));
    assert_eq!(third, Err(ControlResult::EpochUnfinished));
    assert_eq!(desk.event(&ADD_LINE, 1, 1, 1).result.status, Status::Accepted);
    assert_eq!(desk.event(&ADD_LINE, 1, 2, 1).result.status, Status::Accepted);
    assert_eq!(desk.event(&ADD_LINE, 1, 3, 1).result.status, Status::Refused);
    assert_eq!(desk.event(&ADD_LINE, 2, 0, 1).result.status, Status::Accepted);
    let backwards = desk.set_key(&desk.key(&ADD_LINE, 3, PriorEpoch::CloseAt, 0));
    assert_eq!(backwards, Err(ControlResult::WrongPrior));
    let silent = desk.set_key(&desk.key(&ADD_LINE, 3, PriorEpoch::None, 0));
    assert_eq!(silent, Err(ControlResult::WrongPrior));
    assert!(desk.set_key(&desk.key(&ADD_LINE, 3, PriorEpoch::CloseAt, 1)).is_ok());
    assert_eq!(desk.event(&ADD_LINE, 3, 0, 1).result.status, Status::Accepted);
}

fn an_abandoned_epoch_is_dead(start: Start<'_>) {
    let mut desk = adder(start);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
    assert!(desk.set_key(&desk.key(&ADD_LINE, 2, PriorEpoch::CloseAt, 9)).is_ok());
    let ended = desk.set_key(&desk.key(&ADD_LINE, 3, PriorEpoch::Abandon, 0));
    assert_eq!(ended, Ok(EpochEnd { epoch: Epoch(1), counter: Counter(1) }));
    assert_eq!(desk.event(&ADD_LINE, 1, 1, 1).result.status, Status::Refused);
    assert_eq!(desk.event(&ADD_LINE, 2, 0, 1).result.status, Status::Refused);
    assert_eq!(desk.event(&ADD_LINE, 3, 0, 1).result.status, Status::Accepted);
}

fn old_and_repeated_epochs_are_refused(start: Start<'_>) {
    let mut desk = adder(start);
    assert!(desk.set_key(&desk.key(&ADD_LINE, 5, PriorEpoch::CloseAt, 0)).is_ok());
    for epoch in 1..=4 {
        let old = desk.set_key(&desk.key(&ADD_LINE, epoch, PriorEpoch::CloseAt, 0));
        assert_eq!(old, Err(ControlResult::EpochTooLow));
        assert_eq!(desk.event(&ADD_LINE, epoch, 0, 1).result.status, Status::Refused);
    }
    let mut other_key = desk.key(&ADD_LINE, 5, PriorEpoch::CloseAt, 0);
    other_key.key = [9; 16];
    assert_eq!(desk.set_key(&other_key), Err(ControlResult::EpochTooLow));
    assert_eq!(desk.event(&ADD_LINE, 6, 0, 1).result.status, Status::Busy);
    assert_eq!(desk.event(&ADD_LINE, 5, 0, 1).result.status, Status::Accepted);
}

fn a_retried_set_key_changes_nothing(start: Start<'_>) {
    let mut desk = adder(start);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).frames.len(), 1);
    let set = desk.key(&SUM_LINE, 2, PriorEpoch::None, 0);
    let ended = desk.set_key(&set);
    let emitted = SUM_LINE.open(&desk.event(&ADD_LINE, 1, 1, 1).frames[0]);
    assert_eq!((emitted.header.epoch, emitted.header.counter), (Epoch(2), Counter(0)));
    desk.reopen([2; 16]);
    assert_eq!(desk.set_key(&set), ended);
    let emitted = SUM_LINE.open(&desk.event(&ADD_LINE, 1, 2, 1).frames[0]);
    assert_eq!((emitted.header.epoch, emitted.header.counter), (Epoch(2), Counter(1)));
}

fn removed_rows_raise_the_epoch_floor(start: Start<'_>) {
    let mut desk = adder(start);
    assert!(desk.set_key(&desk.key(&SUM_LINE, 4, PriorEpoch::None, 0)).is_ok());
    assert!(desk.row(ControlKind::Remove, &SUM_LINE).is_ok());
    assert!(desk.row(ControlKind::Remove, &SUM_LINE).is_ok(), "removing again changes nothing");
    for epoch in 1..=4 {
        let old = desk.set_key(&desk.key(&SUM_LINE, epoch, PriorEpoch::None, 0));
        assert_eq!(old, Err(ControlResult::EpochTooLow));
    }
    assert!(desk.set_key(&desk.key(&SUM_LINE, 5, PriorEpoch::None, 0)).is_ok());
    assert_eq!(desk.status().head.epoch_floor, Epoch(4));
}

fn wrong_ports_types_and_rows_are_refused(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let good = desk.key(&SUM_LINE, 1, PriorEpoch::None, 0);
    let refused = [
        (ControlResult::NoSuchRow, veritee_wire::layout::SetKey { row: RowIndex(500), ..good }),
        (ControlResult::NoSuchPort, veritee_wire::layout::SetKey { port: ADD, ..good }),
        (ControlResult::NoSuchPort, veritee_wire::layout::SetKey { port: PortIndex(99), ..good }),
        (ControlResult::WrongType, veritee_wire::layout::SetKey { payload_type: TypeHash([1; 8]), ..good }),
        (ControlResult::WrongPrior, veritee_wire::layout::SetKey { prior: PriorEpoch::CloseAt, ..good }),
    ];
    for (expected, set) in refused {
        assert_eq!(desk.set_key(&set), Err(expected));
    }
    assert!(desk.set_key(&good).is_ok());
    let taken = veritee_wire::layout::SetKey { connection: ConnectionId(7), epoch: Epoch(2), ..good };
    assert_eq!(desk.set_key(&taken), Err(ControlResult::RowTaken));
    // A drain would end under the old cipher: a connection keeps the one that it began with.
    let other = veritee_wire::layout::SetKey { cipher: CipherId::Ascon128, epoch: Epoch(2), ..good };
    let linked = start().ciphers().contains(&other.cipher);
    let expected = if linked { ControlResult::RowTaken } else { ControlResult::NoCipher };
    assert_eq!(desk.set_key(&other), Err(expected));
    desk.connect(&ASK_LINE);
    let second = Line { row: RowIndex(9), connection: ConnectionId(8), ..ASK_LINE };
    assert_eq!(desk.set_key(&desk.key(&second, 1, PriorEpoch::None, 0)), Err(ControlResult::NoCapacity));
}

fn requests_of_a_session_are_numbered(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let page = StatusRequest { first_row: RowIndex(0) };
    let first = desk.session.request(ControlKind::Status, &page);
    let second = desk.session.request(ControlKind::Status, &page);
    assert!(desk.send(&second).is_none(), "a request is not accepted before the one before it");
    assert!(desk.send(&first).is_some());
    assert!(desk.send(&second).is_some());
    assert!(desk.send(&first).is_none(), "an old request is not accepted");
    let mut forged = desk.session.request(ControlKind::Status, &page);
    let last = forged.bytes.len() - 1;
    forged.bytes[last] ^= 1;
    assert!(desk.send(&forged).is_none());
}

fn a_repeated_request_is_answered_again_but_not_executed_again(start: Start<'_>) {
    let mut desk = Desk::active(start);
    desk.connect(&SUM_LINE);
    let name = veritee_wire::layout::RowName { row: SUM_LINE.row, connection: SUM_LINE.connection };
    let remove = desk.session.request(ControlKind::Remove, &name);
    let (first, _) = desk.send(&remove).expect("the session is current");
    let (again, _) = desk.send(&remove).expect("a repeated request is answered");
    assert_eq!(first, again);
    let taken = desk.enter(Op::Control, &remove.bytes);
    let other = desk.enter(Op::Control, &remove.bytes);
    assert_ne!(taken.reply, other.reply, "each answer has a number of its own");
    let status = desk.status();
    assert_eq!(status.head.last_kind, ControlKind::Remove.code());
    assert_eq!(status.head.last_session, desk.session.id());
}

fn sessions_never_share_keys(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let old = desk.session.request(ControlKind::Status, &StatusRequest { first_row: RowIndex(0) });
    let first = desk.session.id();
    desk.reopen([1; 16]);
    assert_ne!(desk.session.id(), first, "the same challenge gives another session");
    assert!(desk.status().rows.is_empty());
    assert_eq!(desk.enter(Op::Control, &old.bytes).result.status, Status::Refused);
}

/// After a reload or a reset: the same module, with the same keys where the platform has any, in another life.
fn nothing_of_another_life_is_taken(start: Start<'_>) {
    let challenge = [6; 16];
    let mut first = adder(start);
    let set = first.session.request(ControlKind::SetKey, &first.key(&SUM_LINE, 1, PriorEpoch::None, 0));
    assert!(first.send(&set).is_some());
    let evidence = first.enter(Op::Attest, &challenge).reply;
    let mut second = Desk::active(start);
    assert_ne!(second.enter(Op::Attest, &challenge).reply, evidence, "evidence names the life that it is of");
    second.reopen([1; 16]);
    assert_eq!(second.enter(Op::Control, &set.bytes).result.status, Status::Refused);
    assert!(second.status().rows.is_empty(), "it has none of the first one's connections");
}

fn a_stranger_cannot_open_a_session(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let before = desk.session.id();
    // Anybody may attest; without the owner's signature or the module key that is all.
    assert_eq!(desk.enter(Op::Attest, &[3; 16]).result.status, Status::Accepted);
    assert_eq!(desk.enter(Op::Open, &[0; 130]).result.status, Status::Refused);
    assert_eq!(desk.enter(Op::Open, &[]).result.status, Status::Refused);
    let mut forged = desk.session.request(ControlKind::SetKey, &desk.key(&SUM_LINE, 1, PriorEpoch::None, 0));
    forged.bytes[0] ^= 1;
    assert_eq!(desk.enter(Op::Control, &forged.bytes).result.status, Status::Refused);
    forged.bytes[0] ^= 1;
    assert!(desk.send(&forged).is_some(), "the owner's session still stands");
    assert_eq!(desk.session.id(), before);
    assert_eq!(desk.status().rows.len(), 1);
}

fn a_new_session_touches_no_connection(start: Start<'_>) {
    let mut desk = adder(start);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 6).result.status, Status::Accepted);
    desk.reopen([8; 16]);
    let rows = desk.status().rows;
    assert_eq!(rows.iter().map(|row| row.next).collect::<Vec<_>>(), [Counter(1), Counter(1)]);
    let emitted = SUM_LINE.open(&desk.event(&ADD_LINE, 1, 1, 6).frames[0]);
    assert_eq!((emitted.header.counter, emitted.number()), (Counter(1), 12));
}

fn late_is_entered_once_between_two_events(start: Start<'_>) {
    let mut desk = adder(start);
    let port = ADD.0.to_le_bytes();
    let late = desk.enter(Op::Late, &port);
    assert_eq!(SUM_LINE.open(&late.frames[0]).number(), LATE);
    assert_eq!(desk.enter(Op::Late, &port).result.status, Status::Duplicate);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
    assert_eq!(desk.enter(Op::Late, &port).result.status, Status::Accepted);
    assert_eq!(desk.enter(Op::Late, &SUM.0.to_le_bytes()).result.status, Status::Malformed);
    desk.connect(&ASK_LINE);
    assert_eq!(desk.entry(START, 1).result.status, Status::Accepted);
    assert_eq!(desk.enter(Op::Late, &port).result.status, Status::Busy);
}

fn a_frozen_module_rests_and_thaws(start: Start<'_>) {
    let mut desk = adder(start);
    desk.connect(&ASK_LINE);
    assert_eq!(desk.entry(START, 1).result.status, Status::Accepted);
    assert_eq!(desk.name(ControlKind::Freeze, OPERATION), ControlResult::Done);
    assert_eq!(desk.status().head.lifecycle, Lifecycle::Freezing);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Busy);
    let reply = desk.seal(&ASK_LINE, FrameKind::Reply, 1, 0, &value(9));
    assert_eq!(desk.frame(&ASK_LINE, &reply).frames.len(), 1, "the continuation still emits");
    let status = desk.status();
    assert_eq!(status.head.lifecycle, Lifecycle::Frozen);
    let open: Vec<_> = status.rows.iter().filter(|row| row.state & 1 != 0).map(|row| row.role).collect();
    assert_eq!(open, [Role::Receiver], "outgoing epochs are closed");
    assert_eq!(desk.name(ControlKind::Freeze, OperationId([6; 16])), ControlResult::WrongOperation);
    assert_eq!(desk.name(ControlKind::Thaw, OperationId([6; 16])), ControlResult::WrongOperation);
    assert_eq!(desk.name(ControlKind::Thaw, OPERATION), ControlResult::Done);
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Accepted);
}

fn state_moves_under_one_operation(start: Start<'_>) {
    let mut old = adder(start);
    assert_eq!(old.event(&ADD_LINE, 1, 0, 1234).result.status, Status::Accepted);
    let save = SaveRequest { operation: OPERATION, offset: 0 };
    assert_eq!(old.ask(ControlKind::Save, &save).result, ControlResult::WrongLifecycle);
    assert_eq!(old.name(ControlKind::Freeze, OPERATION), ControlResult::Done);
    let saved = old.ask(ControlKind::Save, &save);
    let (chunk, state) = StateChunk::decode_front(&saved.body).expect("a chunk");
    assert_eq!((chunk.total, chunk.length, state), (4, 4, &1234_u32.to_le_bytes()[..]));
    let mut new = Desk::start(start);
    let body = saved.body.clone();
    let half = [&body[..StateChunk::BYTES - 2], &2_u16.to_le_bytes(), &state[..2]].concat();
    let request = new.session.request_bytes(ControlKind::Restore, &half);
    assert_eq!(new.send(&request).map(|(answer, _)| answer.result), Some(ControlResult::Done));
    assert_eq!(new.name(ControlKind::Activate, OPERATION), ControlResult::NoState);
    let request = new.session.request_bytes(ControlKind::Restore, &body);
    assert_eq!(new.send(&request).map(|(answer, _)| answer.result), Some(ControlResult::Done));
    assert_eq!(new.name(ControlKind::Activate, NO_OPERATION), ControlResult::WrongOperation);
    assert_eq!(new.name(ControlKind::Activate, OPERATION), ControlResult::Done);
    assert_eq!(new.name(ControlKind::Activate, OPERATION), ControlResult::Done);
    let response = new.entry(BURST, 0);
    assert_eq!(response.reply, 1234_u32.to_le_bytes());
}

fn a_disabled_module_forgets_its_keys(start: Start<'_>) {
    let mut desk = adder(start);
    let request = desk.session.request_bytes(ControlKind::Disable, &[]);
    assert!(desk.send(&request).is_some());
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Refused);
    assert_eq!(desk.entry(BURST, 1).result.status, Status::Busy);
    let again = desk.set_key(&desk.key(&SUM_LINE, 9, PriorEpoch::None, 0));
    assert_eq!(again, Err(ControlResult::WrongLifecycle));
    let status = desk.status();
    assert_eq!((status.head.lifecycle, status.rows.len()), (Lifecycle::Disabled, 0));
}

fn status_tells_all_rows(start: Start<'_>) {
    let mut desk = adder(start);
    for row in 4..12 {
        desk.connect(&Line { row: RowIndex(row), connection: ConnectionId(400 + row), ..SUM_LINE });
    }
    assert_eq!(desk.ask(ControlKind::RaiseSerial, &SerialFloor { serial: 4 }).result, ControlResult::Done);
    let status = desk.status();
    assert_eq!(status.rows.len(), 10);
    assert_eq!(status.head.activation, desk.activation);
    assert_eq!(status.head.last_kind, ControlKind::RaiseSerial.code());
    assert!(status.rows.iter().all(|row| row.epoch == Epoch(1) && row.state == 1));
}

fn nonsense_is_malformed(start: Start<'_>) {
    let mut desk = Desk::active(start);
    for (op, input) in [
        (Op::Attest, &[0; 15][..]),
        (Op::Attest, &[0; 17]),
        (Op::Control, &[0; 30]),
        (Op::Event, &[0; 20]),
        (Op::Entry, &[5]),
        (Op::Entry, &[0, 0, 1, 2, 3, 4]),
        (Op::Entry, &[6, 0, 1, 2, 3]),
        (Op::Late, &[0]),
    ] {
        assert_eq!(desk.enter(op, input).result.status, Status::Malformed, "{op:?} {}", input.len());
    }
    let request = desk.session.request_bytes(ControlKind::SetKey, &[1; 4]);
    let (answer, _) = desk.send(&request).expect("the session is current");
    assert_eq!(answer.result, ControlResult::Malformed);
}

fn emitting_more_than_declared_halts(start: Start<'_>) {
    let mut desk = adder(start);
    assert_eq!(desk.entry(BURST, 4).frames.len(), 4);
    let taken = desk.entry(BURST, 100_000);
    assert_eq!((taken.result.status, taken.frames.len()), (Status::Halted, 0));
    assert_eq!(desk.event(&ADD_LINE, 1, 0, 1).result.status, Status::Halted);
    assert_eq!(desk.enter(Op::Attest, &[0; 16]).result.status, Status::Halted);
}
