//! Modules in SGX enclaves, through the real programs: run, inspected, refused.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod support;

use serde_json::Value;
use support::{Application, OWNER, Stage, Tool, button_led, enclaves_run};

/// The LED in an enclave; `allow` is the policy.
fn descriptor(allow: &str) -> String {
    button_led()
        .replace("ceiling: { platform: native }", "ceiling: { platform: sgx }")
        .replace("allow: [native]", &format!("allow: [{allow}]"))
        .replace("policy:", "timers:\n  - { name: finger, entry: button.press, every: 50ms }\npolicy:")
}

/// `veritee run` for a moment.
fn run(application: &Application<'_>, words: &[&str]) -> Tool {
    let mut tool = application.verb(&["run"]).arg("--for").arg("1s").arg("--output").arg("json");
    for word in words {
        tool = tool.arg(word);
    }
    tool
}

/// What `veritee image inspect` says of the image that was built for a module and measures this.
fn inspected(application: &Application<'_>, module: &str, measurement: &str) -> Value {
    let file = format!("target/veritee/sgx/{module}/{module}-{}.sgx", &measurement[..8]);
    let tool = application.stage.tool(OWNER, &["image", "inspect", "--output", "json"]);
    tool.arg(application.folder.join(file)).said().json()
}

#[test]
fn a_module_runs_in_an_enclave_and_says_that_it_is_simulated() {
    let stage = Stage::new();
    if !enclaves_run(&stage) {
        return;
    }
    let application = stage.application(OWNER, "app", &descriptor("native, sgx-simulated"));
    let report = run(&application, &[]).said().json();
    let module = |name: &str| {
        let modules = report["modules"].as_array().unwrap();
        modules.iter().find(|module| module["name"] == name).unwrap().clone()
    };
    let led = module("led");
    assert_eq!((&led["platform"], &led["attested"], &led["simulated"]), (&"sgx".into(), &true.into(), &true.into()));
    assert_eq!(module("button")["platform"], "native");
    let press = &report["connections"][0];
    assert!(press["accepted"].as_u64().unwrap() > 5 && press["sent"] == press["accepted"], "{press:#}");
    // MRENCLAVE, as the image that was built has it.
    let measurement = led["measurement"].as_str().unwrap();
    assert_eq!(measurement.len(), 64);
    let image = inspected(&application, "led", measurement);
    assert_eq!(image["measurement"], measurement);
    for field in ["signer", "pages", "enclave_bytes", "table"] {
        assert!(!image[field].is_null(), "no {field} in {image:#}");
    }
}

#[test]
fn a_policy_that_names_no_simulation_refuses_it() {
    let stage = Stage::new();
    if !enclaves_run(&stage) {
        return;
    }
    let application = stage.application(OWNER, "app", &descriptor("native"));
    let said = run(&application, &[]).said();
    assert_eq!(said.code, 4, "{}", said.err);
    for words in ["led", "simulated SGX, which protects nothing", "allow: [sgx-simulated]"] {
        assert!(said.err.contains(words), "{words:?} is not in: {}", said.err);
    }
    assert_eq!(said.out, "", "nothing ran");
}

#[test]
fn a_lasting_enclave_survives_its_daemon_and_keeps_its_life() {
    let mut stage = Stage::with_nodes(&["desk", "ceiling"]);
    if !enclaves_run(&stage) {
        return;
    }
    let text = descriptor("native, sgx-simulated");
    let application = stage.application(OWNER, "app", &text);
    application.up().ok();
    let before = application.status_when("events", |status| status.accepted("press") > 3);
    evidence_is_told_in_standard_forms(&application, &before);
    drop(application);
    stage.node("ceiling").kill();
    stage.node("ceiling").start();
    let application = stage.application(OWNER, "app", &text);
    let after = application
        .status_when("events after the daemon's death", |status| status.accepted("press") > before.accepted("press"));
    assert_eq!(before.module("led")["activation"], after.module("led")["activation"], "the enclave lived on");
    application.verb(&["down"]).said().ok();
}

/// Runs a verb on sealed states of the LED.
fn state(application: &Application<'_>, words: &[&str]) -> Tool {
    let file = application.file().display().to_string();
    application.stage.tool(OWNER, &[&["state"], words, &["--file", &file]].concat())
}

#[test]
fn a_sealed_state_comes_back_and_an_old_one_is_refused() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    if !enclaves_run(&stage) {
        return;
    }
    let text = button_led()
        .replace("ceiling: { platform: native }", "ceiling: { platform: sgx }")
        .replace("allow: [native]", "allow: [native, sgx-simulated]");
    let application = stage.application(OWNER, "app", &text);
    application.up().ok();
    let press = || {
        let sent = application.status().number("press", "sent");
        application.verb(&["call", "button.press"]).said().ok();
        application.status_when("a press", |status| status.number("press", "sent") > sent && status.settled());
    };
    let lit = || application.verb(&["request", "state"]).said().ok().trim().to_owned();
    (0..3).for_each(|_| press());
    let saved = state(&application, &["save", "led", "--output", "json"]).said().json();
    assert_eq!(saved["policy"], "enclave");
    let first = saved["counter"].as_u64().unwrap();
    let newest = std::path::PathBuf::from(saved["file"].as_str().unwrap());
    let old = application.folder.join("old.json");
    std::fs::copy(&newest, &old).unwrap();
    assert_eq!(lit(), "0300000001", "it goes on");
    press();
    let second = state(&application, &["save", "led", "--output", "json"]).said().json()["counter"].as_u64().unwrap();
    assert!(second > first);
    press();
    assert_eq!(lit(), "0500000001");

    let said = state(&application, &["restore", "led"]).said();
    assert!(said.code != 0 && said.err.contains("led"), "a module that runs is not ended unasked: {}", said.err);
    assert_eq!(lit(), "0500000001");
    state(&application, &["restore", "led", "--replace"]).said().ok();
    assert_eq!(lit(), "0400000000", "the newest state, and events go on");
    press();
    assert_eq!(lit(), "0500000001");

    let from = format!("--from={}", old.display());
    let from_old = || state(&application, &["restore", "led", "--replace", &from]).said();
    let said = from_old();
    let told = format!("its number is {first}, and {second} was saved after it");
    assert!(said.code == 4 && said.err.contains(&told), "{}: {}", said.code, said.err);
    assert_eq!(lit(), "0500000001", "nothing was touched");
    // Its number is the module's to believe.
    let forged = std::fs::read_to_string(&old)
        .unwrap()
        .replace(&format!("\"counter\": {first}"), &format!("\"counter\": {second}"));
    std::fs::write(&old, forged).unwrap();
    let said = from_old();
    assert!(
        said.code == 4 && said.err.contains("it was changed, or sealed for another"),
        "{}: {}",
        said.code,
        said.err
    );
    state(&application, &["restore", "led"]).said().ok();
    assert_eq!(lit(), "0400000000");

    let listed = stage.tool(OWNER, &["state", "list"]).arg(application.file()).said().ok();
    assert!(listed.starts_with(&format!("led  {second}  ")), "{listed}");
    let said = state(&application, &["save", "button"]).said();
    assert!(said.code == 2 && said.err.contains("cannot seal"), "{}: {}", said.code, said.err);
    application.verb(&["down"]).said().ok();
}

/// While the module works, and without disturbing it.
fn evidence_is_told_in_standard_forms(application: &Application<'_>, status: &support::Status) {
    for module in ["led", "button"] {
        application.tells_evidence(module, status);
    }
    let unknown = application.patient(&["evidence", "lead"]);
    assert!(unknown.code == 2 && unknown.err.contains("there is: button, led"), "{}", unknown.err);
}
