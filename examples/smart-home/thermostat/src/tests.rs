use crate::Thermostat;
use smart_home_messages::Switch;
use veritee_harness::{Entered, Harness};

#[test]
fn a_command_is_done_and_told() {
    let mut thermostat = Harness::<Thermostat>::new();
    thermostat.send("heat", &Switch::On);
    thermostat.send("heat", &Switch::Off);
    assert_eq!(thermostat.emitted::<Switch>("heating"), [Switch::On, Switch::Off]);
}

#[test]
fn what_is_neither_on_nor_off_does_nothing() {
    let mut thermostat = Harness::<Thermostat>::new();
    assert_eq!(thermostat.offer_bytes("heat", &[2]), Entered::Malformed);
    assert!(thermostat.is_quiet());
}
