//! Who gets in, on platforms that agree on sessions: the owner, whom he delegated, and nobody by an old or crooked half.
//!
//! On symmetric platforms whoever knows the module key is the owner; there these cases hold for want of an entry `open`.

use crate::Start;
use crate::desk::{APPLICATION, Desk, Line, owner};
use crate::probe::SUM;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ApplicationId, CipherId, ControlKind, ControlResult, Epoch, Label, Op, PriorEpoch, Role, Status};
use veritee_seal::sha256;
use veritee_session::identity::Grant;
use veritee_session::{Delegated, OwnerIdentity, OwnerSession, Signer, agree};
use veritee_wire::Layout;
use veritee_wire::layout::{EpochEnd, Open, OpenStatement, SerialFloor};

const SUM_LINE: Line = Line::to(SUM, Role::Sender);

fn grant() -> Grant {
    Grant {
        application: APPLICATION,
        delegate: delegate().public(),
        epochs: (Epoch(3), Epoch(5)),
        serial: 4,
        not_after: u64::MAX,
    }
}

fn delegate() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[0x77; 32])
}

/// Attests and opens with a delegation; the status, and the session if it was accepted. `None` twice on symmetric platforms.
fn open_with(desk: &mut Desk, grant: &Grant, application: ApplicationId) -> Option<(Status, OwnerSession)> {
    let transcript = desk.attest([9; 16])?;
    let delegated = Delegated { identity: delegate(), delegation: owner().delegate(grant) };
    let signer = Signer::Delegate(&delegated);
    let agreed = agree(&transcript, application, &signer, [5; 32], CipherId::Aes128Gcm);
    let (input, session) = agreed.expect("the probe's half is sound");
    Some((desk.enter(Op::Open, &input).result.status, session))
}

pub(crate) fn a_delegate_opens_the_epochs_that_he_was_given(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let Some((status, session)) = open_with(&mut desk, &grant(), APPLICATION) else { return };
    assert_eq!(status, Status::Accepted);
    desk.session = session;
    for epoch in [1, 2, 6, u32::MAX] {
        let out_of_range = desk.set_key(&desk.key(&SUM_LINE, epoch, PriorEpoch::None, 0));
        assert_eq!(out_of_range, Err(ControlResult::NotDelegated), "epoch {epoch}");
    }
    let raised = desk.ask(ControlKind::RaiseSerial, &SerialFloor { serial: 9 });
    assert_eq!(raised.result, ControlResult::NotDelegated, "delegates do not judge delegations");
    for epoch in [3, 5] {
        let given: Result<EpochEnd, _> = desk.set_key(&desk.key(&SUM_LINE, epoch, PriorEpoch::None, 0));
        assert!(given.is_ok(), "epoch {epoch}: {given:?}");
    }
}

pub(crate) fn delegations_for_others_and_old_ones_are_refused(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let other = ApplicationId([0xee; 16]);
    let elsewhere = Grant { application: other, ..grant() };
    let Some((status, _)) = open_with(&mut desk, &elsewhere, APPLICATION) else { return };
    assert_eq!(status, Status::Refused, "a delegation for another application");
    let refused = |desk: &mut Desk, grant: &Grant| open_with(desk, grant, APPLICATION).map(|(status, _)| status);
    assert_eq!(refused(&mut desk, &Grant { delegate: [1; 32], ..grant() }), Some(Status::Refused), "another delegate");
    assert_eq!(refused(&mut desk, &grant()), Some(Status::Accepted));
    desk.reopen([8; 16]);
    assert_eq!(desk.ask(ControlKind::RaiseSerial, &SerialFloor { serial: 5 }).result, ControlResult::Done);
    assert_eq!(refused(&mut desk, &grant()), Some(Status::Refused), "a serial below the floor");
    assert_eq!(refused(&mut desk, &Grant { serial: 5, ..grant() }), Some(Status::Accepted));
}

pub(crate) fn a_repeated_challenge_opens_nothing_again(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let Some(first) = desk.attest([6; 16]) else { return };
    let open = |transcript: &[u8]| {
        let identity = owner();
        let agreed = agree(transcript, APPLICATION, &Signer::Owner(&identity), [5; 32], CipherId::Aes128Gcm);
        agreed.expect("the probe's half is sound").0
    };
    let second = desk.attest([6; 16]).expect("as before");
    assert_ne!(first, second, "the same challenge gives another statement");
    assert_eq!(desk.enter(Op::Open, &open(&first)).result.status, Status::Refused, "the first is replaced");
    // A failed attempt is anybody's, so it must not spoil the owner's; one that succeeded is the last.
    assert_eq!(desk.enter(Op::Open, &open(&second)).result.status, Status::Accepted);
    assert_eq!(desk.enter(Op::Open, &open(&second)).result.status, Status::Refused, "a replayed half");
}

pub(crate) fn an_owners_half_of_low_order_is_refused(start: Start<'_>) {
    let mut desk = Desk::active(start);
    let before = desk.session.id();
    let mut one = [0; 32];
    one[0] = 1;
    for ephemeral in [[0; 32], one] {
        let Some(transcript) = desk.attest([7; 16]) else { return };
        let statement = OpenStatement {
            label: Label::Open,
            version: PROTOCOL_VERSION,
            quoted: sha256(&transcript),
            ephemeral,
            application: APPLICATION,
            delegation: [0; 32],
        };
        let mut signed = [0; OpenStatement::BYTES];
        statement.encode(&mut signed).expect("the buffer has the layout's length");
        let signature = owner().sign(&sha256(&signed));
        let open = Open { ephemeral, application: APPLICATION, signature, delegated: 0 };
        let mut input = [0; Open::BYTES];
        open.encode(&mut input).expect("the buffer has the layout's length");
        // The owner signed it, so nothing but the shared secret of zeros is wrong.
        assert_eq!(desk.enter(Op::Open, &input).result.status, Status::Refused);
    }
    assert_eq!(desk.session.id(), before);
    assert!(desk.status().rows.is_empty(), "the owner's session still stands");
}
