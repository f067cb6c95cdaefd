//! State that is lost, copied, restored, or wanted by two at once.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use support::{Application, OWNER, Stage, Status, button_led, copy, source};

/// The epochs of connections over all calls: they never repeat under another key.
#[derive(Default)]
struct Epochs(BTreeMap<String, Vec<u64>>);

impl Epochs {
    /// Takes a status after an `up` that had to open new epochs; each must be above all before.
    fn rise(&mut self, status: &Status) {
        for connection in status.0["connections"].as_array().unwrap() {
            let name = connection["name"].as_str().unwrap().to_owned();
            let epoch = connection["epoch"].as_u64().unwrap();
            let before = self.0.entry(name.clone()).or_default();
            // A direct connection has an epoch only once somebody spoke.
            assert!(before.iter().all(|before| *before < epoch || epoch == 0), "{name}: {epoch} after {before:?}");
            before.push(epoch);
        }
    }
}

/// Presses once, asks the light, and expects both to have worked.
fn works(application: &Application<'_>) -> Status {
    let before = application.settle().accepted("press");
    application.verb(&["call", "button.press"]).said().ok();
    application.verb(&["request", "state"]).said().ok();
    application.status_when("a press", |status| status.settled() && status.accepted("press") == before + 1)
}

#[test]
fn a_lost_state_is_found_again() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    let mut epochs = Epochs::default();
    application.up().ok();
    epochs.rise(&works(&application));
    let runners = stage.nodes["desk"].runners();
    for _ in 0..3 {
        fs::remove_dir_all(application.state()).unwrap();
        application.up().ok();
        epochs.rise(&works(&application));
    }
    assert_eq!(stage.nodes["desk"].runners(), runners, "the module is the same one");
    // Taken down without its state, too.
    fs::remove_dir_all(application.state()).unwrap();
    application.verb(&["down"]).said().ok();
    assert!(stage.nodes["desk"].runners().is_empty());
}

#[test]
fn a_second_application_of_one_name_is_another_one() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let first = stage.application(OWNER, "first", &button_led());
    let second = stage.application(OWNER, "second", &button_led());
    first.up().ok();
    works(&first);
    second.up().ok();
    works(&second);
    assert_eq!(stage.nodes["desk"].runners().len(), 2);
    assert_eq!(works(&first).accepted("press"), 2, "the second one did not touch the first one");
    second.verb(&["down"]).said().ok();
    works(&first);
}

#[test]
fn copied_and_restored_states_open_new_epochs() {
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    let mut epochs = Epochs::default();
    application.up().ok();
    epochs.rise(&works(&application));
    let old = stage.path().join("old");
    copy(&application.state(), &old);
    let twin = stage.application(OWNER, "twin", &button_led());
    copy(&old, &twin.state());

    // The copy knows as much: it needs no new epoch.
    twin.up().ok();
    assert_eq!(twin.status().epoch("press"), 1);
    works(&twin);

    // One loses its state, the other one does not know of the epoch that follows.
    for _ in 0..3 {
        fs::remove_dir_all(application.state()).unwrap();
        application.up().ok();
        epochs.rise(&works(&application));
        twin.up().ok();
        epochs.rise(&works(&twin));
    }

    // An old state comes back.
    for _ in 0..2 {
        fs::remove_dir_all(application.state()).unwrap();
        copy(&old, &application.state());
        application.up().ok();
        epochs.rise(&works(&application));
    }

    // Both at once: either one may lose the race, and the next call mends it.
    for _ in 0..3 {
        let (one, other) = (application.verb(&["up"]).spawn(), twin.verb(&["up"]).spawn());
        for said in [one.said(), other.said()] {
            assert!([0, 4].contains(&said.code), "{}", said.err);
        }
        application.up().ok();
        let status = works(&application);
        assert!(status.epoch("press") >= *epochs.0["press"].last().unwrap(), "epochs never fall");
    }
}

/// The database alone, with a direct connection for so many callers.
fn database(callers: u16) -> String {
    format!(
        "application: store\nnodes:\n  vault: {{ platform: native }}\nmodules:\n  \
         database: {{ node: vault, source: {{ rust: {:?} }} }}\nconnections:\n  \
         - {{ name: store, direct: true, to: database.store, callers: {callers} }}\npolicy: {{ allow: [native] }}\n",
        source("examples/db/database"),
    )
}

#[test]
fn callers_of_one_slot_wait_or_are_told() {
    let stage = Stage::with_nodes(&["vault"]);
    let application = stage.application(OWNER, "app", &database(1));
    application.up().ok();
    let words = ["output", "store", "--hex", "0700000003004142430"];
    let odd = application.verb(&words).said();
    assert_eq!(odd.code, 2, "{}", odd.err);
    let words = ["output", "store", "--hex", "070000000300414243"];
    let mut accepted = 0;
    for wait in [None, Some("60s")] {
        for _ in 0..4 {
            let call = || match wait {
                Some(wait) => application.verb(&words).arg("--wait").arg(wait).spawn(),
                None => application.verb(&words).spawn(),
            };
            let calls: Vec<_> = (0..4).map(|_| call()).collect();
            for said in calls.into_iter().map(support::Running::said) {
                match said.code {
                    0 => accepted += 1,
                    7 if wait.is_none() => {
                        assert!(said.err.contains("another veritee") || said.err.contains("slots"), "{}", said.err);
                    }
                    _ => panic!("{}", said.err),
                }
            }
        }
    }
    assert!(accepted >= 20, "at least one of each round, and all that waited: {accepted}");
    let epoch = application.status().epoch("store");
    assert!(epoch >= accepted, "each caller has an epoch of its own: {epoch}");
    let stuck = application.verb(&["status"]).said();
    assert_eq!(stuck.code, 0, "{}", stuck.err);
}

#[test]
fn a_held_state_is_told() {
    let stage = Stage::with_nodes(&["vault"]);
    let application = stage.application(OWNER, "app", &database(2));
    application.up().ok();
    let lock = fs::OpenOptions::new().write(true).open(application.state().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let said = application.up();
    assert_eq!(said.code, 7, "{}", said.err);
    assert!(said.err.contains("another veritee is working on this application"), "{}", said.err);
    drop(lock);
    application.up().ok();
}

#[test]
fn a_backup_brings_everything_back() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::with_nodes(&["desk", "ceiling"]);
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    let before = works(&application);
    let backup = stage.path().join("backup");
    stage.tool(OWNER, &["backup"]).arg(&backup).said().ok();
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&backup).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(stage.tool(OWNER, &["backup"]).arg(&backup).said().code, 1, "a backup is not overwritten");
    let refused = stage.tool(OWNER, &["restore"]).arg(&backup).said();
    assert!(refused.code == 1 && refused.err.contains("holds an identity already"), "{}", refused.err);

    // Everything of the owner is lost but the backup.
    fs::remove_dir_all(&stage.owners[OWNER].home).unwrap();
    fs::remove_dir_all(application.state()).unwrap();
    stage.tool(OWNER, &["restore"]).arg(&backup).said().ok();
    application.up().ok();
    let after = works(&application);
    assert!(after.epoch("press") > before.epoch("press"));
    assert_eq!(after.module("led"), before.module("led"));

    // A folder that is no backup.
    fs::remove_dir_all(&stage.owners[OWNER].home).unwrap();
    let refused = stage.tool(OWNER, &["restore"]).arg(stage.path().join("nowhere")).said();
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(!stage.owners[OWNER].home.join("identity.key").exists());
}
