//! An enclave with a heap: it keeps what it allocates, and ends when there is no more.

#[path = "support/images.rs"]
mod images;
mod support;

use support::Enclave;
use veritee_conformance::Subject as _;
use veritee_conformance::hoard::{ASK_FOR, INSIST_ON, PANIC, TOO_MANY, activate, entry, keeps_what_it_gets};
use veritee_ids::{Op, PortIndex};

/// Has a fresh hoard end by the last of some entries, and gives the reason.
fn death_by(entries: &[(PortIndex, u32)]) -> String {
    let mut enclave = Enclave::start(&images::hoard());
    activate(&mut enclave);
    for (port, number) in &entries[..entries.len() - 1] {
        assert!(!enclave.enter(Op::Entry, &entry(*port, *number)).is_empty());
    }
    let (port, number) = entries[entries.len() - 1];
    enclave.hosted.push(1000, Op::Entry, &entry(port, number)).expect("room");
    enclave.hosted.flush();
    assert_eq!(enclave.output(), None);
    enclave.hosted.death().expect("it ended").reason
}

#[test]
fn a_heap_keeps_what_it_gets_from_event_to_event() {
    if images::run_here() {
        keeps_what_it_gets(&|| Box::new(Enclave::start(&images::hoard())));
    }
}

#[test]
fn who_insists_on_more_than_there_is_ends_and_the_reason_names_it() {
    if !images::run_here() {
        return;
    }
    for end in [&[(INSIST_ON, TOO_MANY)][..], &[(INSIST_ON, 1000), (INSIST_ON, u32::MAX)]] {
        assert_eq!(death_by(end), "the enclave panicked after its heap had no room");
    }
}

#[test]
fn another_panic_is_not_blamed_on_the_heap() {
    if !images::run_here() {
        return;
    }
    for end in [&[(PANIC, 0)][..], &[(ASK_FOR, TOO_MANY), (INSIST_ON, 10), (PANIC, 0)]] {
        assert!(death_by(end).contains("what a panic comes to"), "{end:?}");
    }
}
