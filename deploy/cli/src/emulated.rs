//! Emulated boards of a throw-away run, with a throw-away provider who made them.

use crate::machines::{self, MachineBoard, Machines};
use crate::printer::Printer;
use crate::world::{self, World};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use veritee_exec::fleet::Fleet;
use veritee_exec::home::{Home, write_new};
use veritee_exec::throwaway::{NodeBoard, Settings, Throwaway, beside};
use veritee_exec::{Talk, counted, hex, platforms};
use veritee_model::{Board, Descriptor};
use veritee_platform::{BoardOrder, BuiltBoard};
use veritee_provider::drivers::Drivers;
use veritee_provider::{Service, Store};

/// How long an emulator may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// A board that the descriptor does not name.
const BOARD: &str = "board";
/// Grants of a throw-away run outlast it.
const GRANT_SECONDS: u64 = 30 * 24 * 3600;

/// All boards of a run.
pub(crate) struct Emulated {
    folder: PathBuf,
    boards: Vec<Made>,
    running: Vec<Child>,
    worlds: Vec<JoinHandle<()>>,
    machines: Machines,
    store: Option<Store>,
}

/// A board that was made.
struct Made {
    node: String,
    /// What the descriptor calls it.
    name: String,
    /// What its node and its provider call it.
    full: String,
    board: Board,
    built: BuiltBoard,
}

impl Made {
    fn file(&self, folder: &Path, kind: &str) -> PathBuf {
        folder.join(format!("{}.{kind}", self.full))
    }
}

/// The emulator's program: `VERITEE_EMU`, else beside this program, else on the path.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("VERITEE_EMU").map_or_else(|| beside("veritee-emu"), PathBuf::from)
}

/// The boards of a node that a run emulates: those that the descriptor lists, or one with the drivers that it uses.
fn boards_of(descriptor: &Descriptor, node: &str) -> BTreeMap<String, Board> {
    let Some(found) = descriptor.nodes.get(node) else { return BTreeMap::new() };
    if !found.boards.is_empty() {
        return found.boards.clone();
    }
    let mut drivers: Vec<String> = Vec::new();
    for driver in
        descriptor.modules.values().filter(|module| module.node == node).filter_map(|module| module.driver.clone())
    {
        if !drivers.contains(&driver) {
            drivers.push(driver);
        }
    }
    BTreeMap::from([(BOARD.to_owned(), Board { drivers, ..Board::default() })])
}

impl Emulated {
    /// Makes all boards that the descriptor needs, and gives the owner his keys of them.
    pub(crate) async fn make(
        descriptor: &Descriptor, target: &Path, throwaway: &Throwaway, printer: &Printer,
    ) -> Result<Self> {
        let folder = throwaway.folder().join("boards");
        let mut emulated = Self {
            folder,
            boards: Vec::new(),
            running: Vec::new(),
            worlds: Vec::new(),
            machines: Machines::default(),
            store: None,
        };
        for (node, found) in &descriptor.nodes {
            let Some(platform) = platforms::provider(&found.platform) else { continue };
            for (name, board) in boards_of(descriptor, node) {
                printer.doing("boards", &format!("making board {name} of {node}"));
                let (word, target, talk) = (found.platform.clone(), target.to_owned(), printer.clone());
                let drivers = board.drivers.clone();
                let made = tokio::task::spawn_blocking(move || {
                    let platform = platforms::provider(&word).context("the platform has boards")?;
                    let order = BoardOrder {
                        drivers: &drivers,
                        simulated: true,
                        bare: false,
                        target: &target,
                        talk: &|line| talk.doing("boards", line),
                    };
                    Ok::<_, anyhow::Error>(platform.make(&order)?)
                });
                let built = made.await??;
                emulated.keep(platform.name(), (node, &name), (board, built), &throwaway.home())?;
            }
        }
        if !emulated.boards.is_empty() {
            printer.done(&format!("made {}", counted(emulated.boards.len(), "board")));
        }
        Ok(emulated)
    }

    /// Takes a board into the provider's books, and gives the owner his key.
    fn keep(
        &mut self, platform: &str, (node, name): (&str, &str), (board, built): (Board, BuiltBoard), home: &Home,
    ) -> Result<()> {
        let full = format!("{node}-{name}");
        if self.store.is_none() {
            std::fs::create_dir_all(&self.folder)?;
            self.store = Some(Store::open(&self.folder.join("provider"))?);
        }
        let Some(store) = &mut self.store else { bail!("the provider has no folder") };
        store.add_board(&full, node, platform, &built.record)?;
        let key = store.vendor_key(&full, &home.identity()?.fingerprint().to_string(), None)?;
        home.add_board(node, name, key)?;
        if platform == machines::PLATFORM {
            let files = platforms::provider(platform).context("the platform has boards")?.node_files(&built)?;
            self.machines.add(node, MachineBoard::of(&built, &files)?);
        }
        self.boards.push(Made { node: node.to_owned(), name: name.to_owned(), full, board, built });
        Ok(())
    }

    /// Has the machines that are nodes of their own start, while something else is done.
    pub(crate) async fn begin(&mut self, printer: &Printer) -> Result<()> {
        self.machines.begin(&self.folder.join("machines"), printer).await
    }

    /// Whether a node is a machine of its own.
    pub(crate) fn is_machine(&self, node: &str) -> bool {
        self.machines.has(node)
    }

    /// Takes the machines into the fleet.
    pub(crate) async fn join(&mut self, throwaway: &Throwaway, fleet: &mut Fleet, printer: &Printer) -> Result<()> {
        self.machines.join(throwaway, fleet, printer).await
    }

    /// Boards on a serial line behind their node.
    fn on_lines(&self) -> impl Iterator<Item = &Made> {
        self.boards.iter().filter(|made| !self.machines.has(&made.node))
    }

    /// Starts the emulators. Gives what nodes are configured with.
    pub(crate) async fn start(&mut self, printer: &Printer) -> Result<Settings> {
        let provider = self.store.as_ref().map(|store| store.home().identity()).transpose()?;
        let provider = provider.map(|identity| identity.fingerprint().to_string());
        let mut settings = Settings { provider, ..Settings::default() };
        let mut running = Vec::new();
        for made in self.on_lines() {
            printer.doing("boards", &format!("starting board {} of {}", made.name, made.node));
            let port = format!("unix:{}", made.file(&self.folder, "uart").display());
            running.push(run(made, &self.folder, &port).await?);
            let board = NodeBoard { name: made.full.clone(), port, drivers: made.board.drivers.clone() };
            settings.boards.entry(made.node.clone()).or_default().push(board);
        }
        for made in self.on_lines() {
            let world = made.file(&self.folder, "world");
            printer.done(&format!(
                "started board {} of {}, emulated; its world: veritee-emu world unix:{} watch",
                made.name,
                made.node,
                world.display()
            ));
        }
        self.running.extend(running);
        Ok(settings)
    }

    /// Shows what happens to the boards' devices, and does to them what the descriptor says.
    pub(crate) fn play(&mut self, printer: &Printer) {
        let mut worlds = Vec::new();
        for made in self.on_lines() {
            let world = World {
                shown: format!("{} of {}", made.name, made.node),
                socket: made.file(&self.folder, "world"),
                happenings: made.board.world.clone(),
            };
            worlds.push(tokio::spawn(world::play(world, printer.clone())));
        }
        self.worlds.extend(worlds);
    }

    /// Makes the provider known to the nodes of his boards, and lets the owner ask him.
    pub(crate) async fn lend(&mut self, throwaway: &Throwaway, fleet: &mut Fleet) -> Result<()> {
        let Some(store) = self.store.take() else { return Ok(()) };
        let identity = store.home().identity()?;
        let mut nodes = BTreeMap::new();
        for made in self.on_lines() {
            if nodes.contains_key(&made.node) {
                continue;
            }
            let node = fleet.node(&made.node)?.clone();
            throwaway.enrol(&node, &identity).await?;
            let own = veritee_exec::fleet::Node::connect(&made.node, &node.address, node.identity, &identity).await?;
            nodes.insert(made.node.clone(), own);
        }
        let service = Service::new(store, Drivers::with_nodes(nodes), GRANT_SECONDS);
        let owner = throwaway.home().identity()?.fingerprint().to_string();
        for made in &self.boards {
            let provider = service.for_owner(owner.clone());
            fleet.providers.insert((made.node.clone(), made.full.clone()), Arc::clone(&provider));
        }
        Ok(())
    }

    /// Ends the emulators.
    pub(crate) async fn end(&mut self) {
        self.worlds.drain(..).for_each(|world| world.abort());
        for process in &mut self.running {
            let _ = process.kill().await;
        }
        self.running.clear();
        self.machines.end().await;
    }
}

/// Starts one emulator and waits until its line can be opened.
async fn run(made: &Made, folder: &Path, port: &str) -> Result<Child> {
    let secret = made.file(folder, "secret");
    write_new(&secret, hex(made.built.secret.expose()).as_bytes())?;
    let (log, ready) = (made.file(folder, "log"), made.file(folder, "ready"));
    let log_file = std::fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let program = program();
    let world = format!("unix:{}", made.file(folder, "world").display());
    let mut process = Command::new(&program)
        .arg("run")
        .arg(&made.built.firmware)
        .args([
            "--core",
            "master",
            "--profile",
            "veritee",
            "--slots",
            "16",
            "--uart2",
            "none",
            "--realtime",
            "--uart1",
            port,
            "--world",
            &world,
        ])
        .arg("--board-secret")
        .arg(&secret)
        .arg("--freshness")
        .arg(made.file(folder, "freshness"))
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start the emulator {}", program.display()))?;
    let end = Instant::now() + PATIENCE;
    while !ready.exists() {
        if process.try_wait()?.is_some() || Instant::now() >= end {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("the emulated board {} of {} does not start: {}", made.name, made.node, said.trim());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(process)
}
