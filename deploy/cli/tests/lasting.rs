//! A lasting application: brought up, used, changed, interrupted, taken down.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader};
use std::time::Duration;
use support::{Application, OWNER, Stage, Status, button_led, ping_pong, source};

/// Presses the button so many times.
fn press(application: &Application<'_>, times: usize) {
    for _ in 0..times {
        application.verb(&["call", "button.press"]).said().ok();
    }
}

#[test]
fn an_application_lives_from_up_to_down() {
    let mut stage = Stage::with_nodes(&["desk", "ceiling"]);
    let listed = stage.tool(OWNER, &["node", "list"]).said().ok();
    assert!(listed.contains("ceiling") && listed.contains("desk"), "{listed}");
    let application = stage.application(OWNER, "app", &button_led());
    let planned = application.verb(&["plan"]).said().ok();
    assert!(planned.contains("load button on desk") && planned.contains("connect press under a new key, epoch 1"));
    assert_eq!(application.journal(), "", "a plan writes nothing down");

    let said = application.up();
    assert!(said.err.contains("attested led on ceiling: native (unprotected or simulated)"), "{}", said.err);
    assert!(said.err.contains("connected press: aes-128-gcm, epoch 1"), "{}", said.err);
    said.ok();
    assert_eq!(application.verb(&["plan"]).said().ok().trim(), "nothing to change");

    let before = (application.journal(), application.status());
    let again = application.up();
    assert!(!again.err.contains("connected"), "{}", again.err);
    again.ok();
    assert_eq!((application.journal(), application.status().0), (before.0, before.1.0), "up changes nothing");

    press(&application, 3);
    let status = application.status_when("three presses", |status| status.accepted("press") == 3);
    assert_eq!(status.number("press", "sent"), 3);
    let light = application.verb(&["request", "state"]).said().ok();
    assert_eq!(light.trim(), "0300000001");
    let reply = application.verb(&["request", "state", "--output", "json"]).said().json();
    assert_eq!(reply["reply"], "0300000001");

    application.verb(&["disable", "button"]).said().ok();
    assert_ne!(application.verb(&["call", "button.press"]).said().code, 0, "a disabled module is no use");
    assert_eq!(application.status().module("button")["lifecycle"], "disabled");

    application.verb(&["down"]).said().ok();
    let runners: usize = stage.nodes.values().map(|node| node.runners().len()).sum();
    assert_eq!(runners, 0, "all modules have ended");
    assert_eq!(application.verb(&["down"]).said().ok().trim(), "button-led is down");
    let gone = application.verb(&["call", "button.press"]).said();
    assert_eq!(gone.code, 5, "{}", gone.err);
    application.up().ok();
    press(&application, 1);
    application.status_when("a press after down and up", |status| status.accepted("press") == 1);
    drop(application);
    stage.node("desk").kill();
}

#[test]
fn a_module_that_is_older_than_itself_is_named_and_disabled() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    press(&application, 3);
    application.status_when("three presses", |status| status.accepted("press") == 3);
    application.finds_older("led");
    application.finds_older("button");
}

#[test]
fn a_module_in_c_is_no_different_from_outside() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let [rust, c] = ["led", "led_c"].map(|folder| source(&format!("examples/button-led/{folder}")));
    // Under a name of its own: images of one name would overwrite each other in the folder that the tests share.
    let text = button_led().replace(&format!("rust: {rust:?}"), &format!("c: {c:?}"));
    let text = text.replace("  led: {", "  led_c: {").replace("led.", "led_c.");
    let application = stage.application(OWNER, "app", &text);
    application.up().ok();
    press(&application, 3);
    application.status_when("three presses", |status| status.accepted("press") == 3);
    assert_eq!(application.verb(&["request", "state"]).said().ok().trim(), "0300000001");
    application.verb(&["down"]).said().ok();
}

#[test]
fn events_from_the_owner_are_accepted() {
    let stage = Stage::with_nodes(&["vault", "office"]);
    let text = format!(
        "application: db\nnodes:\n  vault: {{ platform: native }}\n  office: {{ platform: native }}\nmodules:\n  \
         database: {{ node: vault, source: {{ rust: {:?} }} }}\n  client: {{ node: office, source: {{ rust: {:?} }} }}\n\
         connections:\n  - {{ name: store, direct: true, to: database.store }}\n  \
         - {{ name: lookup, from: client.lookup, to: database.get }}\n  \
         - {{ name: last, direct: true, to: client.last }}\npolicy: {{ allow: [native] }}\n",
        source("examples/db/database"),
        source("examples/db/client"),
    );
    let application = stage.application(OWNER, "app", &text);
    application.up().ok();
    // A record: key u32, length u16, value.
    let stored = application.verb(&["output", "store", "--hex", "07000000 0300 414243"]).said();
    assert_eq!(stored.ok().trim(), "accepted");
    application.verb(&["call", "client.get", "--hex", "07000000"]).said().ok();
    let found = |reply: &str| reply.starts_with("01") && reply.contains("414243");
    support::until("the look-up", || found(&application.verb(&["request", "last"]).said().ok()));
    application.verb(&["call", "client.get", "--hex", "08000000"]).said().ok();
    support::until("the refusal", || application.verb(&["request", "last"]).said().ok().starts_with("02"));
    let status = application.settle();
    assert_eq!((status.accepted("store"), status.accepted("lookup")), (1, 2));
}

#[test]
fn a_change_changes_only_what_differs() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    press(&application, 2);
    application.status_when("two presses", |status| status.accepted("press") == 2);
    let runners = |name: &str| stage.nodes[name].runners();
    let (button, led) = (runners("desk"), runners("ceiling"));

    // Another button beside the first one: nothing of the first pair is touched.
    let second = button_led()
        .replace(
            "  led: {",
            &format!(
                "  button_b: {{ node: desk, source: {{ rust: {:?} }} }}\n  led: {{",
                source("examples/button-led/button")
            ),
        )
        .replace(
            "  - { name: state",
            "  - { name: press-b, from: button_b.pressed, to: led.toggle }\n  - { name: state",
        );
    application.describe(&second);
    let planned = application.verb(&["plan"]).said().ok();
    assert_eq!(planned.lines().count(), 2, "{planned}");
    assert!(planned.contains("load button_b on desk") && planned.contains("connect press-b"), "{planned}");
    let said = application.up();
    assert!(said.err.contains("connected press-b") && !said.err.contains("connected press:"), "{}", said.err);
    press(&application, 1);
    application.verb(&["call", "button_b.press"]).said().ok();
    let status =
        application.status_when("both", |status| status.accepted("press-b") == 1 && status.accepted("press") == 3);
    assert_eq!((status.epoch("press"), status.epoch("press-b")), (1, 1));
    assert!(runners("desk").contains(&button[0]));

    // Without it again.
    application.describe(&button_led());
    let planned = application.verb(&["plan"]).said().ok();
    assert!(
        planned.contains("unload button_b from desk") && planned.contains("remove connection press-b"),
        "{planned}"
    );
    application.up().ok();
    assert_eq!((runners("desk"), runners("ceiling")), (button, led), "the first pair lives on");
    press(&application, 1);
    application.status_when("four presses", |status| status.accepted("press") == 4);

    // The LED moves: it is another one, its connection goes on in a new epoch.
    application.describe(&button_led().replace("node: ceiling", "node: desk"));
    application.up().ok();
    assert!(runners("ceiling").is_empty());
    press(&application, 1);
    let status = application.status_when("a press after the move", |status| status.accepted("press") > 0);
    assert_eq!((status.epoch("press"), status.accepted("press")), (2, 1));

    // With another cipher it is another connection.
    let other = button_led()
        .replace("node: ceiling", "node: desk")
        .replace("to: led.toggle", "to: led.toggle, cipher: ascon-128");
    application.describe(&other);
    let planned = application.verb(&["plan"]).said().ok();
    assert!(planned.contains("connect press under a new key, epoch 1, ascon-128"), "{planned}");
    application.up().ok();
    press(&application, 2);
    let status = application.status_when("presses under ascon", |status| status.accepted("press") == 2);
    assert_eq!(status.connection("press")["cipher"], "ascon-128");
    assert_eq!(application.verb(&["plan"]).said().ok().trim(), "nothing to change");
}

/// Both players of a game, and what the game came to.
fn play(application: &Application<'_>, balls: u32) -> Status {
    let hex: String = balls.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    application.verb(&["call", "ping.start", "--hex", &hex]).said().ok();
    application.status_when("the game", |status| status.settled() && status.accepted("back") >= u64::from(balls))
}

#[test]
fn an_interrupted_up_is_finished_by_the_next_one() {
    let stage = Stage::with_nodes(&["left", "right"]);
    let application = stage.application(OWNER, "app", &ping_pong());
    let mut floor = 0;
    // After so many lines of progress.
    for lines in 1..=5 {
        let mut running = application.verb(&["up"]).spawn();
        let stderr = BufReader::new(running.child().stderr.take().unwrap());
        // Fewer lines when less is to be done.
        stderr.lines().take(lines).for_each(drop);
        running.kill();
        floor = finished(&application, floor);
        if lines % 2 == 0 {
            application.verb(&["down"]).said().ok();
            floor = 0;
        }
    }
    // And at any time.
    for tenths in 0..24 {
        let running = application.verb(&["up"]).spawn();
        std::thread::sleep(Duration::from_millis(60 + 7 * tenths));
        running.kill();
        if tenths % 4 == 3 {
            finished(&application, 0);
            application.verb(&["down"]).said().ok();
        }
    }
    finished(&application, 0);
}

/// Brings an interrupted application up, plays, and gives the epoch, which is not below the one before.
fn finished(application: &Application<'_>, floor: u64) -> u64 {
    application.up().ok();
    assert_eq!(application.verb(&["plan"]).said().ok().trim(), "nothing to change");
    let before = application.status();
    let after = play(application, 10);
    assert_eq!(after.accepted("back") - before.accepted("back"), 10);
    assert_eq!(after.accepted("there") - before.accepted("there"), 10);
    assert!(after.epoch("there") >= floor, "epochs go up");
    after.epoch("there")
}
