//! A board in the emulator, behind a node, with its provider.

use super::node::{Boards, Daemon};
use super::{PATIENCE, Stage, beside, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// Who has the boards of a test.
pub const PROVIDER: &str = "provider";
/// The node with the board, and the board.
pub const HOUSE: &str = "house";
pub const KITCHEN: &str = "kitchen";

/// Whether boards can be built here; else says why the test is skipped.
pub fn can_build(test: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let found = there("clang") && there("ld.lld");
    if !found {
        println!("{test}: skipped, clang and ld.lld are not installed: apt install clang lld");
    }
    found
}

/// A process that is killed when this is dropped.
struct Process(Option<Child>);

impl Process {
    fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A board of a provider, emulated, and his service.
pub struct Kitchen {
    folder: PathBuf,
    /// Without the board profile.
    bare: bool,
    board: Process,
    service: Process,
    /// Where the service answers.
    pub address: String,
}

impl Kitchen {
    /// A stage where a provider has a board with these drivers behind a node, to which nobody else is known. Board and
    /// service run.
    pub fn build(stage: &mut Stage, drivers: &[&str]) -> Self {
        Self::made(stage, drivers, false)
    }

    /// The same without the board profile.
    pub fn build_bare(stage: &mut Stage, drivers: &[&str]) -> Self {
        Self::made(stage, drivers, true)
    }

    fn made(stage: &mut Stage, drivers: &[&str], bare: bool) -> Self {
        stage.add_owner(PROVIDER);
        let folder = stage.path().join(KITCHEN);
        let words = ["provider", "enrol", KITCHEN, "--node", HOUSE, "--simulated", "--output", "json", "--drivers"];
        let mut enrol = stage.tool(PROVIDER, &words).arg(drivers.join(",")).arg("--out").arg(&folder);
        if bare {
            enrol = enrol.arg("--bare");
        }
        let said = enrol.said();
        assert_eq!(said.err.contains("! a board without the board profile"), bare, "{}", said.err);
        let enrolled = said.json();
        let boards = Boards {
            providers: vec![enrolled["provider"].as_str().unwrap().to_owned()],
            boards: vec![(
                KITCHEN.to_owned(),
                format!("unix:{}", folder.join("uart").display()),
                drivers.iter().map(|driver| (*driver).to_owned()).collect(),
            )],
        };
        let daemon = Daemon::with_boards(&stage.path().join("node-house"), boards);
        stage.nodes.insert(HOUSE.to_owned(), daemon);
        stage.enrol_by(PROVIDER, &["provider", "add-node"], HOUSE);
        let address = "127.0.0.1:0".to_owned();
        let mut kitchen = Self { folder, bare, board: Process(None), service: Process(None), address };
        kitchen.start_board();
        kitchen.start_service(stage);
        kitchen
    }

    /// Makes an owner known to node and provider, and gives him his key of the board.
    pub fn welcome(&self, stage: &Stage, owner: &str) {
        stage.enrol(owner, HOUSE);
        let key = self.key(stage, owner);
        stage.tool(owner, &["node", "key", HOUSE]).arg(&key).said().ok();
    }

    /// The file with an owner's key of the board.
    pub fn key(&self, stage: &Stage, owner: &str) -> PathBuf {
        self.key_at(&self.address, stage, owner)
    }

    /// The same for an owner who finds the provider's service at another address.
    pub fn key_at(&self, service: &str, stage: &Stage, owner: &str) -> PathBuf {
        let fingerprint = stage.tool(owner, &["whoami"]).said().ok();
        let words = ["provider", "vendor-key", KITCHEN, "--owner", fingerprint.trim(), "--service", service];
        let key = stage.tool(PROVIDER, &words).said().ok();
        let path = stage.path().join(format!("{owner}.key"));
        fs::write(&path, key).unwrap();
        path
    }

    /// Switches the board on.
    pub fn start_board(&mut self) {
        assert!(self.board.0.is_none(), "the board runs already");
        let (log, ready) = (self.folder.join("log"), self.folder.join("ready"));
        let _ = fs::remove_file(&ready);
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(beside("veritee-emu"));
        command.current_dir(&self.folder);
        command.args(["run", "board.elf", "--core", "master", "--slots", "16"]);
        let profile: &[&str] = if self.bare { &["bare"] } else { &["veritee", "--freshness", "freshness"] };
        command.arg("--profile").args(profile);
        command.args(["--board-secret", "board.secret", "--uart1", "unix:uart"]);
        command.args(["--uart2", "none", "--world", "unix:world", "--ready-file", "ready"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.board = Process(Some(child));
        until("the start of the emulator", || ready.exists());
    }

    /// Pulls the plug.
    pub fn stop_board(&mut self) {
        self.board.kill();
    }

    /// Keeps the board from doing anything, until it is thawed: its line is open, and nobody answers.
    pub fn freeze_board(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw_board(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let board = self.board.0.as_ref().expect("the board runs").id();
        kill_process(Pid::from_raw(i32::try_from(board).unwrap()).unwrap(), signal).unwrap();
    }

    /// Puts something in the place of the board that takes bytes and says nothing, for as long as the value lives.
    pub fn silent_board(&self) -> UnixListener {
        let path = self.folder.join("uart");
        let _ = fs::remove_file(&path);
        UnixListener::bind(path).unwrap()
    }

    /// Starts the provider's service, where it was before.
    pub fn start_service(&mut self, stage: &Stage) {
        assert!(self.service.0.is_none(), "the service runs already");
        let mut tool = stage.tool(PROVIDER, &["provider", "serve", "--listen", &self.address]).0;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("service")).unwrap();
        let mut child = tool.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        self.service = Process(Some(child));
        let (say, hear) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = say.send(line);
        });
        let line = hear.recv_timeout(PATIENCE).unwrap_or_default();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no start: {}", self.text("service")));
        self.address = ready["ready"]["address"].as_str().unwrap().to_owned();
    }

    /// Kills the service as a power cut would.
    pub fn stop_service(&mut self) {
        self.service.kill();
    }

    /// A command to the board's surroundings.
    pub fn world(&self, words: &[&str]) -> Value {
        let mut command = Command::new(beside("veritee-emu"));
        command.current_dir(&self.folder).args(["world", "unix:world"]).args(words);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A finger on the button, and off it again when the driver has seen it.
    pub fn press(&self) {
        self.world(&["press", "p2.0"]);
        self.world(&["release", "p2.0"]);
    }

    /// Whether the light shines.
    pub fn light(&self) -> bool {
        self.world(&["get"])["outputs"][0].as_u64().unwrap() & 0x20 != 0
    }

    /// What the provider lists: who has a driver.
    pub fn holders(&self, stage: &Stage, driver: &str) -> Vec<String> {
        let listed = stage.tool(PROVIDER, &["provider", "list", "--output", "json"]).said().json();
        let holders = listed[KITCHEN]["drivers"][driver].as_array().unwrap();
        holders.iter().map(|holder| holder["application"].as_str().unwrap().to_owned()).collect()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Kitchen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["log", "service"] {
                println!("{name} of {}:\n{}", self.folder.display(), self.text(name));
            }
        }
    }
}

/// A folder with one C file.
pub fn c_module(folder: &Path, code: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("module.c"), code).unwrap();
}
