//! Two owners on one node, and strangers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::{OWNER, Stage, button_led, source};

const NEIGHBOUR: &str = "neighbour";

/// A button alone: the least that can be called.
fn button() -> String {
    format!(
        "application: door\nnodes:\n  desk: {{ platform: native }}\nmodules:\n  \
         button: {{ node: desk, source: {{ rust: {:?} }} }}\npolicy: {{ allow: [native] }}\n",
        source("examples/button-led/button"),
    )
}

#[test]
fn owners_neither_see_nor_touch_each_other() {
    let mut stage = Stage::with_nodes(&["desk", "ceiling"]);
    stage.add_owner(NEIGHBOUR);
    stage.enrol(NEIGHBOUR, "desk");
    stage.enrol(NEIGHBOUR, "ceiling");
    let mine = stage.application(OWNER, "mine", &button_led());
    let theirs = stage.application(NEIGHBOUR, "theirs", &button_led());
    mine.up().ok();
    // The same application at the same nodes, with the very number that the first owner's one has.
    std::fs::create_dir_all(theirs.state()).unwrap();
    std::fs::copy(mine.state().join("journal"), theirs.state().join("journal")).unwrap();
    for words in [&["call", "button.press"][..], &["request", "state"], &["disable", "button"]] {
        let refused = theirs.verb(words).said();
        assert_eq!(refused.code, 5, "{words:?}: {}", refused.err);
        assert!(refused.err.contains("NotFound"), "{words:?}: {}", refused.err);
    }
    let seen = theirs.verb(&["status"]).said();
    assert!(seen.code != 0 || seen.err.contains("does not live"), "{}{}", seen.out, seen.err);
    theirs.verb(&["down"]).said().ok();
    assert_eq!(stage.nodes["desk"].runners().len(), 1, "the first owner's module lives");

    theirs.up().ok();
    assert_eq!(stage.nodes["desk"].runners().len(), 2);
    for _ in 0..3 {
        theirs.verb(&["call", "button.press"]).said().ok();
    }
    mine.verb(&["call", "button.press"]).said().ok();
    theirs.status_when("three presses", |status| status.accepted("press") == 3);
    let status = mine.status_when("one press", |status| status.accepted("press") == 1);
    let other = theirs.status();
    assert_ne!(status.module("led")["measurement"], other.module("led")["measurement"], "the owner is measured");
    assert_ne!(status.module("led")["activation"], other.module("led")["activation"]);

    theirs.verb(&["down"]).said().ok();
    mine.verb(&["call", "button.press"]).said().ok();
    mine.status_when("two presses", |status| status.accepted("press") == 2);

    // The neighbour leaves the node, with all that is his.
    theirs.up().ok();
    stage.tool(NEIGHBOUR, &["node", "remove", "desk"]).said().ok();
    assert_eq!(stage.nodes["desk"].runners().len(), 1);
    mine.verb(&["call", "button.press"]).said().ok();
    mine.status_when("three presses", |status| status.accepted("press") == 3);
}

#[test]
fn strangers_see_a_failed_handshake_and_tokens_are_spent_once() {
    let mut stage = Stage::with_nodes(&["desk"]);
    stage.add_owner(NEIGHBOUR);
    let daemon = &stage.nodes["desk"];
    let mine = stage.application(OWNER, "mine", &button());
    mine.up().ok();

    // He writes the node into his list by himself.
    let list =
        format!("{{\"desk\": {{\"address\": {:?}, \"fingerprint\": {:?}}}}}", daemon.address, daemon.fingerprint);
    std::fs::write(stage.owners[NEIGHBOUR].home.join("nodes.json"), list).unwrap();
    let theirs = stage.application(NEIGHBOUR, "theirs", &button());
    for words in [&["status"][..], &["up"], &["call", "button.press"]] {
        let refused = theirs.verb(words).said();
        assert_eq!(refused.code, 5, "{words:?}: {}", refused.err);
        assert!(refused.err.contains("refused the handshake"), "{words:?}: {}", refused.err);
        assert!(!theirs.state().exists(), "{words:?}: nothing is written down");
    }
    std::fs::remove_file(stage.owners[NEIGHBOUR].home.join("nodes.json")).unwrap();

    let add = |owner: &str, name: &str, fingerprint: &str, token: &str| {
        let words = ["node", "add", name, &daemon.address, "--fingerprint", fingerprint, "--token", token];
        stage.tool(owner, &words).said()
    };
    // A token that never was, a node that is another one, a spent token.
    let token = daemon.token();
    let never: String = token.chars().rev().collect();
    for (fingerprint, token) in [(daemon.fingerprint.as_str(), never.as_str()), (&"00".repeat(32), &token)] {
        let refused = add(NEIGHBOUR, "desk", fingerprint, token);
        assert!(refused.code == 1 || refused.code == 5, "{}", refused.err);
        assert!(!stage.owners[NEIGHBOUR].home.join("nodes.json").exists());
    }
    let spent = daemon.token();
    add(OWNER, "again", &daemon.fingerprint, &spent);
    add(NEIGHBOUR, "desk", &daemon.fingerprint, &token).ok();
    for used in [&token, &spent] {
        let refused = add(NEIGHBOUR, "other", &daemon.fingerprint, used);
        assert_ne!(refused.code, 0, "{}", refused.out);
    }
    theirs.up().ok();
    theirs.verb(&["call", "button.press"]).said().ok();
    mine.verb(&["call", "button.press"]).said().ok();
}
