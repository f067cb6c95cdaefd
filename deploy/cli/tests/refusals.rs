//! What is refused, and in which words. Nothing is touched by what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write;
use support::{OWNER, Stage, button_led, ping_pong, source};

/// Applies `up` to each changed descriptor and writes down what it says.
fn session(cases: &[(&str, String)]) -> String {
    session_of("up", cases)
}

/// The same with another verb.
fn session_of(verb: &str, cases: &[(&str, String)]) -> String {
    let stage = Stage::new();
    let mut session = String::new();
    for (number, (case, descriptor)) in cases.iter().enumerate() {
        let application = stage.application(OWNER, &format!("app{number}"), descriptor);
        let said = application.verb(&[verb]).said();
        let err = stage.plain(&said.err).replace(&format!("app{number}"), "app");
        writeln!(session, "## {case}: exit {}\n{}\n", said.code, err.trim_end()).unwrap();
        assert_eq!(said.out, "", "{case}");
        assert_eq!(said.err.matches("error").count(), 1, "{case}: {}", said.err);
        assert!(!application.state().exists(), "{case}: nothing is written down");
    }
    session
}

/// The descriptor of button and LED with some of its text replaced.
fn changed(from: &str, to: &str) -> String {
    let text = button_led();
    assert!(text.contains(from), "{from:?} is not in {text}");
    text.replacen(from, to, 1)
}

#[test]
fn files_that_cannot_be_read_as_descriptors() {
    let cases = [
        ("an unknown key", changed("policy:", "timer: []\npolicy:")),
        ("an unknown key inside", changed("name: press, from", "name: press, form")),
        ("a missing key", changed("application: button-led\n", "")),
        ("a name twice", changed("  led: {", "  button: {")),
        ("an end that is none", changed("to: led.toggle", "to: led")),
        ("a duration without unit", changed("to: led.toggle", "to: led.toggle, deadline: 10")),
        ("a duration in hours", changed("to: led.toggle", "to: led.toggle, deadline: 1h")),
        ("a duration that is too long", changed("to: led.toggle", "to: led.toggle, deadline: 99999999m")),
        ("a kind of restart that is none", changed("  button: { node", "  button: { restart: always, node")),
        ("a restart that is the owner's", changed("  led: { node", "  led: { restart: restore, node")),
        ("no YAML", changed("modules:", "modules: [")),
    ];
    insta::assert_snapshot!(session(&cases));
}

#[test]
fn other_forms_name_the_place_too() {
    let stage = Stage::new();
    let mut session = String::new();
    let texts = [
        ("veritee.json", "{\n  \"application\": \"a\",\n  \"nods\": {}\n}\n"),
        ("veritee.toml", "application = \"a\"\n[node.desk]\nplatform = \"native\"\n"),
        ("veritee.txt", "application: a\n"),
        ("nowhere.yaml", ""),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            std::fs::write(stage.path().join(name), text).unwrap();
        }
        let said = stage.tool(OWNER, &["check"]).arg(name).said();
        writeln!(session, "## {name}: exit {}\n{}", said.code, stage.plain(&said.err)).unwrap();
    }
    insta::assert_snapshot!(session);
}

#[test]
fn descriptors_that_contradict_themselves() {
    let direct = "{ name: state, direct: true, to: led.state }";
    let press = "{ name: press, from: button.pressed, to: led.toggle }";
    let policy = "policy:\n  allow: [native]\n";
    let timer = |text: &str| format!("timers:\n  - {{ {text} }}\npolicy:");
    let cases = [
        ("a bad name of the application", changed("application: button-led", "application: Button LED")),
        ("a bad name of a module", changed("  led: {", "  Led!: {")),
        ("an unknown module", changed("to: led.toggle", "to: lamp.toggle")),
        ("a mistyped module", changed("from: button.pressed", "from: buton.pressed")),
        ("an unknown node", changed("node: ceiling", "node: floor")),
        ("an unknown platform", changed("desk: { platform: native }", "desk: { platform: nativ }")),
        ("an address without port", changed("desk: { platform: native }", "desk: { platform: native, address: here }")),
        ("an unknown cipher", changed("to: led.toggle", "to: led.toggle, cipher: rot13")),
        ("a mistyped cipher", changed("to: led.toggle", "to: led.toggle, cipher: ascon-182")),
        ("two connections of one name", changed("name: state", "name: press")),
        ("two connections the same way", changed(direct, &press.replace("press,", "again,"))),
        ("neither direct nor from", changed("from: button.pressed, ", "")),
        ("both direct and from", changed("name: press,", "name: press, direct: true,")),
        ("callers without direct", changed("to: led.toggle", "to: led.toggle, callers: 2")),
        ("too many callers", changed("to: led.state", "to: led.state, callers: 65")),
        ("to itself", changed("to: led.toggle", "to: button.press")),
        ("a timer of no time", changed("policy:", &timer("entry: button.press, every: 0ms"))),
        ("a timer of nobody", changed("policy:", &timer("entry: door.bell, every: 1s"))),
        ("a platform that the policy does not allow", changed(policy, "")),
        ("a policy for a platform that is none", changed("[native]", "[native, sgy]")),
        ("a freshness that is none", changed(policy, "policy:\n  allow: [native]\n  freshness: [dice]\n")),
        ("quotes of a signer that is none", changed(policy, "policy:\n  allow: [native]\n  quotes: { signer: me }\n")),
        (
            "a status of platforms that is none",
            changed(policy, "policy:\n  allow: [native]\n  quotes: { tcb: [SWHardening] }\n"),
        ),
        ("a missing source", changed("led\" }", "lamp\" }")),
        ("no source", changed(&format!("rust: {:?}", source("examples/button-led/led")), "")),
        ("several at once", changed("to: led.toggle", "to: lamp.toggle, cipher: rot13, callers: 0")),
    ];
    insta::assert_snapshot!(session(&cases));
}

#[test]
fn descriptors_that_contradict_the_modules_ports() {
    let probe = format!("{{ rust: {:?} }}", source("testkit/probe"));
    let circle = format!(
        "application: circle\nnodes:\n  desk: {{ platform: native }}\nmodules:\n  probe_a: {{ node: desk, source: {probe} }}\n  \
         probe_b: {{ node: desk, source: {probe} }}\nconnections:\n  - {{ from: probe_a.ask, to: probe_b.twice }}\n  \
         - {{ from: probe_b.ask, to: probe_a.twice }}\npolicy: {{ allow: [native] }}\n"
    );
    let mixed = ping_pong().replace(
        "modules:",
        &format!(
            "modules:\n  button: {{ node: left, source: {{ rust: {:?} }} }}",
            source("examples/button-led/button")
        ),
    );
    let twice = "application: twice\nnodes:\n  desk: { platform: native }\nmodules:\n  probe_a: { node: desk, source: PROBE }\n  \
                 probe_b: { node: desk, source: PROBE }\n  probe_c: { node: desk, source: PROBE }\nconnections:\n  \
                 - { from: probe_a.ask, to: probe_b.twice }\n  - { from: probe_a.ask, to: probe_c.twice }\n\
                 policy: { allow: [native] }\n";
    let cases = [
        ("an unknown port", changed("to: led.toggle", "to: led.switch")),
        ("a mistyped port", changed("to: led.toggle", "to: led.togle")),
        ("an output as a target", changed("to: led.toggle", "to: led.state")),
        ("an entry as a source", changed("from: button.pressed", "from: button.press")),
        ("a deadline that nobody hears", changed("to: led.toggle", "to: led.toggle, deadline: 10s")),
        ("too many rows", changed("to: led.state", "to: led.state, callers: 64")),
        (
            "a timer of a port that is no entry",
            changed("policy:", "timers:\n  - { entry: led.toggle, every: 1s }\npolicy:"),
        ),
        ("other types at both ends", mixed.replace("from: ping.ping", "from: button.pressed")),
        ("a circle of requests", circle),
        ("a request with two handlers", twice.replace("PROBE", &probe)),
    ];
    insta::assert_snapshot!(session(&cases));
}

/// A room with a board.
const ROOM: &str = r#"application: warm-room
nodes:
  room: { platform: sancus, boards: { board: { drivers: [sensor, led], world: [{ do: "set adc0 100" }] } } }
  desk: { platform: native }
modules:
  thermostat: { node: room, source: { c: SOURCE } }
  burner: { node: room, driver: led }
connections:
  - { name: celsius, direct: true, callers: 1, to: thermostat.temperature }
  - { name: flame, from: thermostat.heat, to: burner.set }
policy:
  allow: [native, sancus-simulated]
"#;

/// The room with some of its text replaced, and the thermostat's source.
fn room(from: &str, to: &str, source: &std::path::Path) -> String {
    let text = ROOM.replace("SOURCE", &source.display().to_string());
    assert!(text.contains(from), "{from:?} is not in {text}");
    text.replacen(from, to, 1)
}

#[test]
fn boards_that_the_descriptor_contradicts() {
    let here = source("examples/button-led/led_c");
    let room = |from: &str, to: &str| room(from, to, here.as_ref());
    let burner = "burner: { node: room, driver: led }";
    let cases = [
        ("a board that the node does not have", room(burner, "burner: { node: room, board: kitchen, driver: led }")),
        ("a driver that the board does not have", room(burner, "burner: { node: room, driver: horn }")),
        ("a driver that no board can have", room("drivers: [sensor, led]", "drivers: [sensor, led, horn]")),
        ("a driver in two modules", room(burner, &format!("{burner}\n  flare: {{ node: room, driver: led }}"))),
        ("a driver with a source", room(burner, "burner: { node: room, driver: led, source: { c: thermostat } }")),
        ("a driver where no boards are", room(burner, "burner: { node: desk, driver: led }")),
        (
            "boards where none can be",
            room("desk: { platform: native }", "desk: { platform: native, boards: { b: {} } }"),
        ),
        ("several boards", room("boards: { board:", "boards: { spare: {}, board:")),
        ("a cipher that boards do not have", room("to: burner.set", "to: burner.set, cipher: ascon-128")),
        ("a command to the world that is none", room("set adc0 100", "push p2.0")),
        ("an input that no board has", room("set adc0 100", "set adc7 100")),
        ("a value that no input takes", room("set adc0 100", "set adc0 5000")),
        ("a finger on no pin", room("set adc0 100", "press p2")),
        ("a board without a key", room("room", "room")),
    ];
    insta::assert_snapshot!(session(&cases));
}

/// A thermostat in C.
const THERMOSTAT: &str = "#include \"veritee.h\"
VT_STRUCT(Celsius, { int16_t tenths; });
VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1 });
VT_OUTPUT(heat, Switch);
VT_INPUT(temperature, Celsius, now) { emit_heat(now->tenths < 200 ? Switch_On : Switch_Off); }
";

#[test]
fn modules_that_do_not_fit_their_board() {
    if !support::board::can_build("modules_that_do_not_fit_their_board") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let module = |name: &str, from: &str, to: &str| {
        assert!(THERMOSTAT.contains(from), "{from}");
        let path = folder.path().join(name);
        support::board::c_module(&path, &THERMOSTAT.replacen(from, to, 1));
        path
    };
    let sound = module("sound", "", "");
    let few = module("few", "VT_OUTPUT", "VT_MODULE(rows = 1);\nVT_OUTPUT");
    let large = module("large", "int16_t tenths;", "int16_t tenths; uint8_t picture[300];");
    let huge =
        module("huge", "emit_heat(", "static const uint8_t table[60000] = { 1 };\n    emit_heat(table[now->tenths] + ");
    let cases = [
        ("too few rows", room("room", "room", &few)),
        (
            "more connections than a driver serves",
            room("  - { name: flame", "  - { name: hand, direct: true, to: burner.toggle }\n  - { name: flame", &sound),
        ),
        ("a payload over the limit", room("room", "room", &large)),
        (
            "a deadline that nobody hears",
            room("to: thermostat.temperature", "to: thermostat.temperature, deadline: 1s", &sound),
        ),
        ("a module that is too big", room("room", "room", &huge)),
    ];
    let folder = folder.path().display().to_string();
    let session = session_of("check", &cases).replace(&folder, "[SOURCES]");
    insta::assert_snapshot!(support::without_lengths(&session));
}

#[test]
fn a_machine_without_compilers() {
    let stage = Stage::new();
    let empty = stage.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let sources = stage.path().join("thermostat");
    support::board::c_module(&sources, THERMOSTAT);
    let application = stage.application(OWNER, "app", &room("room", "room", &sources));
    let mut tool = application.verb(&["check"]);
    tool.0.env("PATH", &empty);
    let said = tool.said();
    insta::assert_snapshot!(format!("exit {}\n{}", said.code, said.err));
}

#[test]
fn nodes_that_are_not_there() {
    let mut stage = Stage::with_nodes(&["desk", "ceiling"]);
    let unknown = session(&[("an unknown node", button_led())]);
    stage.node("ceiling").kill();
    let address = stage.nodes["ceiling"].address.clone();
    let application = stage.application(OWNER, "app", &button_led());
    let mut session = unknown;
    for verb in ["up", "plan", "status", "check"] {
        let said = application.verb(&[verb]).said();
        let err = stage.plain(&said.err).replace(&address, "ADDRESS");
        writeln!(session, "## {verb}, a node is down: exit {}\n{err}", said.code).unwrap();
        assert!(!application.state().exists(), "{verb}: nothing is written down");
    }
    assert!(stage.nodes["desk"].runners().is_empty(), "nothing was loaded");
    insta::assert_snapshot!(session);
}

#[test]
fn payloads_that_no_port_takes() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    let mut session = String::new();
    let calls: [&[&str]; 8] = [
        &["request", "state", "--hex", "0123456789"],
        &["request", "state", "--hex", "xy"],
        &["request", "state", "--hex", "012"],
        &["output", "state"],
        &["request", "press"],
        &["request", "stat"],
        &["call", "button.pres"],
        &["call", "button.press", "--hex", "00"],
    ];
    for words in calls {
        let said = application.verb(words).said();
        let err = stage.plain(&said.err);
        writeln!(session, "## {}: exit {}\n{err}", words.join(" "), said.code).unwrap();
    }
    assert_eq!(application.status().accepted("state"), 0, "no event was sent");
    insta::assert_snapshot!(session);
}

#[test]
fn the_help_of_every_verb() {
    let stage = Stage::new();
    let verbs = "new check build plan run up status call output request evidence disable down state,save \
                 state,restore state,list state delegate delegate,create delegate,show delegate,list \
                 delegate,revoke node,add node,list node,show \
                 node,remove node,key node provider,add-node provider,enrol provider,vendor-key provider,serve \
                 provider,grant provider,release provider,list provider whoami image,inspect image doctor bench backup restore \
                 completions man";
    let mut session = stage.tool(OWNER, &["--help"]).said().ok();
    for verb in verbs.split_whitespace() {
        let words: Vec<&str> = verb.split(',').chain(["--help"]).collect();
        let said = stage.tool(OWNER, &words).said();
        writeln!(session, "\n## veritee {}\n{}", words.join(" "), said.ok()).unwrap();
    }
    insta::assert_snapshot!(session);
}
