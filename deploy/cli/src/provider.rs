//! Verbs of a provider.

use crate::grammar::ProviderVerb;
use crate::nodes;
use crate::printer::Printer;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use veritee_exec::home::{Home, write_new};
use veritee_exec::provider::ProviderAddress;
use veritee_exec::{Talk, counted, hex, platforms};
use veritee_node_client::parse_fingerprint;
use veritee_platform::BoardOrder;
use veritee_provider::drivers::Drivers;
use veritee_provider::server::{Customers, Server};
use veritee_provider::{Service, Store};

/// Files of a new board.
const FIRMWARE: &str = "board.elf";
const SECRET: &str = "board.secret";

/// The provider's books of this user.
fn store() -> Result<Store> {
    Ok(Store::open(&Home::of_user().folder().join("provider"))?)
}

pub(crate) async fn obey(verb: ProviderVerb, printer: &Printer) -> Result<()> {
    match verb {
        ProviderVerb::AddNode { name, address, fingerprint, token } => {
            nodes::add(store()?.home(), &name, &address, (&fingerprint, &token), printer).await
        }
        ProviderVerb::Enrol { board, node, platform, drivers, simulated, bare, out } => {
            enrol((&board, &node), &platform, &drivers, (simulated, bare), &out, printer)
        }
        ProviderVerb::VendorKey { board, owner, service } => vendor_key(&board, &owner, service, printer),
        ProviderVerb::Sign { board, image, owner, out } => sign(&board, &image, &owner, &out, printer),
        ProviderVerb::Serve { listen, hours } => serve(&listen, hours, printer).await,
        ProviderVerb::Grant { board, driver, owner, hours } => grant(&board, &driver, (&owner, hours), printer).await,
        ProviderVerb::Release { board, driver } => release(&board, &driver, printer).await,
        ProviderVerb::List => list(printer),
    }
}

fn enrol(
    (board, node): (&str, &str), word: &str, drivers: &[String], (simulated, bare): (bool, bool), out: &Path,
    printer: &Printer,
) -> Result<()> {
    let mut store = store()?;
    if store.boards().contains_key(board) {
        bail!("there is a board {board} already");
    }
    let Some(platform) = platforms::provider(word) else {
        let words: Vec<&str> = platforms::providers().iter().map(|platform| platform.name()).collect();
        bail!("the platform {word} has no boards; there is: {}", words.join(", "));
    };
    let known = platform.drivers();
    if let Some(unknown) = drivers.iter().find(|driver| !known.contains(driver)) {
        bail!("there is no driver {unknown:?}; there is: {}", known.join(", "));
    }
    let made = std::fs::DirBuilder::new().mode(0o700).create(out);
    made.with_context(|| format!("cannot make {}", out.display()))?;
    let target = tempfile::tempdir().context("cannot make a temporary folder")?;
    let talk = printer.clone();
    let order = BoardOrder { drivers, simulated, bare, target: target.path(), talk: &|line| talk.doing("board", line) };
    let built = platform.make(&order)?;
    let secret = out.join(SECRET);
    write_new(&secret, hex(built.secret.expose()).as_bytes())?;
    let files = platform.node_files(&built)?;
    store.add_board(board, node, word, &built.record)?;
    if !files.is_empty() {
        let enrolled =
            Enrolled { board: board.to_owned(), node: node.to_owned(), platform: word.to_owned(), simulated };
        return enrol_node(&enrolled, &files, out, printer);
    }
    let firmware = out.join(FIRMWARE);
    std::fs::copy(&built.firmware, &firmware).with_context(|| format!("cannot write {}", firmware.display()))?;
    if bare {
        printer.warn("a board without the board profile: its firmware can read modules' secrets, change their keys and move devices");
    }
    let provider = store.home().identity()?.fingerprint().to_string();
    let value = serde_json::json!({
        "board": board, "node": node, "firmware": firmware, "secret": secret, "provider": provider, "drivers": drivers,
    });
    printer.result(&value, || {
        let (port, start) = match simulated {
            true => (format!("unix:{}/uart", shown_path(out)), emulator(out, bare)),
            false => ("/dev/ttyUSB0".to_owned(), String::new()),
        };
        format!(
            "board {board} is in the books\n  program memory  {}\n  secret          {} (for the board's fuses, or the emulator; \
             then erase it)\n{start}In the configuration of node {node}, before the first section:\n  providers = \
             [{provider:?}]\nand at its end:\n  [[board]]\n  name = {board:?}\n  port = {port:?}\n  drivers = {drivers:?}",
            firmware.display(),
            secret.display()
        )
    });
    Ok(())
}

/// What is in a new folder for a node that is its own board: a note beside its files, for who puts the node together.
#[derive(Serialize, Deserialize)]
pub(crate) struct Enrolled {
    board: String,
    node: String,
    /// Word of the platform.
    pub(crate) platform: String,
    /// Its keys say that it is emulated.
    pub(crate) simulated: bool,
}

/// The note's file.
pub(crate) const ENROLLED: &str = "enrolled.json";

/// Writes the files of a node that is its own board, and says what to do with them.
fn enrol_node(enrolled: &Enrolled, files: &[(String, Vec<u8>)], out: &Path, printer: &Printer) -> Result<()> {
    let note = (ENROLLED.to_owned(), serde_json::to_vec_pretty(enrolled)?);
    for (name, bytes) in files.iter().chain([&note]) {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let Enrolled { board, node, simulated, .. } = enrolled;
    let (shown, secret) = (out.display(), out.join(SECRET));
    let value = serde_json::json!({"board": board, "node": node, "secret": secret, "files": names});
    printer.result(&value, || {
        let machine = if *simulated { "" } else { " --machine board" };
        format!(
            "board {board} is in the books\n  for node {node}  {}\n  its secret   {} (the node gets it once; then erase it)\n\
             The way on: veritee node init {node}{machine} --provided {shown}",
            names.join(", "),
            secret.display()
        )
    });
    Ok(())
}

/// A folder, however the reader's program is started.
fn shown_path(folder: &Path) -> String {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).display().to_string()
}

/// How to run a board in the emulator.
fn emulator(out: &Path, bare: bool) -> String {
    let (out, profile) = (shown_path(out), if bare { "bare" } else { "veritee" });
    let freshness = if bare { String::new() } else { format!(" --freshness {out}/freshness") };
    format!(
        "Start it:\n  veritee-emu run {out}/{FIRMWARE} --core master --profile {profile} --slots 16 \\\n    \
         --board-secret {out}/{SECRET}{freshness} \\\n    --uart1 unix:{out}/uart --uart2 none --world unix:{out}/world\n"
    )
}

fn vendor_key(board: &str, owner: &str, service: Option<String>, printer: &Printer) -> Result<()> {
    parse_fingerprint(owner)
        .map_err(|_| anyhow::anyhow!("{owner:?} is no fingerprint; `veritee whoami` prints one"))?;
    let mut store = store()?;
    let fingerprint = store.home().identity()?.fingerprint().to_string();
    let service = service.map(|address| ProviderAddress { address, fingerprint });
    let key = store.vendor_key(board, owner, service)?;
    printer.result(&key, || serde_json::to_string_pretty(&key).unwrap_or_default());
    Ok(())
}

fn sign(board: &str, image: &Path, owner: &str, out: &Path, printer: &Printer) -> Result<()> {
    let bytes = std::fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let signed = store()?.sign(board, owner, &bytes)?;
    std::fs::write(out, &signed).with_context(|| format!("cannot write {}", out.display()))?;
    printer.result(&serde_json::json!({"board": board, "image": out}), || format!("signed: {}", out.display()));
    Ok(())
}

async fn serve(listen: &str, hours: u32, printer: &Printer) -> Result<()> {
    let store = store()?;
    let (identity, customers) = (store.home().identity()?, Customers::of(&store));
    let server = Server::bind(listen, &identity, customers).await?;
    let ready = serde_json::json!({"ready": {"address": server.address()?.to_string(), "fingerprint": identity.fingerprint().to_string()}});
    printer.line(&ready.to_string());
    let service = Service::new(store, Drivers::default(), u64::from(hours) * 3600);
    tokio::select! {
        () = server.serve(service) => {}
        _ = tokio::signal::ctrl_c() => printer.say("no longer answering; drivers that were taken stay taken"),
    }
    Ok(())
}

fn in_hours(hours: u32) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    now.as_secs() + u64::from(hours) * 3600
}

async fn grant(board: &str, driver: &str, (owner, hours): (&str, u32), printer: &Printer) -> Result<()> {
    parse_fingerprint(owner)
        .map_err(|_| anyhow::anyhow!("{owner:?} is no fingerprint; `veritee whoami` prints one"))?;
    let not_after = in_hours(hours);
    Service::new(store()?, Drivers::default(), 0).keep(board, driver, owner, not_after).await?;
    printer.result(&serde_json::json!({"board": board, "driver": driver, "not_after": not_after}), || {
        format!("driver {driver} of board {board} is kept for {owner} for {hours} hours")
    });
    Ok(())
}

async fn release(board: &str, driver: &str, printer: &Printer) -> Result<()> {
    Service::new(store()?, Drivers::default(), 0).revoke(board, driver).await?;
    printer.result(&serde_json::json!({"board": board, "driver": driver}), || {
        format!("driver {driver} of board {board} is free")
    });
    Ok(())
}

/// A board, as `list` prints it.
#[derive(Serialize)]
struct Listed {
    platform: String,
    node: String,
    drivers: BTreeMap<String, Vec<Holder>>,
}

#[derive(Serialize)]
struct Holder {
    application: String,
    owner: String,
    not_after: u64,
    connections: usize,
}

fn list(printer: &Printer) -> Result<()> {
    let store = store()?;
    let mut boards = BTreeMap::new();
    for (name, board) in store.boards() {
        let mut drivers = BTreeMap::new();
        for driver in store.driver_names(name)? {
            let held = store.grants().iter().filter(|grant| grant.board == *name && grant.driver == driver);
            let holders: Vec<Holder> = held
                .map(|grant| Holder {
                    application: grant.name.clone(),
                    owner: grant.owner.clone(),
                    not_after: grant.not_after,
                    connections: grant.rows.len(),
                })
                .collect();
            drivers.insert(driver, holders);
        }
        boards.insert(name, Listed { platform: board.platform.clone(), node: board.node.clone(), drivers });
    }
    printer.result(&boards, || boards.iter().map(|(name, board)| shown(name, board)).collect::<Vec<_>>().join("\n"));
    Ok(())
}

fn shown(name: &str, board: &Listed) -> String {
    let drivers = board.drivers.iter().map(|(driver, holders)| {
        let held = holders.iter().map(|holder| match holder.application.as_str() {
            "" => format!("kept for {}", holder.owner),
            application => format!("{application} ({})", counted(holder.connections, "connection")),
        });
        let held = held.collect::<Vec<_>>().join(", ");
        format!("\n  {driver}: {}", if held.is_empty() { "free" } else { &held })
    });
    format!("{name}  {} behind {}{}", board.platform, board.node, drivers.collect::<String>())
}
