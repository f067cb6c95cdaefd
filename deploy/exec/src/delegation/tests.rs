use super::{DelegationFile, Opened, VERSION, date};
use crate::ExecError;
use crate::state::{Delegating, State};
use crate::{hex, home::KnownNode};
use std::path::Path;
use veritee_ids::{ApplicationId, Epoch};
use veritee_node_client::Fingerprint;
use veritee_session::OwnerIdentity;
use veritee_session::identity::Grant;

fn owner() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[1; 32])
}

fn delegate() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[2; 32])
}

/// A file that `signer` made, with a delegation of `delegator`'s.
fn file(signer: &OwnerIdentity, delegator: &OwnerIdentity) -> DelegationFile {
    let grant = Grant {
        application: ApplicationId([7; 16]),
        delegate: delegate().public(),
        epochs: (Epoch(1), Epoch(9)),
        serial: 4,
        not_after: 100,
    };
    let node = KnownNode { address: "desk:7654".to_owned(), fingerprint: "00".repeat(32) };
    let mut file = DelegationFile {
        version: VERSION,
        application: "door".to_owned(),
        owner: Fingerprint(signer.public()).to_string(),
        delegation: hex(&delegator.delegate(&grant)),
        allow: vec!["native".to_owned()],
        freshness: Vec::new(),
        quotes: Default::default(),
        nodes: [("desk".to_owned(), node)].into(),
        modules: Default::default(),
        connections: Vec::new(),
        signature: String::new(),
    };
    file.signature = hex(&signer.sign(&file.signed()));
    file
}

#[test]
fn a_file_is_taken_as_its_owner_signed_it_and_by_whom_it_names() {
    let opened = Opened::of(file(&owner(), &owner())).unwrap();
    assert_eq!((opened.owner, opened.delegation.serial), (owner().public(), 4));
    let path = Path::new("x");
    assert!(opened.act(path, delegate(), 100).is_ok());
    let refused = |identity, now| match opened.act(path, identity, now) {
        Err(ExecError::BadDelegation { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(refused(owner(), 100).starts_with("it is for "));
    assert_eq!(refused(delegate(), 101), "it ended on 1970-01-01 00:01:40 UTC");
}

#[test]
fn a_file_that_was_changed_or_pieced_together_is_none() {
    let sound = file(&owner(), &owner());
    let changes: [fn(&mut DelegationFile); 4] = [
        |file| file.allow.push("sgx-simulated".to_owned()),
        |file| "elsewhere:1".clone_into(&mut file.nodes.get_mut("desk").unwrap().address),
        |file| file.owner = Fingerprint(delegate().public()).to_string(),
        |file| file.delegation.replace_range(..2, "ff"),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut changed = sound.clone();
        change(&mut changed);
        assert!(Opened::of(changed).is_none(), "change {at}");
    }
    assert!(Opened::of(file(&delegate(), &owner())).is_none(), "another owner's delegation in one's own file");
    assert!(Opened::of(file(&owner(), &delegate())).is_none(), "a delegation that the delegate made");
}

#[test]
fn serials_rise_over_revocations_and_lost_states() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| State::open(&folder.path().join(name), "door", None).unwrap();
    let mut state = open("first");
    let give = |state: &mut State, now| {
        let serial = state.next_serial(now);
        let given = Delegating { serial, delegate: "00".repeat(32), epochs: (1, 9), not_after: 9 };
        state.delegate(&given).unwrap();
        serial
    };
    assert_eq!([give(&mut state, 50), give(&mut state, 50), give(&mut state, 40)], [50, 51, 52]);
    let below = state.next_serial(50);
    state.revoke(below).unwrap();
    assert_eq!(below, 53, "all that were given");
    state.revoke(10).unwrap();
    drop(state);
    let mut state = open("first");
    assert_eq!((state.serial_floor, state.delegations.len()), (53, 3), "what was revoked stays so");
    assert_eq!(give(&mut state, 50), 53, "a new one is not revoked");
    assert_eq!(give(&mut open("lost"), 60), 60, "above all that a lost state gave before");
}

#[test]
fn dates_are_read_by_people() {
    assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
    assert_eq!(date(u64::MAX), "the end of time");
}
