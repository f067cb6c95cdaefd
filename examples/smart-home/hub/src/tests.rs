use crate::Hub;
use smart_home_messages::{Celsius, Command, Query, Status, Switch};
use veritee_harness::Harness;

#[test]
fn commands_go_to_the_gateway() {
    let mut hub = Harness::<Hub>::new();
    let command = Command { desired: Celsius { tenths: 215 }, light: Switch::On, ..Command::default() };
    hub.send("command", &command);
    assert_eq!(hub.emitted::<Command>("settings"), [command]);
}

#[test]
fn the_owner_reads_the_last_status() {
    let mut hub = Harness::<Hub>::new();
    assert_eq!(hub.call("query", &Query {}), Ok(Status::default()));
    let status = Status { temperature: Celsius { tenths: 190 }, measured: true, ..Status::default() };
    hub.send("status", &status);
    assert_eq!(hub.call("query", &Query {}), Ok(status));
}
