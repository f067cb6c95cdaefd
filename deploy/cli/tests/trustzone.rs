//! `veritee run` with a node that is an emulated machine with a real OP-TEE.
//!
//! It takes a minute and packages of Debian's for arm64: it runs when `VERITEE_TEST_TRUSTZONE` is set, as `cargo xtask test` does where
//! these can be had.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what they skip")]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use support::{Application, OWNER, Running, Stage, Tool, button_led, repository};

/// Runs the button and its light, with the light in a trusted application.
fn run(light: &str) {
    let example = repository().join("examples/button-led");
    let text = std::fs::read_to_string(example.join("trustzone.yaml")).unwrap();
    assert!(text.contains("source: { rust: led }"), "the example's light is in Rust");
    let folder = |name: &str| format!("{:?}", example.join(name));
    let text = text.replace("source: { rust: button }", &format!("source: {{ rust: {} }}", folder("button"))).replace(
        "source: { rust: led }",
        &format!("source: {light}").replace("FOLDER/", &format!("{}/", example.display())),
    );
    let stage = Stage::new();
    let file = stage.path().join("veritee.yaml");
    std::fs::write(&file, text).unwrap();
    let said = tool(&stage, &["run", "--output", "json", "--for", "4s"]).arg(&file).said();
    let report = said.json();
    let module =
        |name: &str| report["modules"].as_array().unwrap().iter().find(|module| module["name"] == name).cloned();
    let led = module("led").unwrap();
    assert_eq!((&led["platform"], &led["simulated"]), (&"trustzone".into(), &true.into()), "{led}");
    let press = report["connections"].as_array().unwrap().iter().find(|found| found["name"] == "press").unwrap();
    assert!(press["accepted"].as_u64().unwrap() > 0, "{press}");
    assert_eq!(press["accepted"], press["sent"]);
}

/// The tool, which finds packages where the tests keep them.
fn tool(stage: &Stage, words: &[&str]) -> Tool {
    let mut tool = stage.tool(OWNER, words);
    for name in ["VERITEE_PACKAGES", "VERITEE_TRUSTZONE_CACHE"] {
        tool.0.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    tool
}

/// Whether the tests of machines are not wanted; says so.
fn skipped() -> bool {
    let skipped = std::env::var_os("VERITEE_TEST_TRUSTZONE").is_none();
    if skipped {
        eprintln!("skipped: machines with OP-TEE are tested by `cargo xtask test`, or with VERITEE_TEST_TRUSTZONE=1");
    }
    skipped
}

/// The first line of a program that stays.
fn ready(running: &mut Running) -> Value {
    let mut line = String::new();
    let output = running.child().stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it says {line:?}"));
    said["ready"].clone()
}

/// A machine of its provider, who is the owner too, and who answers while the second value lives.
fn enrolled(stage: &Stage) -> (Running, Running) {
    let enrol = ["provider", "enrol", "cellar", "--platform", "trustzone", "--node", "ceiling", "--simulated"];
    tool(stage, &enrol).arg("--out").arg("provided").said().ok();
    tool(stage, &["node", "init", "machine", "--provided", "provided"]).said().ok();
    assert!(stage.path().join("machine/secret").exists());
    let mut machine = tool(stage, &["node", "start", "machine", "--port", "0"]).spawn();
    let said = ready(&mut machine);
    assert!(!stage.path().join("machine/secret").exists(), "the service has the secret now");
    let word = |name: &str| said[name].as_str().unwrap().to_owned();
    let add = ["node", "add", "ceiling", &word("address"), "--fingerprint", &word("fingerprint")];
    tool(stage, &add).arg("--token").arg(word("token")).said().ok();
    let mut provider = tool(stage, &["provider", "serve", "--listen", "127.0.0.1:0"]).spawn();
    let service = ready(&mut provider)["address"].as_str().unwrap().to_owned();
    let owner = tool(stage, &["whoami"]).said().ok();
    let key = tool(stage, &["provider", "vendor-key", "cellar", "--owner", owner.trim(), "--service", &service]);
    std::fs::write(stage.path().join("key"), key.said().ok()).unwrap();
    tool(stage, &["node", "key", "ceiling", "key"]).said().ok();
    (machine, provider)
}

/// Presses so many times.
fn press(application: &Application<'_>, times: u64) {
    for _ in 0..times {
        application.patient(&["call", "button.press"]).ok();
    }
}

#[test]
fn a_machine_that_loses_its_power_comes_back_as_the_same_node() {
    if skipped() {
        return;
    }
    let stage = Stage::with_nodes(&["desk"]);
    let (machine, _provider) = enrolled(&stage);
    let descriptor = button_led().replace("ceiling: { platform: native }", "ceiling: { platform: trustzone }").replace(
        "allow: [native]",
        "allow: [native, trustzone-simulated]\n  freshness: [hardware-rng, persistent-counter, software-prng]",
    );
    let application = stage.application(OWNER, "app", &descriptor);
    application.up().ok();
    press(&application, 3);
    application.status_when("presses", |status| status.settled() && status.accepted("press") == 3);

    let address = address_of(&stage);
    let process = std::fs::read_to_string(stage.path().join("machine/pid")).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(process).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    assert_ne!(machine.said().code, 0, "whoever watches the machine is told");
    let mut machine =
        tool(&stage, &["node", "start", "machine", "--port", address.rsplit(':').next().unwrap()]).spawn();
    assert_eq!(ready(&mut machine)["address"], address.as_str(), "the same node, without enrolling again");
}

/// Where the owner reaches the machine's node.
fn address_of(stage: &Stage) -> String {
    let nodes = tool(stage, &["node", "list", "--output", "json"]).said().json();
    nodes["ceiling"]["address"].as_str().unwrap().to_owned()
}

#[test]
fn events_reach_trusted_applications_in_rust_and_in_c() {
    if skipped() {
        return;
    }
    run("{ rust: \"FOLDER/led\" }");
    run("{ c: \"FOLDER/led_c\" }");
}
