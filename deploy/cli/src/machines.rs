//! Emulated TrustZone machines of a throw-away run: each is a node of its own, with the secret and the signer of its board.

use crate::printer::Printer;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::task::{JoinHandle, spawn_blocking};
use veritee_exec::fleet::Fleet;
use veritee_exec::throwaway::{Joining, Throwaway};
use veritee_exec::{Talk, hex};
use veritee_platform::{BuiltBoard, framework};
use veritee_trustzone_format::service;
use veritee_trustzone_machine::{Builder, Machine, Order, Packages, Programs, Running, key};

/// Word of the platform whose boards are machines with nodes of their own.
pub(crate) const PLATFORM: &str = "trustzone";
/// The disk of a throw-away machine: outbox and journal of some minutes.
const DISK_MIB: u32 = 256;
/// What a throw-away node is configured with beside its folder and address.
const NODE_CONFIG: &str = "end_modules = true\n[log]\nfilter = \"warn\"\n";

/// What all machines are made of.
pub(crate) struct Parts {
    packages: Packages,
    programs: Programs,
}

impl Parts {
    /// Gets the packages, from a folder or from the mirror, and builds the programs. What was got or built before is used again.
    pub(crate) fn get(folder: Option<&Path>, printer: &Printer) -> Result<Self> {
        let talk = |line: &str| printer.doing("machines", line);
        let packages =
            packages(folder, &talk).context("emulated TrustZone machines need Debian's OP-TEE and kernel")?;
        let framework = framework()?;
        let target = framework.join("target");
        let programs = Builder { framework: &framework, target: &target, talk: &talk }.programs()?;
        Ok(Self { packages, programs })
    }

    /// Makes a machine with the secure world of a board.
    pub(crate) fn make(
        &self, folder: &Path, board: &MachineBoard, node_config: &str, disk_mib: u32,
    ) -> Result<Machine> {
        let key = key::modulus_of_pem(&board.signer).context("the signer's public key cannot be read")?;
        let applications = [(format!("{}.ta", service::UUID), board.service.clone())];
        let order = Order {
            folder,
            packages: &self.packages,
            programs: &self.programs,
            key: Some(&key),
            applications: &applications,
            node_config,
            visitor: &[],
            disk_mib,
        };
        Ok(Machine::make(&order)?)
    }
}

/// Packages of the folder, else of the cache, else from the mirror of this machine. The cache is the folder that
/// `VERITEE_TRUSTZONE_CACHE` names, or the user's.
fn packages(folder: Option<&Path>, talk: &dyn Fn(&str)) -> Result<Packages> {
    let cache = std::env::var_os("VERITEE_TRUSTZONE_CACHE").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
        Some(cache.join("veritee/trustzone"))
    });
    let cache = cache.context("this user has no home, hence no cache for packages")?;
    Ok(match folder {
        Some(folder) => Packages::from_folder(folder, &cache)?,
        None => Packages::fetch(&cache, talk)?,
    })
}

/// The node's program for arm64.
pub(crate) fn node_program(printer: &Printer) -> Result<Vec<u8>> {
    let talk = |line: &str| printer.doing("machines", line);
    let framework = framework()?;
    let target = framework.join("target");
    Ok(Builder { framework: &framework, target: &target, talk: &talk }.node()?)
}

/// What the provider puts into a machine.
pub(crate) struct MachineBoard {
    /// The attestation service, signed.
    pub(crate) service: Vec<u8>,
    /// Public half of the signing key, PEM.
    pub(crate) signer: Vec<u8>,
    /// The node's secret in hexadecimal.
    pub(crate) secret: String,
}

impl MachineBoard {
    /// Takes what the provider's platform made.
    pub(crate) fn of(built: &BuiltBoard, files: &[(String, Vec<u8>)]) -> Result<Self> {
        let file = |ending: &str| files.iter().find(|(name, _)| name.ends_with(ending)).map(|(_, bytes)| bytes.clone());
        let missing = || format!("the platform {PLATFORM} gives another set of files");
        Ok(Self {
            service: file(".ta").with_context(missing)?,
            signer: file(".pem").with_context(missing)?,
            secret: hex(built.secret.expose()),
        })
    }
}

/// All machines of a run.
#[derive(Default)]
pub(crate) struct Machines {
    boards: BTreeMap<String, MachineBoard>,
    starting: Vec<JoinHandle<Result<(String, Running)>>>,
    running: Vec<Running>,
}

impl Machines {
    /// Adds the machine of a node.
    pub(crate) fn add(&mut self, node: &str, board: MachineBoard) {
        self.boards.insert(node.to_owned(), board);
    }

    /// Whether a node is a machine.
    pub(crate) fn has(&self, node: &str) -> bool {
        self.boards.contains_key(node)
    }

    /// Makes all machines below `folder`, and has them start while modules are built.
    pub(crate) async fn begin(&mut self, folder: &Path, printer: &Printer) -> Result<()> {
        if self.boards.is_empty() {
            return Ok(());
        }
        let talk = printer.clone();
        let packages = std::env::var_os("VERITEE_PACKAGES").map(PathBuf::from);
        let parts = spawn_blocking(move || Parts::get(packages.as_deref(), &talk)).await??;
        let folder = folder.to_owned();
        let mut made = Vec::new();
        for (node, board) in &self.boards {
            printer.doing("machines", &format!("making the machine of {node}"));
            let machine = parts.make(&folder.join(node), board, NODE_CONFIG, DISK_MIB)?;
            made.push((node.clone(), machine, board.secret.clone()));
        }
        for (node, machine, secret) in made {
            let printer = printer.clone();
            self.starting.push(spawn_blocking(move || start(node, &machine, &secret, &printer)));
        }
        Ok(())
    }

    /// Waits for the machines and lets the owner enrol at them.
    pub(crate) async fn join(&mut self, throwaway: &Throwaway, fleet: &mut Fleet, printer: &Printer) -> Result<()> {
        for starting in self.starting.drain(..) {
            printer.doing("machines", "waiting for machines");
            let (node, mut running) = starting.await??;
            let joining = Joining {
                address: running.address().to_string(),
                fingerprint: running.fingerprint()?,
                token: running.token()?,
            };
            self.running.push(running);
            throwaway.join(&node, &joining, fleet).await?;
        }
        Ok(())
    }

    /// Switches them off.
    pub(crate) async fn end(&mut self) {
        for starting in self.starting.drain(..) {
            if let Ok(Ok((_, running))) = starting.await {
                self.running.push(running);
            }
        }
        let running = std::mem::take(&mut self.running);
        // A machine that does not stop by itself is ended; its folder goes in either case.
        let _ = spawn_blocking(move || running.into_iter().for_each(|machine| drop(machine.stop()))).await;
    }
}

/// Switches a machine on and gives its attestation service the secret.
fn start(node: String, machine: &Machine, secret: &str, printer: &Printer) -> Result<(String, Running)> {
    let begun = Instant::now();
    let mut running = machine.start(None).with_context(|| format!("the machine of {node} does not start"))?;
    running.enrol(&service::UUID.to_string(), secret)?;
    let seconds = begun.elapsed().as_secs_f64();
    printer.done(&format!("started the machine of {node}, emulated: OP-TEE and Linux, ready after {seconds:.1} s"));
    Ok((node, running))
}
