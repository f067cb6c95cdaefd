use crate::LightSwitch;
use smart_home_messages::Switch;
use veritee_harness::{Entered, Harness};

#[test]
fn a_command_is_done_and_told() {
    let mut light_switch = Harness::<LightSwitch>::new();
    light_switch.send("light", &Switch::On);
    light_switch.send("light", &Switch::Off);
    assert_eq!(light_switch.emitted::<Switch>("lit"), [Switch::On, Switch::Off]);
}

#[test]
fn what_is_neither_on_nor_off_does_nothing() {
    let mut light_switch = Harness::<LightSwitch>::new();
    assert_eq!(light_switch.offer_bytes("light", &[2]), Entered::Malformed);
    assert!(light_switch.is_quiet());
}
