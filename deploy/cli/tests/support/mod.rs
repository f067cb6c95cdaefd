//! A stage for the real programs: an owner with a home, nodes with their folders, descriptors of the examples' modules.
//!
//! Everything lives in one temporary folder, but for the images' build folder, which all tests share: it lies below the
//! workspace's target folder, and the owners' identities are fixed, so that each image is built once.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

pub mod board;
pub mod book;
pub mod gate;
pub mod node;
pub mod recorder;

use node::Daemon;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to become true. Machines under load are slow; a test that fails is slower.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The owner's program.
pub const TOOL: &str = env!("CARGO_BIN_EXE_veritee");

/// The node's program, beside the owner's one.
pub fn node_program() -> PathBuf {
    beside("veritee-node")
}

/// A program beside the owner's one.
fn beside(name: &str) -> PathBuf {
    let program = Path::new(TOOL).with_file_name(name);
    assert!(program.is_file(), "{} is missing: run `cargo build --bins` before the tests", program.display());
    program
}

/// The framework's sources.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A folder below the workspace's target folder, where images are built.
fn build_folder(owner: &str) -> PathBuf {
    let debug = Path::new(TOOL).parent().unwrap();
    let folder = debug.parent().unwrap().join("e2e").join(owner);
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

/// What a program said when it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The result; panics when the program failed.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The result as JSON.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// An owner with his home and a folder for descriptors.
pub struct Owner {
    name: &'static str,
    pub home: PathBuf,
}

impl Owner {
    /// The owner of a name has the same identity in every test, and another root in each.
    fn new(name: &'static str, folder: &Path) -> Self {
        let home = folder.join(format!("home-{name}"));
        fs::create_dir(&home).unwrap();
        let seed = name.bytes().fold(0x5a_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        let text = format!("veritee-identity-1 {}\n", format!("{seed:02x}").repeat(32));
        let key = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.join("identity.key"));
        key.unwrap().write_all(text.as_bytes()).unwrap();
        Self { name, home }
    }
}

/// One temporary folder with owners, applications and nodes. Whatever runs in it ends with it.
pub struct Stage {
    // Nodes are declared first: they end before their folder goes.
    pub nodes: BTreeMap<String, Daemon>,
    pub owners: BTreeMap<&'static str, Owner>,
    folder: tempfile::TempDir,
}

/// The owner of most tests.
pub const OWNER: &str = "owner";

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("veritee-e2e-").tempdir().unwrap();
        let owners = [(OWNER, Owner::new(OWNER, folder.path()))].into();
        Self { nodes: BTreeMap::new(), owners, folder }
    }

    /// With nodes that know the owner.
    pub fn with_nodes(names: &[&str]) -> Self {
        let mut stage = Self::new();
        for name in names {
            stage.start_node(name);
            stage.enrol(OWNER, name);
        }
        stage
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn add_owner(&mut self, name: &'static str) {
        let owner = Owner::new(name, self.path());
        self.owners.insert(name, owner);
    }

    pub fn start_node(&mut self, name: &str) {
        let daemon = Daemon::init(&self.path().join(format!("node-{name}")));
        self.nodes.insert(name.to_owned(), daemon);
    }

    pub fn node(&mut self, name: &str) -> &mut Daemon {
        self.nodes.get_mut(name).unwrap()
    }

    /// Adds a node to an owner's list, with a token of its own.
    pub fn enrol(&self, owner: &str, node: &str) {
        self.enrol_by(owner, &["node", "add"], node);
    }

    /// The same by another verb.
    pub fn enrol_by(&self, owner: &str, verb: &[&str], node: &str) {
        let daemon = &self.nodes[node];
        let token = daemon.token();
        let words = [verb, &[node, &daemon.address, "--fingerprint", &daemon.fingerprint, "--token"]].concat();
        self.tool(owner, &words).arg(token).said().ok();
    }

    /// The tool in an owner's hands.
    pub fn tool(&self, owner: &str, words: &[&str]) -> Tool {
        let mut command = Command::new(TOOL);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VERITEE_")) {
            command.env_remove(name);
        }
        command.args(words).current_dir(self.path()).stdin(Stdio::null());
        command.env("VERITEE_HOME_DIR", &self.owners[owner].home).env("VERITEE_NODE", node_program());
        command.env("VERITEE_EMU", beside("veritee-emu"));
        Tool(command)
    }

    /// A folder with a descriptor, whose images are built in the owner's shared folder.
    pub fn application(&self, owner: &'static str, folder: &str, descriptor: &str) -> Application<'_> {
        let path = self.path().join(folder);
        fs::create_dir_all(&path).unwrap();
        self.share_builds(owner, &path);
        let application = Application { stage: self, owner, folder: path };
        application.describe(descriptor);
        application
    }

    /// Has a project's images built in the owner's shared folder.
    pub fn share_builds(&self, owner: &str, project: &Path) {
        let target = project.join("target");
        if !target.exists() {
            symlink(build_folder(self.owners[owner].name), target).unwrap();
        }
    }

    /// A text without what differs from run to run.
    pub fn plain(&self, text: &str) -> String {
        let folder = self.path().canonicalize().unwrap();
        text.replace(&*folder.to_string_lossy(), "[STAGE]")
            .replace(&*self.path().to_string_lossy(), "[STAGE]")
            .replace(&*repository().to_string_lossy(), "[VERITEE]")
    }
}

/// A call of the tool.
pub struct Tool(pub Command);

impl Tool {
    pub fn arg(mut self, word: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(word);
        self
    }

    /// Runs to the end.
    pub fn said(mut self) -> Said {
        let output = self.0.output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts, with its standard error in a pipe.
    pub fn spawn(mut self) -> Running {
        let child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running(Some(child))
    }
}

/// A call that goes on; killed when dropped.
pub struct Running(Option<Child>);

impl Running {
    pub fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn said(mut self) -> Said {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A descriptor in its folder.
pub struct Application<'a> {
    pub stage: &'a Stage,
    pub owner: &'static str,
    pub folder: PathBuf,
}

impl Application<'_> {
    pub fn file(&self) -> PathBuf {
        self.folder.join("veritee.yaml")
    }

    /// Replaces the descriptor.
    pub fn describe(&self, descriptor: &str) {
        fs::write(self.file(), descriptor).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join(".veritee")
    }

    /// A verb that takes the descriptor as its argument, or with `--file`.
    pub fn verb(&self, words: &[&str]) -> Tool {
        let tool = self.stage.tool(self.owner, words);
        match words.first() {
            Some(&("call" | "output" | "request" | "disable" | "evidence")) => tool.arg("--file").arg(self.file()),
            _ => tool.arg(self.file()),
        }
    }

    pub fn up(&self) -> Said {
        self.verb(&["up"]).said()
    }

    /// A verb that is repeated while another call of the tool is in its way.
    pub fn patient(&self, words: &[&str]) -> Said {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.verb(words).said();
            if said.code != 7 || Instant::now() > end {
                return said;
            }
        }
    }

    pub fn status(&self) -> Status {
        Status(self.patient(&["status", "--output", "json"]).json())
    }

    /// Reads the status until it is as wanted.
    pub fn status_when(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{what} did not come about: {:#}", status.0);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that was sent was accepted, by the modules' sealed counters.
    pub fn settle(&self) -> Status {
        self.status_when("settling", Status::settled)
    }

    /// Has the tool believe that it saw higher counters of a module, and sees it act on that: what it finds is what it would find after
    /// somebody restored an earlier state of the module. Takes the application down and up.
    pub fn finds_older(&self, module: &str) {
        let status = self.status();
        let note = self.state().join("seen");
        let mut seen: Value = serde_json::from_str(&fs::read_to_string(&note).unwrap()).unwrap();
        let row = &mut seen[module]["rows"][0];
        let (connection, epoch) = (row["connection"].clone(), row["epoch"].clone());
        let sealed = row["next"].as_u64().unwrap();
        row["next"] = (sealed + 1).into();
        fs::write(&note, seen.to_string()).unwrap();

        let said = self.patient(&["status"]);
        let named = format!(
            "module {module} is older than itself: on connection {connection} it sealed epoch {epoch} counter {} before, now \
             epoch {epoch} counter {sealed}.",
            sealed + 1
        );
        assert!(said.code == 4 && said.err.contains(&named), "{named} {} {}", said.code, said.err);
        assert!(said.err.contains("this one is disabled, and `veritee up` starts a new one"), "{}", said.err);

        assert_eq!(self.status().module(module)["lifecycle"], "disabled");
        let said = self.up();
        let named =
            format!("module {module} is disabled; `veritee up` starts a new one once `veritee down` removed it");
        assert!(said.code == 4 && said.err.contains(&named), "{named} {} {}", said.code, said.err);
        self.verb(&["down"]).said().ok();
        self.up().ok();
        let (before, now) = (status.module(module).clone(), self.status().module(module).clone());
        assert!(now["activation"] != before["activation"] && now["lifecycle"] == "active", "{before} {now}");
    }

    /// What is attested of a module of a simulated platform is told in the standard forms, and is what its status says.
    pub fn tells_evidence(&self, module: &str, status: &Status) {
        let told = |form: &str| self.patient(&["evidence", module, "--as", form, "--output", "json"]).json();
        let (ear, status) = (told("ear"), status.module(module));
        assert_eq!(ear["token"].as_str().unwrap().split('.').count(), 3, "a JWT");
        assert_eq!(ear["key"]["crv"], "Ed25519");
        let result = &ear["claims"]["submods"][module];
        assert_eq!(result["ear_status"], "contraindicated", "nothing protects it here");
        let claims = (&result["ear_attester_claims"], &result["ear_verifier_claims"]);
        assert_eq!(claims.0["veritee_measurement"], status["measurement"]);
        assert_eq!(claims.0["veritee_activation"], status["activation"]);
        assert_eq!(
            (&claims.1["veritee_platform"], &claims.1["veritee_simulated"]),
            (&status["platform"], &true.into())
        );
        // 61 and 18, the tags of a CWT and of COSE.
        let token = told("eat")["token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("2D3Sh"), "{}", &token[..20]);
    }

    /// Number, epoch and rows of every connection change only when they must: the journal's lines.
    pub fn journal(&self) -> String {
        fs::read_to_string(self.state().join("journal")).unwrap_or_default()
    }
}

/// A status in JSON.
#[derive(Clone, Debug)]
pub struct Status(pub Value);

impl Status {
    pub fn connection(&self, name: &str) -> &Value {
        let all = self.0["connections"].as_array().unwrap();
        all.iter().find(|connection| connection["name"] == name).unwrap_or_else(|| panic!("no {name} in {:#}", self.0))
    }

    pub fn module(&self, name: &str) -> &Value {
        let all = self.0["modules"].as_array().unwrap();
        all.iter().find(|module| module["name"] == name).unwrap_or_else(|| panic!("no {name} in {:#}", self.0))
    }

    pub fn number(&self, connection: &str, field: &str) -> u64 {
        self.connection(connection)[field].as_u64().unwrap()
    }

    pub fn epoch(&self, connection: &str) -> u64 {
        self.number(connection, "epoch")
    }

    pub fn accepted(&self, connection: &str) -> u64 {
        self.number(connection, "accepted")
    }

    pub fn settled(&self) -> bool {
        let all = self.0["connections"].as_array().unwrap();
        all.iter().all(|connection| connection["sent"] == connection["accepted"])
    }
}

/// Copies a folder of files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Whether images of SGX can run on this machine, at least in software.
pub fn enclaves_run(stage: &Stage) -> bool {
    let found = stage.tool(OWNER, &["doctor", "--output", "json"]).said().json();
    let there = !found["SGX"].is_null();
    if !there {
        println!("skipped: this processor lacks what images of SGX need");
    }
    there
}

/// A text without lengths of sections: they change with every change of the SDK.
pub fn without_lengths(text: &str) -> String {
    let length = |word: &str| word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let bare = word.trim_end();
        if length(bare) { word.replace(bare, "N") } else { word.to_owned() }
    });
    words.collect()
}

/// Waits until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The source of an example's module.
pub fn source(path: &str) -> String {
    repository().join(path).display().to_string()
}

/// Button and LED on the nodes `desk` and `ceiling`.
pub fn button_led() -> String {
    format!(
        "application: button-led
nodes:
  desk: {{ platform: native }}
  ceiling: {{ platform: native }}
modules:
  button: {{ node: desk, source: {{ rust: {button:?} }} }}
  led: {{ node: ceiling, source: {{ rust: {led:?} }} }}
connections:
  - {{ name: press, from: button.pressed, to: led.toggle }}
  - {{ name: state, direct: true, to: led.state }}
policy:
  allow: [native]
",
        button = source("examples/button-led/button"),
        led = source("examples/button-led/led"),
    )
}

/// Ping and pong on the nodes `left` and `right`.
pub fn ping_pong() -> String {
    format!(
        "application: ping-pong
nodes:
  left: {{ platform: native }}
  right: {{ platform: native }}
modules:
  ping: {{ node: left, source: {{ rust: {ping:?} }} }}
  pong: {{ node: right, source: {{ rust: {pong:?} }} }}
connections:
  - {{ name: there, from: ping.ping, to: pong.ping }}
  - {{ name: back, from: pong.pong, to: ping.pong }}
  - {{ name: score, direct: true, to: ping.score }}
policy:
  allow: [native]
",
        ping = source("examples/ping-pong/ping"),
        pong = source("examples/ping-pong/pong"),
    )
}
