use crate::{Ball, Pong};
use veritee_harness::Harness;

#[test]
fn every_ball_comes_back_as_it_was() {
    let mut pong = Harness::<Pong>::new();
    pong.send("ping", &Ball { number: 7 });
    assert_eq!(pong.emitted::<Ball>("pong"), [Ball { number: 7 }]);
}
