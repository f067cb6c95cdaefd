//! The examples whose devices are on boards, as they stand: `veritee run` emulates the boards and moves the world around them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::Value;
use support::board::can_build;
use support::{OWNER, Stage, repository};

/// Runs an example for some seconds; what the tool reports at the end.
fn run(example: &str, duration: &str) -> Value {
    let stage = Stage::new();
    let file = repository().join("examples").join(example).join("veritee.yaml");
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
        flowed(&run("button-led", "4s"), &["press", "count"]);
    }
}

#[test]
fn a_gauge_moves_a_valve() {
    if can_build("a_gauge_moves_a_valve") {
        flowed(&run("valve", "4s"), &["level", "position"]);
    }
}
