use crate::{Ball, Game, Ping, Question, Score};
use ping_pong_pong::Pong;
use veritee_harness::Harness;

#[test]
fn a_game_has_as_many_balls_as_asked() {
    let (mut ping, mut pong) = (Harness::<Ping>::new(), Harness::<Pong>::new());
    ping.enter("start", &Game { balls: 5 });
    let mut flights = 0;
    while !ping.is_quiet() {
        ping.emitted::<Ball>("ping").iter().for_each(|ball| pong.send("ping", ball));
        pong.emitted::<Ball>("pong").iter().for_each(|ball| ping.send("pong", ball));
        flights += 1;
    }
    assert_eq!(flights, 5);
    assert_eq!(ping.call("score", &Question {}), Ok(Score { returned: 5, balls: 5 }));
}

#[test]
fn a_running_game_is_not_started_again() {
    let mut ping = Harness::<Ping>::new();
    ping.enter("start", &Game { balls: 2 });
    ping.enter("start", &Game { balls: 9 });
    assert_eq!(ping.emitted::<Ball>("ping").len(), 1);
    assert_eq!(ping.call("score", &Question {}), Ok(Score { returned: 0, balls: 2 }));
}
