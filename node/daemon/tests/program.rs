//! The program itself: its verbs, its ready line, its signals, its death.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use veritee_node_client::{Client, ClientError, Identity, Token, enrol, parse_fingerprint};
use veritee_node_protocol::{FailureKind, IdentityKey, ModuleName, Request, Response};

const PROGRAM: &str = env!("CARGO_BIN_EXE_veritee-node");

fn verb(config: &Path, words: &[&str]) -> std::process::Output {
    Command::new(PROGRAM).args(words).arg("--config").arg(config).output().unwrap()
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A running daemon; killed when dropped.
struct Daemon {
    child: Child,
    address: String,
    identity: IdentityKey,
}

impl Daemon {
    fn start(config: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("run").args(words).arg("--config").arg(config);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready = &json(line.as_bytes())["ready"];
        let address = ready["address"].as_str().unwrap().to_owned();
        let identity = parse_fingerprint(ready["identity"].as_str().unwrap()).unwrap();
        Self { child, address, identity }
    }

    fn signal(&mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, "state = 'state'\nlisten = ['127.0.0.1:0']\n").unwrap();
    (folder, path)
}

#[tokio::test]
async fn a_node_is_made_enrolled_killed_and_stopped() {
    let (_folder, config) = configuration();
    let early = verb(&config, &["run"]);
    assert!(!early.status.success());
    assert!(String::from_utf8_lossy(&early.stderr).contains("veritee-node init"), "it says what to do");
    let made = json(&verb(&config, &["init", "--json"]).stdout);
    let fingerprint = parse_fingerprint(made["fingerprint"].as_str().unwrap()).unwrap();
    let token: Token = made["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(json(&verb(&config, &["fingerprint", "--json"]).stdout)["fingerprint"], made["fingerprint"]);

    let mut daemon = Daemon::start(&config, &[]);
    assert_eq!(daemon.identity, fingerprint);
    let owner = Identity::generate().unwrap();
    enrol(&daemon.address, fingerprint, &token, &owner.public()).await.unwrap();
    assert!(!daemon.signal(rustix::process::Signal::KILL).success());

    let mut daemon = Daemon::start(&config, &[]);
    let client = Client::connect(&daemon.address, fingerprint, &owner).await.unwrap();
    let Response::Description(description) = client.call(Request::Describe).await.unwrap() else {
        panic!("a description is expected")
    };
    assert_eq!(description.identity, fingerprint);
    assert!(description.platforms.contains(&"native".to_owned()), "{:?}", description.platforms);
    let name = ModuleName { application: [1; 16], module: "m".to_owned() };
    let load = Request::Load { name, platform: "native".to_owned(), image: b"no image".to_vec(), restart: false };
    let refused = client.call(load).await;
    assert!(
        matches!(&refused, Err(ClientError::Refused(failure)) if failure.kind == FailureKind::BadImage),
        "{refused:?}"
    );
    assert!(daemon.signal(rustix::process::Signal::TERM).success(), "a graceful stop is a success");
}

#[test]
fn a_node_ends_with_who_started_it_if_it_is_told_to() {
    let (_folder, config) = configuration();
    assert!(verb(&config, &["init"]).status.success());
    let mut daemon = Daemon::start(&config, &["--until-stdin-ends", "--end-modules"]);
    drop(daemon.child.stdin.take());
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
fn a_bad_configuration_is_refused_with_its_place() {
    let (_folder, config) = configuration();
    std::fs::write(&config, "state = 'state'\nlissten = []\n").unwrap();
    let checked = verb(&config, &["check"]);
    assert!(!checked.status.success());
    let text = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(text.contains("lissten") && text.contains("line 2"), "{text}");
}
