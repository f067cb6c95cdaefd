use crate::{Led, Light, Press, Question};
use button_led_button::Button;
use veritee::Payload;
use veritee_harness::{Entered, Harness};

#[test]
fn every_press_changes_the_light() {
    let mut led = Harness::<Led>::new();
    for number in 1..=3 {
        led.send("toggle", &Press { number });
    }
    assert_eq!(led.call("state", &Question {}), Ok(Light { presses: 3, on: true }));
}

#[test]
fn what_is_no_press_changes_nothing() {
    let mut led = Harness::<Led>::new();
    assert_eq!(led.offer_bytes("toggle", &[1, 0]), Entered::Malformed);
    assert_eq!(led.call("state", &Question {}), Ok(Light::default()));
}

#[test]
fn the_button_drives_the_light() {
    assert_eq!(Press::HASH, button_led_button::Press::HASH);
    let (mut button, mut led) = (Harness::<Button>::new(), Harness::<Led>::new());
    button.enter("press", &());
    for press in button.emitted::<Press>("pressed") {
        led.send("toggle", &press);
    }
    assert_eq!(led.call("state", &Question {}), Ok(Light { presses: 1, on: true }));
}
