//! A native module with a heap: it keeps what it allocates, and ends when there is no more.

mod support;

use support::{Native, hoard};
use veritee_conformance::Subject as _;
use veritee_conformance::hoard::{ASK_FOR, INSIST_ON, PANIC, TOO_MANY, activate, entry, keeps_what_it_gets};
use veritee_ids::{Op, PortIndex};

/// Has a fresh hoard end by the last of some entries, and gives the reason.
fn death_by(entries: &[(PortIndex, u32)]) -> String {
    let mut native = Native::start(hoard());
    activate(&mut native);
    for (port, number) in &entries[..entries.len() - 1] {
        assert!(!native.enter(Op::Entry, &entry(*port, *number)).is_empty());
    }
    let (port, number) = entries[entries.len() - 1];
    native.hosted.push(1000, Op::Entry, &entry(port, number)).expect("room");
    native.hosted.flush();
    assert_eq!(native.output(), None);
    native.hosted.death().expect("it ended").reason
}

#[test]
fn a_heap_keeps_what_it_gets_from_event_to_event() {
    keeps_what_it_gets(&|| Box::new(Native::start(hoard())));
}

#[test]
fn who_insists_on_more_than_there_is_ends_and_the_reason_names_it() {
    let reason = "signal 5 (SIGTRAP): the module panicked after its heap had no room";
    assert_eq!(death_by(&[(INSIST_ON, TOO_MANY)]), reason);
    assert_eq!(death_by(&[(INSIST_ON, 1000), (INSIST_ON, u32::MAX)]), reason);
}

#[test]
fn another_panic_is_not_blamed_on_the_heap() {
    let reason = "signal 4 (SIGILL): the module panicked";
    assert_eq!(death_by(&[(PANIC, 0)]), reason);
    assert_eq!(death_by(&[(ASK_FOR, TOO_MANY), (INSIST_ON, 10), (PANIC, 0)]), reason, "there was room since");
}
