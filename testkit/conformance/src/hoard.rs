//! What a module with a heap does, on every platform that gives it one: the *hoard* runs instead of the probe.

use crate::desk::{Desk, Line, NO_OPERATION, open_session, take_apart};
use crate::{Start, Subject};
use veritee_ids::{ControlKind, ControlResult, Op, PortIndex, Role, Status};
use veritee_wire::layout::OperationName;

/// Output: the sum of all numbers that are kept.
pub const SUM: PortIndex = PortIndex(0);
/// Input: keeps a number and emits the sum.
pub const KEEP: PortIndex = PortIndex(1);
/// Entry: makes room for so many more, and answers 1; or answers 0.
pub const ASK_FOR: PortIndex = PortIndex(2);
/// Entry: makes room for so many more, and answers for how many there is; or ends the module.
pub const INSIST_ON: PortIndex = PortIndex(3);
/// Entry: ends the module.
pub const PANIC: PortIndex = PortIndex(4);

/// More numbers than the heap of 64 KiB has room for.
pub const TOO_MANY: u32 = 100_000;

/// Numbers stay from event to event while the room for them grows, and a request that is refused changes nothing.
pub fn keeps_what_it_gets(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let (keep, sum) = (Line::to(KEEP, Role::Receiver), Line::to(SUM, Role::Sender));
    desk.connect(&keep);
    desk.connect(&sum);
    let mut expected = 0;
    for number in 1..=1000_u32 {
        let taken = desk.event(&keep, 1, u64::from(number) - 1, number);
        expected += number;
        assert_eq!(taken.result.status, Status::Accepted, "number {number}");
        assert_eq!(sum.open(&taken.frames[0]).number(), expected);
        if number.is_multiple_of(100) {
            assert_eq!(desk.entry(ASK_FOR, TOO_MANY).reply, 0_u32.to_le_bytes());
            assert_eq!(desk.entry(ASK_FOR, 100).reply, 1_u32.to_le_bytes());
        }
    }
    assert_eq!(desk.entry(INSIST_ON, 1000).reply, 2000_u32.to_le_bytes());
}

/// Activates a hoard that was just started.
pub fn activate(subject: &mut dyn Subject) {
    let (_, mut session) = open_session(subject, [1; 16]);
    let request = session.request(ControlKind::Activate, &OperationName { operation: NO_OPERATION });
    let taken = take_apart(&subject.enter(Op::Control, &request.bytes));
    let answer = session.answer(&request, &taken.reply).expect("the hoard's answers are authentic");
    assert_eq!(answer.result, ControlResult::Done);
}

/// Input of an entry.
#[must_use]
pub fn entry(port: PortIndex, number: u32) -> Vec<u8> {
    [&port.0.to_le_bytes()[..], &number.to_le_bytes()].concat()
}
