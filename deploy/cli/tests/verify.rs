//! `veritee node verify`, through the real programs: what it finds, what it leaves, what it says.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::Value;
use std::fs;
use support::{OWNER, Stage};

/// A stage whose owner builds what verifies in the shared folder.
fn stage(nodes: &[&str]) -> Stage {
    let stage = Stage::with_nodes(nodes);
    let project = stage.owners[OWNER].home.join("verify");
    fs::create_dir_all(&project).unwrap();
    stage.share_builds(OWNER, &project);
    stage
}

/// The report of one platform.
fn platform<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["platforms"].as_array().unwrap();
    all.iter().find(|platform| platform["platform"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// All checks passed, all kinds of them, and there are numbers.
fn is_sound(platform: &Value) {
    let checks = platform["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["passed"] == true), "{platform:#}");
    for (kind, least) in [("conformance", 6), ("refusals", 14)] {
        assert!(checks.iter().filter(|check| check["kind"] == kind).count() >= least, "{platform:#}");
    }
    let seen = |what: &str| {
        let check = checks.iter().find(|check| check["what"] == what);
        check.unwrap_or_else(|| panic!("no {what:?} in {platform:#}"))["detail"].as_str().unwrap().to_owned()
    };
    // Each of these was answered with a status; what the node turns away at its door is no frame at all.
    assert!(seen("a forged event").contains("refused"));
    assert!(seen("a truncated event").contains("turned away by the node"));
    for word in ["duplicate", "gap", "refused"] {
        assert!(seen("a repeated event, and one ahead of its turn").contains(word));
    }
    assert!(seen("changed and replayed control requests").contains("refused"));
    assert!(seen("evidence over another challenge").contains("challenge"));
    assert_eq!(
        (&platform["proved"]["simulated"], platform["proved"]["measurement"].as_str().unwrap().len()),
        (&true.into(), 64)
    );
    let speed = &platform["benchmark"];
    assert!(
        speed["requests_per_second"].as_f64().unwrap() > 1.0 && speed["round_trip_us"]["p50"].as_f64().unwrap() > 1.0
    );
}

#[test]
fn a_node_is_verified_on_all_its_platforms_and_left_as_it_was() {
    let stage = stage(&["house"]);
    let page = stage.path().join("verify-house.md");
    let tool = stage.tool(OWNER, &["node", "verify", "house", "--output", "json", "--report"]);
    let said = tool.arg(&page).said();
    let report = said.json();
    assert_eq!((&report["passed"], &report["node"]), (&true.into(), &"house".into()));
    is_sound(platform(&report, "native"));
    let platforms = stage.tool(OWNER, &["doctor", "--output", "json"]).said().json();
    if !platforms["SGX"].is_null() {
        is_sound(platform(&report, "sgx"));
    }
    let page = fs::read_to_string(page).unwrap();
    for words in [
        "# Verification of node house",
        "## native",
        "| refused | a forged event | passed |",
        "unprotected or simulated",
    ] {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    let shown = stage.tool(OWNER, &["node", "show", "house", "--output", "json"]).said().json();
    assert_eq!(shown["modules"], 0, "nothing of it stays");
    assert!(stage.nodes["house"].runners().is_empty());
}

#[test]
fn a_report_is_for_programs_too() {
    let stage = stage(&[]);
    let path = stage.path().join("verify-here.json");
    let tool = stage.tool(OWNER, &["node", "verify", "--here", "--platform", "native", "--report"]);
    let said = tool.arg(&path).said();
    let text = said.ok();
    for words in ["a forged event", "passed", "native: 21 of 21 checks passed", "requests/s"] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&report["version"], &report["passed"], &report["node"]), (&1.into(), &true.into(), &"here".into()));
    is_sound(platform(&report, "native"));
}

#[test]
fn what_cannot_be_verified_is_no_success() {
    let stage = stage(&["house"]);
    let verify = |words: &[&str]| stage.tool(OWNER, &[&["node", "verify"], words].concat()).said();
    let said = verify(&["cellar"]);
    assert!(said.code == 5 && said.err.contains("cellar"), "{}: {}", said.code, said.err);
    let said = verify(&["house", "--platform", "abacus"]);
    assert!(said.code == 2 && said.err.contains("abacus"), "{}: {}", said.code, said.err);
    assert_eq!(verify(&[]).code, 2, "which node?");
    assert_eq!(verify(&["house", "--here"]).code, 2, "one of them");
}
