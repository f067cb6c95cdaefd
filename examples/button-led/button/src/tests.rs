use crate::{Button, Press};
use veritee_harness::Harness;

#[test]
fn each_press_is_emitted_with_its_number() {
    let mut button = Harness::<Button>::new();
    button.enter("press", &());
    button.enter("press", &());
    assert_eq!(button.emitted::<Press>("pressed"), [Press { number: 1 }, Press { number: 2 }]);
}

#[test]
fn a_button_that_moved_goes_on_counting() {
    let mut button = Harness::<Button>::new();
    button.enter("press", &());
    let mut moved = Harness::<Button>::restored(&button.save()).unwrap();
    moved.enter("press", &());
    assert_eq!(moved.emitted::<Press>("pressed"), [Press { number: 2 }]);
}
