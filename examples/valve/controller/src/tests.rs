use crate::{Controller, Position, Sample};
use veritee_harness::{Entered, Harness};

fn position_for(value: u16) -> u16 {
    let mut controller = Harness::<Controller>::new();
    controller.send("level", &Sample { value });
    let positions = controller.emitted::<Position>("position");
    assert_eq!(positions.len(), 1, "one sample, one position");
    positions[0].value
}

#[test]
fn the_valve_is_open_below_the_ramp_and_closed_when_the_tank_is_full() {
    assert_eq!([0, 2500].map(position_for), [255, 255]);
    assert_eq!([3000, 4095, u16::MAX].map(position_for), [0, 0, 0]);
    assert_eq!(position_for(2750), 127);
}

#[test]
fn what_is_no_sample_moves_nothing() {
    let mut controller = Harness::<Controller>::new();
    assert_eq!(controller.offer_bytes("level", &[1, 0, 0, 0]), Entered::Malformed);
    assert!(controller.emitted::<Position>("position").is_empty());
}
