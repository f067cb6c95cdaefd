//! A whole application on this machine: node processes, folders, identities and root, all ended and removed at the end.

use crate::fleet::{Fleet, Node};
use crate::home::Home;
use crate::{ExecError, Talk};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use veritee_node_client::{Identity, Token, enrol, parse_fingerprint};

/// How long a node may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nodes that end with this value.
#[derive(Debug)]
pub struct Throwaway {
    nodes: Vec<Running>,
    folder: TempDir,
    /// Times that nodes were started: each start has folders of its own.
    round: u32,
}

/// How throw-away nodes are configured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Events leave only once they are on disk.
    pub wait_for_disk: bool,
    /// Boards behind nodes, by node.
    pub boards: BTreeMap<String, Vec<NodeBoard>>,
    /// Fingerprint of the boards' provider.
    pub provider: Option<String>,
}

/// A board behind a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeBoard {
    /// Its name.
    pub name: String,
    /// Its serial port, as the node's configuration names it.
    pub port: String,
    /// Names of its drivers, in the order of the board's table.
    pub drivers: Vec<String>,
}

impl NodeBoard {
    /// Its section of the node's configuration.
    fn section(&self) -> String {
        format!("[[board]]\nname = {:?}\nport = {:?}\ndrivers = {:?}\n", self.name, self.port, self.drivers)
    }
}

/// A node that others started for the run: an emulated machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joining {
    /// `host:port`.
    pub address: String,
    /// Its identity in hexadecimal.
    pub fingerprint: String,
    /// A one-time token of it.
    pub token: String,
}

#[derive(Debug)]
struct Running {
    name: String,
    process: Child,
}

/// First line of a node that is ready.
#[derive(Deserialize)]
struct Ready {
    ready: Address,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

/// What `veritee-node init` says.
#[derive(Deserialize)]
struct Initialised {
    fingerprint: String,
    token: String,
}

/// What `veritee-node token` says.
#[derive(Deserialize)]
struct Issued {
    token: String,
}

/// Finds the node's program: `VERITEE_NODE`, else beside this program, else on the path.
///
/// # Errors
/// [`ExecError::NoProgram`] when `VERITEE_NODE` names no file.
pub fn node_program() -> Result<PathBuf, ExecError> {
    if let Some(named) = std::env::var_os("VERITEE_NODE") {
        let named = PathBuf::from(named);
        let missing = || ExecError::NoProgram(format!("VERITEE_NODE names {}", named.display()));
        return if named.is_file() { Ok(named) } else { Err(missing()) };
    }
    Ok(beside("veritee-node"))
}

/// A program beside this one, else on the path.
#[must_use]
pub fn beside(name: &str) -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(name)));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| name.into())
}

impl Throwaway {
    /// Makes the folder of a throw-away run.
    ///
    /// # Errors
    /// [`ExecError::File`].
    pub fn new() -> Result<Self, ExecError> {
        let folder = tempfile::Builder::new().prefix("veritee-run-").tempdir();
        let folder = folder.map_err(ExecError::file("make", std::env::temp_dir()))?;
        Ok(Self { nodes: Vec::new(), folder, round: 0 })
    }

    /// The throw-away owner's home.
    #[must_use]
    pub fn home(&self) -> Home {
        Home::at(self.folder.path().join("owner"))
    }

    /// The throw-away state's folder: one for each start of nodes.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.round_folder().join("state")
    }

    /// The folder of this start of nodes.
    #[must_use]
    pub fn round_folder(&self) -> PathBuf {
        self.folder.path().join(self.round.to_string())
    }

    /// The folder that everything of this run lies in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Processes of the nodes, by name.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, u32)> {
        self.nodes.iter().filter_map(|node| Some((node.name.clone(), node.process.id()?))).collect()
    }

    /// Starts a node process for each name and enrols the owner, exactly as a user would.
    ///
    /// # Errors
    /// [`ExecError::NoProgram`], [`ExecError::NodeStart`], [`ExecError::Node`].
    pub async fn start(&mut self, names: &[String], settings: &Settings, talk: &dyn Talk) -> Result<Fleet, ExecError> {
        let program = node_program()?;
        self.round += 1;
        let folder = self.round_folder();
        std::fs::create_dir(&folder).map_err(ExecError::file("make", &folder))?;
        let mut fleet = Fleet::default();
        for name in names {
            talk.doing("nodes", &format!("starting node {name}"));
            let config = self.configure(name, settings)?;
            let initialised: Initialised = said(&program, "init", name, &config).await?;
            let address = self.run(&program, name, &config).await?;
            let Initialised { fingerprint, token } = initialised;
            self.join(name, &Joining { address, fingerprint, token }, &mut fleet).await?;
        }
        talk.done(&format!("started {} on this machine", crate::counted(names.len(), "node")));
        Ok(fleet)
    }

    /// Enrols the owner at a node that runs, and takes it into the fleet.
    ///
    /// # Errors
    /// [`ExecError::NodeStart`], [`ExecError::Node`].
    pub async fn join(&self, name: &str, joining: &Joining, fleet: &mut Fleet) -> Result<(), ExecError> {
        let identity = self.home().identity()?;
        let bad = |what: &str| ExecError::NodeStart { node: name.to_owned(), reason: format!("its {what} is none") };
        let node = parse_fingerprint(&joining.fingerprint).map_err(|_| bad("fingerprint"))?;
        let token: Token = joining.token.parse().map_err(|_| bad("token"))?;
        enrol(&joining.address, node, &token, &identity.public())
            .await
            .map_err(|source| ExecError::Node { node: name.to_owned(), source })?;
        fleet.nodes.insert(name.to_owned(), Node::connect(name, &joining.address, node, &identity).await?);
        Ok(())
    }

    fn configure(&self, name: &str, settings: &Settings) -> Result<PathBuf, ExecError> {
        let path = self.round_folder().join(format!("{name}.toml"));
        let state = self.round_folder().join(name);
        let boards = settings.boards.get(name).into_iter().flatten();
        let boards = boards.map(NodeBoard::section);
        let providers: Vec<&String> = settings.provider.iter().collect();
        let text = format!(
            "state = {state:?}\nlisten = [\"127.0.0.1:0\"]\nend_modules = true\nproviders = {providers:?}\n[log]\nfilter = \"warn\"\n\
             [outbox]\nwait_for_disk = {}\n{}",
            settings.wait_for_disk,
            boards.collect::<String>()
        );
        std::fs::write(&path, text).map_err(ExecError::file("write", &path))?;
        Ok(path)
    }

    /// Starts a node and waits until it tells its address.
    async fn run(&mut self, program: &Path, name: &str, config: &Path) -> Result<String, ExecError> {
        let failed = |reason: String| ExecError::NodeStart { node: name.to_owned(), reason };
        let log = self.round_folder().join(format!("{name}.log"));
        let log_file = std::fs::File::create(&log).map_err(ExecError::file("create", &log))?;
        let mut process = Command::new(program)
            .args(["run", "--until-stdin-ends", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|error| ExecError::NoProgram(format!("{}: {error}", program.display())))?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
        self.nodes.push(Running { name: name.to_owned(), process });
        let read = timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await;
        let ready: Option<Ready> = read.ok().and_then(Result::ok).and_then(|_| serde_json::from_str(&line).ok());
        ready.map(|ready| ready.ready.address).ok_or_else(|| failed(last_line(&log)))
    }

    /// Makes another identity known to a node that was started, exactly as an owner would.
    ///
    /// # Errors
    /// [`ExecError::NoProgram`], [`ExecError::NodeStart`], [`ExecError::Node`].
    pub async fn enrol(&self, node: &Node, identity: &Identity) -> Result<(), ExecError> {
        let config = self.round_folder().join(format!("{}.toml", node.name));
        let issued: Issued = said(&node_program()?, "token", &node.name, &config).await?;
        let bad = || ExecError::NodeStart { node: node.name.clone(), reason: "its token is none".to_owned() };
        let token: Token = issued.token.parse().map_err(|_| bad())?;
        enrol(&node.address, node.identity, &token, &identity.public())
            .await
            .map_err(|source| ExecError::Node { node: node.name.clone(), source })
    }

    /// Ends all nodes gracefully, then the folder goes.
    pub async fn end(mut self) {
        self.stop().await;
    }

    /// Ends all nodes gracefully; others can be started.
    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            // The node stops when its standard input ends.
            drop(node.process.stdin.take());
        }
        for node in &mut self.nodes {
            if timeout(PATIENCE, node.process.wait()).await.is_err() {
                let _ = node.process.kill().await;
            }
        }
        self.nodes.clear();
    }
}

/// What `veritee-node VERB --json` says.
async fn said<T: serde::de::DeserializeOwned>(
    program: &Path, verb: &str, name: &str, config: &Path,
) -> Result<T, ExecError> {
    let output = Command::new(program).args([verb, "--json", "--config"]).arg(config).output().await;
    let output = output.map_err(|error| ExecError::NoProgram(format!("{}: {error}", program.display())))?;
    serde_json::from_slice(&output.stdout).map_err(|_| ExecError::NodeStart {
        node: name.to_owned(),
        reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it says nothing").to_owned()
}
