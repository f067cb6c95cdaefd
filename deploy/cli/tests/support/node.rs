//! A node: its folder, its daemon, the runners of its modules.

use super::{PATIENCE, node_program, until};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// A running daemon. It and its modules' runners are killed when it is dropped.
pub struct Daemon {
    folder: PathBuf,
    child: Option<Child>,
    pub address: String,
    pub fingerprint: String,
    /// Its boards.
    boards: Boards,
}

/// What a node's configuration says of boards.
#[derive(Clone, Debug, Default)]
pub struct Boards {
    /// Fingerprints of providers.
    pub providers: Vec<String>,
    /// Name, port and drivers of each.
    pub boards: Vec<(String, String, Vec<String>)>,
}

impl Daemon {
    /// Makes a node in a new folder and starts it.
    pub fn init(folder: &Path) -> Self {
        Self::with_boards(folder, Boards::default())
    }

    /// A node with boards.
    pub fn with_boards(folder: &Path, boards: Boards) -> Self {
        fs::create_dir(folder).unwrap();
        let mut daemon = Self {
            folder: folder.to_owned(),
            child: None,
            address: "127.0.0.1:0".to_owned(),
            fingerprint: String::new(),
            boards,
        };
        daemon.configure();
        daemon.fingerprint = daemon.asked("init")["fingerprint"].as_str().unwrap().to_owned();
        daemon.start();
        daemon
    }

    fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    fn configure(&self) {
        let boards = self.boards.boards.iter();
        let boards = boards.map(|(name, port, drivers)| {
            format!("[[board]]\nname = {name:?}\nport = {port:?}\ndrivers = {drivers:?}\n")
        });
        let text = format!(
            "state = {:?}\nlisten = [{:?}]\nproviders = {:?}\n[log]\nfilter = \"info\"\n{}",
            self.folder.join("state"),
            self.address,
            self.boards.providers,
            boards.collect::<String>()
        );
        fs::write(self.config(), text).unwrap();
    }

    fn asked(&self, verb: &str) -> Value {
        let output = Command::new(node_program()).args([verb, "--json", "--config"]).arg(self.config()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Another one-time token.
    pub fn token(&self) -> String {
        self.asked("token")["token"].as_str().unwrap().to_owned()
    }

    /// Starts the daemon; it keeps the port that it got at its first start.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(node_program());
        command.args(["run", "--config"]).arg(self.config());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = self.child.insert(child).stdout.take().unwrap();
        let (say, hear) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = say.send(line);
        });
        let line = hear.recv_timeout(PATIENCE).unwrap_or_default();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no start: {}", self.log()));
        self.address = ready["ready"]["address"].as_str().unwrap().to_owned();
        self.configure();
    }

    /// Kills the daemon as a power cut would. Its modules live on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Folders of modules' instances.
    fn instances(&self) -> Vec<PathBuf> {
        let modules = fs::read_dir(self.folder.join("state/modules")).into_iter().flatten().flatten();
        modules.map(|entry| entry.path().join("instance")).filter(|folder| folder.join("pid").is_file()).collect()
    }

    /// Ids of runners that live.
    pub fn runners(&self) -> Vec<u32> {
        let pids = self.instances().into_iter().filter_map(|folder| {
            let pid = fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
            // The id may be another process's by now.
            let ours = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let folder = folder.as_os_str().as_encoded_bytes();
            ours.windows(folder.len()).any(|part| part == folder).then_some(pid)
        });
        pids.collect()
    }

    /// Kills the only module of this node, and waits until its process is gone. Gives its id.
    pub fn kill_module(&self) -> u32 {
        let runners = self.runners();
        let [runner] = runners[..] else { panic!("one module is expected: {runners:?}") };
        kill(runner);
        until("the end of a module", || !self.runners().contains(&runner));
        runner
    }
}

/// Kills a process.
fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("log of {}:\n{}", self.folder.display(), self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.runners().into_iter().for_each(kill);
    }
}
