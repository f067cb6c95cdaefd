//! Owners' halves with delegations of all ages.

use super::{is_over, is_over_at};
use veritee_ids::{ApplicationId, Epoch, Label, Op};
use veritee_wire::Layout as _;
use veritee_wire::layout::{Delegation, Open};

fn open(delegated: u16, not_after: u64) -> Vec<u8> {
    let application = ApplicationId([1; 16]);
    let open = Open { ephemeral: [2; 32], application, signature: [3; 64], delegated };
    let delegation = Delegation {
        label: Label::Delegation,
        version: 1,
        application,
        delegate: [4; 32],
        epoch_first: Epoch(1),
        epoch_last: Epoch(9),
        serial: 1,
        not_after,
        signature: [5; 64],
    };
    let mut bytes = vec![0; Open::BYTES + Delegation::BYTES];
    open.encode(&mut bytes[..Open::BYTES]).unwrap();
    delegation.encode(&mut bytes[Open::BYTES..]).unwrap();
    bytes
}

#[test]
fn a_delegation_is_over_after_its_last_second() {
    assert!(!is_over_at(&open(1, 100), 100));
    assert!(is_over_at(&open(1, 100), 101));
    assert!(is_over(Op::Open, &open(1, 100)), "1970 is over");
    assert!(!is_over(Op::Open, &open(1, u64::MAX)));
}

#[test]
fn what_is_no_delegation_is_the_modules_to_judge() {
    assert!(!is_over_at(&open(0, 0), 100), "the owner himself");
    assert!(!is_over(Op::Control, &open(1, 0)), "another entry");
    let sound = open(1, 0);
    for length in 0..sound.len() {
        assert!(!is_over_at(&sound[..length], 100), "cut to {length}");
    }
}
