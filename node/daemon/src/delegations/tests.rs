//! Owners' halves with delegations of all ages, and who acts for whom.

use super::{Acting, is_over, is_over_at};
use sha2::{Digest, Sha256};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ApplicationId, Epoch, Label, Op};
use veritee_node_client::Identity;
use veritee_node_protocol::{ModuleName, Request};
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

const APPLICATION: [u8; 16] = [1; 16];

fn delegation(owner: &Identity, delegate: &Identity, not_after: u64) -> Vec<u8> {
    let mut delegation = Delegation {
        label: Label::Delegation,
        version: PROTOCOL_VERSION,
        application: ApplicationId(APPLICATION),
        delegate: delegate.public(),
        epoch_first: Epoch(1),
        epoch_last: Epoch(9),
        serial: 1,
        not_after,
        signature: [0; 64],
    };
    let mut bytes = vec![0; Delegation::BYTES];
    delegation.encode(&mut bytes).unwrap();
    delegation.signature = owner.sign(&Sha256::digest(&bytes[..Delegation::BYTES - 64]));
    delegation.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn only_whom_the_owner_named_acts_for_him() {
    let [owner, delegate, other] = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
    let sound = delegation(&owner, &delegate, u64::MAX);
    assert!(Acting::judge(&delegate.public(), owner.public(), &sound).is_ok());
    let refused = |who: &Identity, owner: &Identity, bytes: &[u8]| {
        Acting::judge(&who.public(), owner.public(), bytes).map(|_| ()).unwrap_err()
    };
    assert_eq!(refused(&other, &owner, &sound), "the delegation is somebody else's");
    assert_eq!(refused(&delegate, &other, &sound), "this is no delegation of that owner");
    assert_eq!(refused(&delegate, &owner, &delegation(&owner, &delegate, 100)), "the delegation is over");
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        assert_eq!(refused(&delegate, &owner, &changed), "this is no delegation of that owner", "byte {at}");
        assert_eq!(refused(&delegate, &owner, &sound[..at]), "this is no delegation of that owner", "cut to {at}");
    }
}

#[test]
fn a_delegate_asks_for_what_modules_judge_and_for_one_application() {
    let [owner, delegate] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]));
    let mut acting =
        Acting::judge(&delegate.public(), owner.public(), &delegation(&owner, &delegate, u64::MAX)).unwrap();
    let name = |application| ModuleName { application, module: "led".to_owned() };
    let figures = |application| Request::Figures { application };
    let enter = |application| Request::Enter { name: name(application), op: 0, input: Vec::new() };
    for (mine, others) in [(figures(APPLICATION), figures([2; 16])), (enter(APPLICATION), enter([2; 16]))] {
        assert_eq!(acting.may(&mine), Ok(()));
        assert_eq!(acting.may(&others), Err("the delegation is for another application"));
    }
    assert_eq!(acting.may(&Request::List { application: None }), Err("the delegation is for another application"));
    let unroute = Request::Unroute { application: APPLICATION, connection: 1 };
    for owners in [Request::Unload { name: name(APPLICATION) }, unroute, Request::Revoke, Request::Describe] {
        assert_eq!(acting.may(&owners), Err("a delegate may not ask for this"), "{owners:?}");
    }
    // It was sound when the connection began.
    acting.not_after = 100;
    assert_eq!(acting.may(&figures(APPLICATION)), Err("the delegation is over"));
}
