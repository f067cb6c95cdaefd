use super::{Seen, WentBack};
use veritee_ids::{
    ActivationId, ApplicationId, CipherId, ConnectionId, Counter, Epoch, Lifecycle, OperationId, Role, RowIndex,
    SessionId,
};
use veritee_session::Status;
use veritee_wire::layout::{RowStatus, StatusHead};

const LIFE: ActivationId = ActivationId([7; 16]);

/// A status with rows of connection, epoch and counter, each in the row of its connection's number.
fn status(floor: u32, rows: &[(u16, u32, u64)]) -> Status {
    let head = StatusHead {
        activation: LIFE,
        application: ApplicationId([1; 16]),
        operation: OperationId([0; 16]),
        last_session: SessionId([0; 16]),
        last_counter: Counter(0),
        malformed: 0,
        unconnected: 0,
        lifecycle: Lifecycle::Active,
        last_kind: 0,
        last_result: 0,
        change: 0,
        next_row: RowIndex(0xffff),
        rows: 0,
        epoch_floor: Epoch(floor),
    };
    let rows = rows.iter().map(|(connection, epoch, next)| RowStatus {
        row: RowIndex(*connection),
        connection: ConnectionId(*connection),
        role: Role::Receiver,
        cipher: CipherId::Aes128Gcm,
        state: 1,
        epoch: Epoch(*epoch),
        pending_epoch: Epoch(0),
        next: Counter(*next),
        closing: Counter(0),
    });
    Status { head, rows: rows.collect() }
}

fn noted(rows: &[(u16, u32, u64)]) -> Seen {
    let mut seen = Seen::default();
    seen.take("led", LIFE, &status(0, rows));
    seen
}

#[test]
fn a_module_that_goes_on_is_not_older() {
    let seen = noted(&[(1, 2, 5), (2, 1, 0)]);
    for rows in [
        &[(1, 2, 5), (2, 1, 0)][..],
        &[(1, 2, 6), (2, 1, 9)],
        &[(1, 3, 0), (2, 1, 0)],
        &[(1, 2, 5), (2, 1, 0), (3, 1, 0)],
    ] {
        assert_eq!(seen.went_back("led", LIFE, &status(0, rows)), None, "{rows:?}");
    }
}

#[test]
fn counters_epochs_and_rows_that_go_back_are_named() {
    let seen = noted(&[(1, 2, 5), (2, 1, 3)]);
    let back = |rows: &[_]| seen.went_back("led", LIFE, &status(0, rows));
    let named = |connection, before, now| Some(WentBack { connection: ConnectionId(connection), before, now });
    assert_eq!(back(&[(1, 2, 5), (2, 1, 2)]), named(2, (Epoch(1), 3), (Epoch(1), 2)), "a counter");
    assert_eq!(back(&[(1, 1, 900), (2, 1, 3)]), named(1, (Epoch(2), 5), (Epoch(1), 900)), "an epoch");
    assert_eq!(back(&[(1, 2, 5)]), named(2, (Epoch(1), 3), (Epoch(0), 0)), "from before its key");
}

#[test]
fn rows_that_were_removed_and_other_activations_are_not_older() {
    let seen = noted(&[(1, 2, 5)]);
    assert_eq!(seen.went_back("led", LIFE, &status(2, &[])), None, "removed");
    assert_eq!(seen.went_back("led", LIFE, &status(2, &[(1, 3, 0)])), None, "removed and connected again");
    assert_eq!(seen.went_back("led", ActivationId([8; 16]), &status(0, &[(1, 1, 0)])), None, "another life");
    assert_eq!(seen.went_back("button", LIFE, &status(0, &[(1, 1, 0)])), None, "another module");
}

#[test]
fn a_note_is_read_as_it_was_written() {
    let seen = noted(&[(1, 2, 5)]);
    let text = serde_json::to_string(&seen).expect("it is JSON");
    let again: Seen = serde_json::from_str(&text).expect("it is ours");
    assert_eq!(again.counter("led", LIFE, (ConnectionId(1), Epoch(2))), Some(5));
    assert!(again.went_back("led", LIFE, &status(0, &[(1, 2, 4)])).is_some());
}
