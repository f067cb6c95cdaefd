//! The examples whose devices are on boards, as they stand: `veritee run` emulates the boards and moves the world around them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::Value;
use std::fs;
use support::board::can_build;
use support::{OWNER, Stage, repository};

/// Runs an example for some seconds; what the tool reports at the end. Its images are built in the folder that the tests share.
fn run(example: &str, crate_folder: &str, duration: &str) -> Value {
    let stage = Stage::new();
    stage.share_builds(OWNER, stage.path());
    let folder = repository().join("examples").join(example);
    let (text, file) = (fs::read_to_string(folder.join("veritee.yaml")).unwrap(), stage.path().join("veritee.yaml"));
    let source = format!("{{ rust: {crate_folder} }}");
    assert!(text.contains(&source), "the only folder that it names");
    fs::write(&file, text.replace(&source, &format!("{{ rust: {:?} }}", folder.join(crate_folder)))).unwrap();
    stage.tool(OWNER, &["run", "--output", "json", "--for", duration]).arg(file).said().json()
}

/// Events went over each of these connections, and none was lost on any.
#[track_caller]
fn flowed(report: &Value, names: &[&str]) {
    let connections = report["connections"].as_array().unwrap();
    assert!(connections.iter().all(|connection| connection["sent"] == connection["accepted"]), "{report}");
    for name in names {
        let found = connections.iter().find(|connection| connection["name"] == *name);
        assert!(found.is_some_and(|connection| connection["accepted"].as_u64() > Some(0)), "{name}: {report}");
    }
    let modules = report["modules"].as_array().unwrap();
    assert!(modules.iter().all(|module| module["simulated"] == true), "{report}");
    assert!(modules.iter().any(|module| module["platform"] == "sancus" && module["driver"] == true), "{report}");
}

#[test]
fn a_button_of_one_board_switches_the_light_of_another() {
    if can_build("a_button_of_one_board_switches_the_light_of_another") {
        flowed(&run("button-led", "led", "4s"), &["press", "count"]);
    }
}

#[test]
fn a_gauge_moves_a_valve() {
    if can_build("a_gauge_moves_a_valve") {
        flowed(&run("valve", "controller", "4s"), &["level", "position"]);
    }
}
