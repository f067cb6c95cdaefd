//! `veritee new`: a project that runs at once.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Beside the other warm build folders, so that a second run compiles little.
fn folder() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_veritee"));
    let folder = program.ancestors().nth(2).expect("a target folder").join("e2e/new");
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

fn veritee(folder: &Path) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_veritee"));
    let mut command = Command::new(program);
    command.current_dir(folder).env("VERITEE_NODE", program.with_file_name("veritee-node"));
    command
}

#[test]
fn a_new_project_runs_at_once_and_its_tests_pass() {
    let folder = folder();
    let project = folder.join("first-steps");
    // The build folder of the run before is kept.
    for entry in fs::read_dir(&project).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("target") {
            fs::rename(&path, folder.join("kept")).expect("the build folder can be put aside");
        }
    }
    if project.exists() {
        fs::remove_dir_all(&project).expect("the project can be removed");
    }
    assert!(veritee(&folder).args(["--quiet", "new", "first-steps"]).status().expect("it starts").success());
    if folder.join("kept").exists() {
        fs::rename(folder.join("kept"), project.join("target")).expect("the build folder can be put back");
    }

    let again = veritee(&folder).args(["new", "first-steps"]).output().expect("it starts");
    assert!(!again.status.success(), "an existing folder is left alone");

    let ran =
        veritee(&project).args(["--quiet", "--output", "json", "run", "--for", "2s"]).output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    for connection in report["connections"].as_array().expect("connections") {
        assert!(connection["sent"].as_u64().expect("a number") > 0, "{connection}");
        assert_eq!(connection["sent"], connection["accepted"], "{connection}");
        assert_eq!(connection["dropped"], 0, "{connection}");
    }

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tested = Command::new(cargo).args(["test", "--quiet"]).current_dir(&project).output().expect("cargo starts");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
}

#[test]
fn names_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["Upper", "1st", "a b", "../out", "", "-dash", "a-name-that-is-far-too-long-for-anybody-to-type"] {
        let output = veritee(folder.path()).args(["new", "--", name]).output().expect("it starts");
        assert!(!output.status.success(), "{name:?} was taken");
        assert!(String::from_utf8_lossy(&output.stderr).contains("is no name of a project"), "{name:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
