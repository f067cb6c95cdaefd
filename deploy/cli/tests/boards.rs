//! Lasting applications on a board: real node, real provider, real serial line, an emulated board at its end.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::board::{HOUSE, KITCHEN, Kitchen, PROVIDER, can_build};
use support::recorder::{Recorder, say_again};
use support::{Application, OWNER, Stage, source, until};

/// Another owner.
const GUEST: &str = "guest";

/// A button and a light of the board, and two modules that hear the button too: one on the board, one on another node.
fn lights(name: &str) -> String {
    format!(
        "application: {name}
nodes:
  house: {{ platform: sancus }}
  attic: {{ platform: native }}
modules:
  button: {{ node: house, driver: button }}
  light: {{ node: house, driver: led }}
  counter: {{ node: house, source: {{ c: {c:?} }} }}
  led: {{ node: attic, source: {{ rust: {rust:?} }} }}
connections:
  - {{ name: press, from: button.pressed, to: light.toggle }}
  - {{ name: near, from: button.pressed, to: counter.toggle }}
  - {{ name: far, from: button.pressed, to: led.toggle }}
  - {{ name: count, direct: true, to: counter.state }}
  - {{ name: state, direct: true, to: led.state }}
policy:
  allow: [native, sancus-simulated]
",
        c = source("examples/button-led/led_c"),
        rust = source("examples/button-led/led"),
    )
}

/// An application of one driver.
fn lamp(name: &str) -> String {
    format!(
        "application: {name}
nodes: {{ house: {{ platform: sancus }} }}
modules:
  lamp: {{ node: house, driver: led }}
  switch: {{ node: house, source: {{ c: switch }} }}
connections:
  - {{ name: shine, from: switch.shine, to: lamp.set }}
  - {{ name: wish, direct: true, to: switch.wish }}
policy: {{ allow: [sancus-simulated] }}
"
    )
}

const SWITCH: &str = "#include \"veritee.h\"
VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
VT_OUTPUT(shine, Switch);
VT_INPUT(wish, Switch, now) { emit_shine(*now); }
";

/// Its folder, with the module's source.
fn lamp_of<'a>(stage: &'a Stage, owner: &'static str, name: &str) -> Application<'a> {
    support::board::c_module(&stage.path().join(name).join("switch"), SWITCH);
    stage.application(owner, name, &lamp(name))
}

/// Presses the button and waits until all who hear it have accepted `count` presses.
fn press(kitchen: &Kitchen, application: &Application<'_>, count: u64) {
    kitchen.press();
    application.status_when("a press", |status| {
        ["press", "near", "far"].iter().all(|name| status.accepted(name) == count) && status.settled()
    });
}

/// Wishes for light or darkness, and sees it.
fn wish(kitchen: &Kitchen, application: &Application<'_>, on: bool) {
    let said = application.verb(&["output", "wish", "--hex", if on { "01" } else { "00" }]).said();
    assert_eq!(said.ok().trim(), "accepted");
    until("the wish", || kitchen.light() == on);
}

#[test]
fn an_application_with_drivers_lives_from_up_to_down() {
    if !can_build("an_application_with_drivers_lives_from_up_to_down") {
        return;
    }
    let mut stage = Stage::with_nodes(&["attic"]);
    let kitchen = Kitchen::build(&mut stage, &["button", "led"]);
    kitchen.welcome(&stage, OWNER);
    let application = stage.application(OWNER, "app", &lights("lights"));
    let planned = application.verb(&["plan"]).said().ok();
    assert!(planned.contains("take button on house from its provider"), "{planned}");
    assert!(planned.contains("load counter on house"), "{planned}");

    let said = application.up();
    assert!(said.err.contains("took driver light on house: sancus (unprotected or simulated)"), "{}", said.err);
    assert!(said.err.contains("connected press: spongent-128, epoch 1"), "{}", said.err);
    said.ok();
    assert_eq!(application.verb(&["plan"]).said().ok().trim(), "nothing to change");
    let (journal, before) = (application.journal(), application.status());
    application.up().ok();
    assert_eq!((application.journal(), application.status().0), (journal, before.0), "up changes nothing");
    assert_eq!(kitchen.holders(&stage, "led"), ["lights"]);

    for count in 1..=3 {
        press(&kitchen, &application, count);
        until("the light", || kitchen.light() == (count % 2 == 1));
    }
    assert_eq!(application.verb(&["request", "count"]).said().ok().trim(), "0300000001");
    application.tells_evidence("counter", &application.status());
    assert_eq!(application.verb(&["request", "state"]).said().ok().trim(), "0300000001");

    application.verb(&["down"]).said().ok();
    assert!(kitchen.holders(&stage, "led").is_empty() && kitchen.holders(&stage, "button").is_empty());
    assert!(stage.nodes["attic"].runners().is_empty());
    // Presses without an application go nowhere; the next one begins anew.
    kitchen.press();
    application.up().ok();
    let first = application.status().number("press", "sent");
    kitchen.press();
    application
        .status_when("a press after down and up", |status| status.number("press", "sent") > first && status.settled());
    application.verb(&["down"]).said().ok();
}

#[test]
fn a_bare_board_is_accepted_by_name_and_with_a_warning() {
    if !can_build("a_bare_board_is_accepted_by_name_and_with_a_warning") {
        return;
    }
    let mut stage = Stage::new();
    let kitchen = Kitchen::build_bare(&mut stage, &["led"]);
    kitchen.welcome(&stage, OWNER);
    let application = lamp_of(&stage, OWNER, "lamp");
    let refused = |policy: &str, words: &str| {
        application.describe(&lamp("lamp").replace("{ allow: [sancus-simulated] }", policy));
        let said = application.up();
        assert!(said.code == 4 && said.err.contains(words), "{}: {}", said.code, said.err);
    };
    refused("{ allow: [sancus-simulated] }", "boards without the board profile");
    refused("{ allow: [sancus-bare] }", "emulated Sancus boards");
    refused("{ allow: [sancus-simulated, sancus-bare] }", "activation ids from none");
    let policy = "{ allow: [sancus-simulated, sancus-bare], freshness: [none] }";
    application.describe(&lamp("lamp").replace("{ allow: [sancus-simulated] }", policy));
    let said = application.up();
    assert!(said.err.contains("! switch: this board lacks the board profile: its firmware can read"), "{}", said.err);
    said.ok();
    assert_eq!(application.status().module("switch")["simulated"], true, "unprotected");
    wish(&kitchen, &application, true);
    application.verb(&["down"]).said().ok();
}

#[test]
fn a_delegate_reaches_no_module_of_a_board() {
    if !can_build("a_delegate_reaches_no_module_of_a_board") {
        return;
    }
    let mut stage = Stage::with_nodes(&["attic"]);
    let kitchen = Kitchen::build(&mut stage, &["button", "led"]);
    kitchen.welcome(&stage, OWNER);
    stage.add_owner(GUEST);
    ["attic", HOUSE].iter().for_each(|node| stage.enrol(GUEST, node));
    let guest = stage.path().join("guest.fingerprint");
    std::fs::write(&guest, stage.tool(GUEST, &["whoami"]).said().ok()).unwrap();
    let told = |module: &str| {
        format!("{module} is on sancus, where nobody can be delegated: whoever knows a module's key is its owner there")
    };
    let delegate = |application: &Application<'_>| {
        let tool = stage.tool(OWNER, &["delegate", "create", "--until", "1h"]).arg("--file").arg(application.file());
        tool.arg("--to").arg(&guest).arg("--out").arg(application.folder.join("delegation.json")).said()
    };

    // Nobody to delegate to: there is no file.
    let application = lamp_of(&stage, OWNER, "lamp");
    application.up().ok();
    let said = delegate(&application);
    assert!(said.code == 2 && said.err.contains(&told("lamp")), "{}: {}", said.code, said.err);
    assert!(!application.folder.join("delegation.json").exists());
    application.verb(&["down"]).said().ok();

    // Some modules on a board: the owner is told which ones, and the delegate, too.
    let application = stage.application(OWNER, "app", &lights("lights"));
    application.up().ok();
    let said = delegate(&application);
    for module in ["button", "counter", "light"] {
        assert!(said.err.contains(&told(module)), "{}", said.err);
    }
    assert!(!said.err.contains("led is on"), "{}", said.err);
    said.ok();
    let acting = |words: &[&str]| {
        stage.tool(GUEST, words).arg("--delegation").arg(application.folder.join("delegation.json")).said()
    };
    assert_eq!(acting(&["request", "state"]).ok().trim(), "0000000000");
    for words in [&["request", "count"][..], &["disable", "counter"]] {
        let said = acting(words);
        assert!(said.code == 2 && said.err.contains(&told("counter")), "{words:?}: {}: {}", said.code, said.err);
    }
    press(&kitchen, &application, 1);
    application.verb(&["down"]).said().ok();
}

#[test]
fn a_driver_is_one_applications_until_it_is_released() {
    if !can_build("a_driver_is_one_applications_until_it_is_released") {
        return;
    }
    let mut stage = Stage::new();
    stage.add_owner(GUEST);
    let mut kitchen = Kitchen::build(&mut stage, &["led"]);
    kitchen.welcome(&stage, OWNER);
    kitchen.welcome(&stage, GUEST);
    let (first, second) = (lamp_of(&stage, OWNER, "first"), lamp_of(&stage, GUEST, "second"));
    first.up().ok();
    wish(&kitchen, &first, true);

    let me = stage.tool(OWNER, &["whoami"]).said().ok();
    let refused = |what: &str| {
        let said = second.up();
        assert_eq!(said.code, 4, "{what}: {}", said.err);
        let told = format!(
            "error: driver led of board kitchen is exclusive: application \"first\" of owner {}… has it for 23 hours more, unless \
             it gives it back before or the provider releases it (`veritee provider release kitchen led`)",
            &me[..16]
        );
        assert!(said.err.contains(&told), "{what}: {}", said.err);
        assert_eq!(said.err.matches("error").count(), 1, "{what}: {}", said.err);
    };
    refused("while it runs");
    wish(&kitchen, &first, false);
    let down = second.verb(&["down"]).said();
    assert!(down.err.contains("lamp on house is with its provider"), "nothing was given back: {}", down.err);
    down.ok();
    assert_eq!(kitchen.holders(&stage, "led"), ["first"]);
    // What is refused is not half there: looking takes nothing either.
    let looked = second.verb(&["status"]).said();
    assert!(looked.err.contains("driver led of board kitchen is not lent to this application"), "{}", looked.err);
    assert_eq!(kitchen.holders(&stage, "led"), ["first"]);

    // The grant outlives the provider's service and the board.
    kitchen.stop_service();
    let alone = first.verb(&["status"]).said();
    assert!(alone.err.contains("is `veritee provider serve` running there"), "{}", alone.err);
    kitchen.start_service(&stage);
    refused("after the service died");
    kitchen.stop_board();
    kitchen.start_board();
    refused("after the board died");
    first.up().ok();
    wish(&kitchen, &first, true);
    assert_eq!(first.status().epoch("shine"), 2, "another life of the driver, another epoch");

    let released = stage.tool(PROVIDER, &["provider", "release", KITCHEN, "led"]).said().ok();
    assert_eq!(released.trim(), "driver led of board kitchen is free");
    let looked = first.verb(&["status"]).said();
    assert!(looked.err.contains("module lamp: driver led of board kitchen is not lent"), "{}", looked.err);
    assert!(kitchen.holders(&stage, "led").is_empty(), "looking takes nothing");
    second.up().ok();
    wish(&kitchen, &second, false);
    // The one before reaches its own module, but not the light.
    first.verb(&["output", "wish", "--hex", "01"]).said().ok();
    let told = first.up();
    assert!(told.err.contains("application \"second\""), "{}", told.err);
    wish(&kitchen, &second, true);
    wish(&kitchen, &second, false);

    second.verb(&["down"]).said().ok();
    first.up().ok();
    wish(&kitchen, &first, true);
    first.verb(&["down"]).said().ok();
    drop((first, second));
    stage.node(HOUSE).kill();
}

#[test]
fn what_was_said_to_a_provider_is_worth_nothing_when_it_comes_again() {
    if !can_build("what_was_said_to_a_provider_is_worth_nothing_when_it_comes_again") {
        return;
    }
    let mut stage = Stage::new();
    let mut kitchen = Kitchen::build(&mut stage, &["led"]);
    let recorder = Recorder::before(&kitchen.address);
    stage.enrol(OWNER, HOUSE);
    let key = kitchen.key_at(&recorder.address, &stage, OWNER);
    stage.tool(OWNER, &["node", "key", HOUSE]).arg(&key).said().ok();
    let application = lamp_of(&stage, OWNER, "lamp");
    application.up().ok();
    wish(&kitchen, &application, true);
    assert_eq!(kitchen.holders(&stage, "led"), ["lamp"]);
    application.verb(&["down"]).said().ok();

    let calls = recorder.calls();
    assert!(!calls.is_empty() && calls.iter().all(|call| !call.is_empty()), "the owner asked through the recorder");
    let again = |kitchen: &Kitchen, what: &str| {
        for call in &calls {
            let answer = say_again(&kitchen.address, call);
            assert!(!answer.is_empty(), "{what}: the service takes up the handshake before it sees what this is");
            assert!(kitchen.holders(&stage, "led").is_empty(), "{what}: the driver stays free");
        }
    };
    again(&kitchen, "after the driver was given back");
    kitchen.stop_board();
    kitchen.start_board();
    again(&kitchen, "after the board was reset");
    kitchen.stop_service();
    kitchen.start_service(&stage);
    again(&kitchen, "after the service began anew");

    application.up().ok();
    wish(&kitchen, &application, true);
    again_while_held(&kitchen, &stage, &calls);
    wish(&kitchen, &application, false);
    application.verb(&["down"]).said().ok();
}

/// What gave the driver back once does not give it back now.
fn again_while_held(kitchen: &Kitchen, stage: &Stage, calls: &[Vec<u8>]) {
    for call in calls {
        say_again(&kitchen.address, call);
        assert_eq!(kitchen.holders(stage, "led"), ["lamp"]);
    }
}

/// A key of which one digit was changed.
fn spoil(key: &std::path::Path) {
    let text = std::fs::read_to_string(key).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let digits = value["credential"]["key"].as_str().unwrap().to_owned();
    let other = if digits.starts_with('0') { "1" } else { "0" };
    value["credential"]["key"] = format!("{other}{}", &digits[1..]).into();
    std::fs::write(key, value.to_string()).unwrap();
}

#[test]
fn what_cannot_work_with_a_board_is_told_in_one_sentence() {
    if !can_build("what_cannot_work_with_a_board_is_told_in_one_sentence") {
        return;
    }
    let mut stage = Stage::new();
    let mut kitchen = Kitchen::build(&mut stage, &["led"]);
    stage.enrol(OWNER, HOUSE);
    let application = lamp_of(&stage, OWNER, "lamp");
    let mut session = String::new();
    let mut tell = |what: &str, said: support::Said| {
        let errors = said.err.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "{what}: {}", said.err);
        let err = stage.plain(&said.err);
        let line = err.lines().find(|line| line.starts_with("error")).unwrap_or("no error");
        session += &format!("## {what}: exit {}\n{line}\n\n", said.code);
    };
    tell("no key", application.up());
    let key = kitchen.key(&stage, OWNER);
    let take = || stage.tool(OWNER, &["node", "key", HOUSE]).arg(&key).said();
    spoil(&key);
    take().ok();
    tell("a wrong key", application.up());
    std::fs::write(&key, "{}").unwrap();
    tell("a file that is no key", take());
    kitchen.key(&stage, OWNER);
    take().ok();
    tell("a board that the owner has no key of", {
        application.describe(&lamp("lamp").replace("lamp: { node: house", "lamp: { node: house, board: attic"));
        application.up()
    });
    tell("a driver that the board does not have", {
        application.describe(&lamp("lamp").replace("driver: led", "driver: horn"));
        application.up()
    });
    application.describe(&lamp("lamp"));
    let big = SWITCH
        .replace("{ emit", "{ static const uint8_t table[36000] = { 1 }; emit")
        .replace("(*now)", "(table[*now] != 0)");
    support::board::c_module(&application.folder.join("switch"), &big);
    tell("a module that is too big for this board", application.up());
    support::board::c_module(&application.folder.join("switch"), SWITCH);
    application.up().ok();
    let other = SWITCH.replace("emit_shine(*now)", "if (*now == Switch_On) emit_shine(*now)");
    support::board::c_module(&application.folder.join("switch"), &other);
    tell("a look at a module whose source was changed", application.verb(&["status"]).said());
    let planned = application.verb(&["plan"]).said().ok();
    assert!(planned.contains("replace switch on house, measured where it will be placed"), "{planned}");
    assert!(planned.contains("connect shine under a new key, epoch 2"), "{planned}");
    application.up().ok();
    wish(&kitchen, &application, true);

    let heard = application.status_when("the wish", |status| status.accepted("shine") > 0).accepted("shine");
    kitchen.freeze_board();
    tell("a board that falls silent while a module of it is asked", application.verb(&["status"]).said());
    kitchen.thaw_board();
    until("the board's answer", || application.verb(&["status"]).said().code == 0);
    wish(&kitchen, &application, true);
    application.status_when("a wish after the silence", |status| status.accepted("shine") == heard + 1);
    kitchen.stop_board();
    tell("a board that is not there", application.up());
    let silent = kitchen.silent_board();
    let mut said = application.up();
    until("the node's notice", || {
        let noticed = said.err.contains("does not answer");
        if !noticed {
            said = application.up();
        }
        noticed
    });
    tell("a board that does not answer", said);
    drop(silent);
    kitchen.start_board();
    application.up().ok();
    wish(&kitchen, &application, true);
    application.verb(&["down"]).said().ok();
    insta::assert_snapshot!(support::without_lengths(&session));
}
