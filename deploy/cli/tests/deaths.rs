//! Deaths of daemons and of modules, in the middle of the work.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};
use support::{Application, OWNER, Stage, Status, button_led, ping_pong, until};

fn start(application: &Application<'_>, balls: u32) {
    let hex: String = balls.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    application.verb(&["call", "ping.start", "--hex", &hex]).said().ok();
}

/// Kills and restarts the daemons of both nodes in turn, until the game is over.
#[test]
fn daemons_that_are_killed_lose_nothing_and_repeat_nothing() {
    const BALLS: u32 = 20_000;
    const KILLS: usize = 12;
    let mut stage = Stage::with_nodes(&["left", "right"]);
    stage.application(OWNER, "app", &ping_pong()).up().ok();
    start(&stage.application(OWNER, "app", &ping_pong()), BALLS);
    for kill in 0..KILLS {
        let node = stage.node(["left", "right"][kill % 2]);
        let runners = node.runners();
        node.kill();
        node.start();
        assert_eq!(node.runners(), runners, "modules outlive their daemon");
        // The game goes on for a while before the next death.
        let go_on = Instant::now() + Duration::from_millis(40 * (1 + kill as u64 % 4));
        until("a little time", || Instant::now() > go_on);
    }
    let application = stage.application(OWNER, "app", &ping_pong());
    let wanted = u64::from(BALLS);
    let status = application.status_when("the game", |status| status.accepted("back") == wanted && status.settled());
    assert_eq!((status.number("there", "sent"), status.accepted("there")), (wanted, wanted));
    assert_eq!((status.epoch("there"), status.epoch("back")), (1, 1), "no epoch was given up");
    // Returned and played: each ball was handled once, in order.
    let score = application.verb(&["request", "score"]).said().ok();
    assert_eq!(score.trim(), "204e0000204e0000");
}

/// The figures in a line of costs are the same in every run of these tests.
fn cost(said: &str, connection: &str) -> String {
    let line = said.lines().find(|line| line.contains(&format!("connection {connection}, epoch")));
    line.unwrap_or_else(|| panic!("no cost of {connection} in: {said}")).trim().to_owned()
}

/// Presses so many times and waits until all is accepted.
fn press(application: &Application<'_>, times: u64) -> Status {
    let before = application.status().accepted("press");
    for _ in 0..times {
        application.patient(&["call", "button.press"]).ok();
    }
    application.status_when("presses", |status| status.settled() && status.accepted("press") == before + times)
}

#[test]
fn the_death_of_a_target_is_told_with_a_bound() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    press(&application, 3);
    stage.nodes["ceiling"].kill_module();
    for _ in 0..2 {
        application.verb(&["call", "button.press"]).said().ok();
    }
    let dead = |said: &support::Said| said.code == 0 && said.err.contains("does not live");
    until("the node's notice", || dead(&application.verb(&["status"]).said()));
    let said = application.verb(&["status"]).said();
    let told = "connection press, epoch 1: the target is gone; 5 emitted (sealed), at least 3 accepted (its last sealed \
                status), at most 2 lost; the node of the source claims 5 emitted, 3 accepted, 2 waiting";
    assert!(cost(&said.out, "press").contains(told), "{}", said.out);
    let status = application.status();
    assert_eq!(status.module("led")["attested"], false);
    assert_eq!(status.0["broken"][0]["sent"]["sealed"], 5);
    assert_eq!(status.0["broken"][0]["accepted"]["at-least"], 3);

    // `restart: none`: dead until `up`, which tells the same.
    assert!(stage.nodes["ceiling"].runners().is_empty());
    let said = application.up();
    assert!(
        cost(&said.err, "press").contains("the target is gone; 5 emitted (sealed), at least 3 accepted"),
        "{}",
        said.err
    );
    said.ok();
    let status = press(&application, 4);
    assert_eq!((status.epoch("press"), status.accepted("press")), (2, 4));
    assert!(status.0["broken"].as_array().unwrap().is_empty());
}

#[test]
fn the_death_of_a_source_is_told_with_a_bound() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let fresh = button_led().replace("button: { node", "button: { restart: fresh, node");
    let application = stage.application(OWNER, "app", &fresh);
    application.up().ok();
    press(&application, 3);
    for round in 1..=3_u64 {
        let before = application.status();
        let runner = stage.nodes["desk"].kill_module();
        until("a fresh start", || stage.nodes["desk"].runners().iter().any(|other| *other != runner));
        let restarted = |status: &Status| {
            status.module("button")["activation"] != before.module("button")["activation"]
                && status.module("button")["attested"] == true
        };
        let status = application.status_when("a new activation", restarted);
        assert_eq!(status.0["broken"][0]["accepted"]["sealed"], 3);
        assert_eq!(status.0["broken"][0]["sent"]["at-least"], 3);
        let said = application.up();
        let told = "the source is gone; 3 accepted (sealed), at least 3 emitted (its last sealed status, and what was accepted), \
                    at least 0 lost or unstored";
        assert!(cost(&said.err, "press").contains(told), "{}", said.err);
        said.ok();
        assert_eq!(press(&application, 3).epoch("press"), round + 1);
    }
}

#[test]
fn a_game_goes_on_in_new_epochs_after_both_players_died() {
    let stage = Stage::with_nodes(&["left", "right"]);
    let fresh = ping_pong().replace("{ node:", "{ restart: fresh, node:");
    let application = stage.application(OWNER, "app", &fresh);
    application.up().ok();
    start(&application, 10_000_000);
    let mut epochs = vec![1];
    for nodes in [&["left"][..], &["right"], &["left", "right"]] {
        let before = application.status().accepted("there");
        application.status_when("the flood", |status| status.accepted("there") > before + 100);
        for node in nodes {
            let runner = stage.nodes[*node].kill_module();
            until("a fresh start", || stage.nodes[*node].runners().iter().any(|other| *other != runner));
        }
        let said = application.up();
        assert_eq!(said.code, 0, "{}", said.err);
        let told = cost(&said.err, "there");
        let gone = ["the source is gone", "the target is gone", "both ends are gone"][epochs.len() - 1];
        assert!(told.contains(gone), "{told}");
        let epoch = application.status().epoch("there");
        assert!(epoch > *epochs.last().unwrap());
        epochs.push(epoch);
        // The ball is lost with the player who had it; a new ping serves again, an old one would wait for ever.
        if !nodes.contains(&"left") {
            let runner = stage.nodes["left"].kill_module();
            until("a new ping", || stage.nodes["left"].runners().iter().any(|other| *other != runner));
            until("it is up again", || application.up().code == 0);
        }
        start(&application, 10_000_000);
    }
}

#[test]
fn a_watcher_connects_again_what_its_node_restarted() {
    let mut stage = Stage::with_nodes(&["desk", "ceiling"]);
    let fresh = button_led().replace("led: { node", "led: { restart: fresh, node");
    let application = stage.application(OWNER, "app", &fresh);
    application.up().ok();
    let mut watch = application.verb(&["up", "--watch"]).spawn();
    // Before it watches it works, and is told of others that are in its way.
    let mut said = BufReader::new(watch.child().stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("watching")), "the watch did not begin");
    // Its pipe stays open as long as it talks.
    let talk = std::thread::spawn(move || said.last());
    press(&application, 2);
    stage.nodes["ceiling"].kill_module();
    let again = |application: &Application<'_>, epoch| {
        // The watcher holds the state for a moment now and then.
        until("a repair", || {
            let said = application.verb(&["status", "--output", "json"]).said();
            said.code == 0 && Status(serde_json::from_str(&said.out).unwrap()).epoch("press") >= epoch
        });
    };
    again(&application, 2);
    press(&application, 2);
    // A daemon that comes back does not end the watch.
    drop(application);
    stage.node("ceiling").kill();
    stage.node("ceiling").start();
    let application = stage.application(OWNER, "app", &fresh);
    stage.nodes["ceiling"].kill_module();
    again(&application, 3);
    press(&application, 2);
    watch.kill();
    talk.join().unwrap();
}
