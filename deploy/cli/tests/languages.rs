//! One module in two languages: the gateway of the smart home, in Rust and in C, in the place of each other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::{Application, OWNER, Stage, enclaves_run, source};

/// A gateway: its name, language and folder. Each has a name of its own: images of one name would overwrite each other in the folder that
/// the tests share.
const GATEWAYS: [(&str, &str, &str); 2] = [("gateway", "rust", "gateway"), ("gateway_c", "c", "gateway_c")];

/// The smart home on two nodes, with the owner in the place of the sensor.
fn home((name, language, folder): (&str, &str, &str), server: &str, deadline: &str) -> String {
    let source = |module: &str| source(&format!("examples/smart-home/{module}"));
    format!(
        "application: smart-home
nodes:
  house: {{ platform: native }}
  server: {{ platform: {server} }}
modules:
  hub: {{ node: server, source: {{ rust: {hub:?} }} }}
  {name}: {{ node: house, source: {{ {language}: {gateway:?} }} }}
  thermostat: {{ node: house, source: {{ rust: {thermostat:?} }} }}
  light_switch: {{ node: house, source: {{ rust: {light:?} }} }}
connections:
  - {{ name: command, direct: true, to: hub.command }}
  - {{ name: query, direct: true, to: hub.query }}
  - {{ name: settings, from: hub.settings, to: {name}.settings }}
  - {{ name: status, from: {name}.status, to: hub.status }}
  - {{ name: temperature, direct: true, to: {name}.temperature{deadline} }}
  - {{ name: heat, from: {name}.heat, to: thermostat.heat }}
  - {{ name: heating, from: thermostat.heating, to: {name}.heating }}
  - {{ name: light, from: {name}.light, to: light_switch.light }}
  - {{ name: lit, from: light_switch.lit, to: {name}.lit }}
policy:
  allow: [native, sgx-simulated]
",
        gateway = source(folder),
        hub = source("hub"),
        thermostat = source("thermostat"),
        light = source("light_switch"),
    )
}

fn say(application: &Application<'_>, connection: &str, hex: &str) {
    application.patient(&["output", connection, "--hex", hex]).ok();
}

/// What the hub knows once everything is quiet, and what the gateway has emitted.
fn now(application: &Application<'_>) -> (String, [u64; 3]) {
    let status = application.settle();
    let reply = application.patient(&["request", "query"]).ok();
    (reply.trim().to_owned(), ["heat", "light", "status"].map(|name| status.number(name, "sent")))
}

/// Plays a home; gives what was seen after each step.
fn play(gateway: (&str, &str, &str)) -> Vec<(String, [u64; 3])> {
    let stage = Stage::with_nodes(&["house", "server"]);
    // The hub is an enclave, as in the example, where there can be one.
    let server = if enclaves_run(&stage) { "sgx" } else { "native" };
    let application = stage.application(OWNER, "app", &home(gateway, server, ""));
    application.up().ok();
    assert_eq!(application.status().module("hub")["platform"], server);
    let mut seen = Vec::new();
    let mut rule = |application: &Application<'_>| {
        application.patient(&["call", &format!("{}.rule", gateway.0)]).ok();
        seen.push(now(application));
    };
    rule(&application);
    // 15.0, 20.4, 20.5 degrees; then 40.0 are wanted, and the light; then the coldest and the warmest that can be said.
    for temperature in ["9600", "cc00", "cd00"] {
        say(&application, "temperature", temperature);
        rule(&application);
    }
    say(&application, "command", "90010100");
    rule(&application);
    say(&application, "command", "ff7f0000");
    say(&application, "temperature", "0080");
    rule(&application);
    say(&application, "command", "00800000");
    say(&application, "temperature", "ff7f");
    rule(&application);
    application.verb(&["down"]).said().ok();
    seen
}

#[test]
fn the_gateway_in_c_does_what_the_one_in_rust_does() {
    let [rust, c] = GATEWAYS.map(play);
    assert_eq!(rust, c);
    // Temperature, desired one, heating, light, measured.
    let known = ["0000c80000000000", "9600c80001000100", "cc00c80001000100", "cd00c80000000100", "cd00900101010100"];
    for (seen, known) in rust.iter().zip(known) {
        assert_eq!(seen.0, known);
    }
    assert_eq!(rust[5].0, "0080ff7f01000100", "nothing overflows");
    assert_eq!(rust[6].0, "ff7f008000000100");
}

#[test]
fn a_silent_sensor_stops_the_heating_in_both() {
    for gateway in GATEWAYS {
        let stage = Stage::with_nodes(&["house", "server"]);
        let application = stage.application(OWNER, "app", &home(gateway, "native", ", deadline: 1s"));
        application.up().ok();
        say(&application, "temperature", "9600");
        // Whether the rule was quick enough to heat first or not: the silence is told once, and nothing heats then.
        let silent = |status: &support::Status| status.settled() && status.number("heat", "sent") > 0;
        application.status_when("the end of the heating", silent);
        support::until("a silent sensor", || now(&application).0 == "9600c80000000000");
        application.verb(&["down"]).said().ok();
    }
}
