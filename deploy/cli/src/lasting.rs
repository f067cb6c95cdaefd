//! Lasting TrustZone nodes: an emulated machine in a folder, or what a real board needs.

use crate::grammar::Kind;
use crate::machines::{MachineBoard, PLATFORM, Parts, node_program};
use crate::printer::Printer;
use crate::provider::{ENROLLED, Enrolled};
use anyhow::{Context, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;
use veritee_exec::home::write_new;
use veritee_trustzone_format::service;
use veritee_trustzone_machine::{Machine, Running, key};

/// The secret in a machine's folder, until its attestation service has it.
const SECRET: &str = "secret";
/// What `veritee provider enrol` wrote.
const PROVIDED_SECRET: &str = "board.secret";
const PROVIDED_SIGNER: &str = "signer.pem";
/// Room for journal and outbox, sparse.
const DISK_MIB: u32 = 4096;

/// What is to be made.
pub(crate) struct Wish {
    pub(crate) folder: PathBuf,
    pub(crate) kind: Kind,
    /// The folder that the provider wrote.
    pub(crate) provided: PathBuf,
    /// Where packages are, if not at the mirror.
    pub(crate) packages: Option<PathBuf>,
}

/// The name of the attestation service's file, as cores ask for it.
fn service_file() -> String {
    format!("{}.ta", service::UUID)
}

fn provided(folder: &Path, kind: Kind) -> Result<MachineBoard> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| {
            format!("cannot read {}; `veritee provider enrol --platform {PLATFORM}` writes it", path.display())
        })
    };
    let shown = folder.display();
    let enrolled: Enrolled =
        serde_json::from_slice(&read(ENROLLED)?).with_context(|| format!("{shown}/{ENROLLED} makes no sense"))?;
    if enrolled.platform != PLATFORM {
        bail!("{shown} is of the platform {}, not of {PLATFORM}", enrolled.platform);
    }
    // Its keys would tell owners that hardware protects what an emulator runs.
    if kind == Kind::Qemu && !enrolled.simulated {
        bail!("{shown} was enrolled as hardware; an emulated machine needs `veritee provider enrol --simulated`");
    }
    let signer = read(PROVIDED_SIGNER)?;
    key::modulus_of_pem(&signer).with_context(|| format!("{shown}/{PROVIDED_SIGNER} is no public key"))?;
    let secret = String::from_utf8(read(PROVIDED_SECRET)?).with_context(|| format!("{shown} has no secret"))?;
    Ok(MachineBoard { service: read(&service_file())?, signer, secret: secret.trim().to_owned() })
}

/// Makes a node.
pub(crate) async fn init(wish: Wish, printer: &Printer) -> Result<()> {
    let board = provided(&wish.provided, wish.kind)?;
    if wish.folder.exists() {
        bail!("{} is there already", wish.folder.display());
    }
    let (talk, folder, kind) = (printer.clone(), wish.folder.clone(), wish.kind);
    spawn_blocking(move || match kind {
        Kind::Qemu => emulated(&folder, &board, wish.packages.as_deref(), &talk),
        Kind::Board => for_board(&folder, &board, &talk),
    })
    .await??;
    let folder = wish.folder.display().to_string();
    printer.result(&serde_json::json!({"folder": folder, "machine": wish.kind.word()}), || match wish.kind {
        Kind::Qemu => format!("a machine is in {folder}; `veritee node start {folder}` switches it on"),
        Kind::Board => format!("{folder} has what the board needs; {folder}/README.md says where it goes"),
    });
    Ok(())
}

fn emulated(folder: &Path, board: &MachineBoard, packages: Option<&Path>, printer: &Printer) -> Result<()> {
    let parts = Parts::get(packages, printer)?;
    parts.make(folder, board, "[log]\nfilter = \"info\"\n", DISK_MIB)?;
    write_new(&folder.join(SECRET), board.secret.as_bytes())?;
    Ok(())
}

/// What goes onto a board beside what the provider and a compiler make, and what says where all of it goes.
const BOARD_FILES: [(&str, &str); 5] = [
    ("README.md", include_str!("../template/board/README.md.in")),
    ("node.toml", include_str!("../template/board/node.toml.in")),
    ("tee.rules", include_str!("../template/board/tee.rules.in")),
    ("trustzone.conf", include_str!("../../../node/daemon/trustzone.conf")),
    ("veritee-node.service", include_str!("../../../node/daemon/veritee-node.service")),
];

fn for_board(folder: &Path, board: &MachineBoard, printer: &Printer) -> Result<()> {
    let node = node_program(printer)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let put = |name: &str, bytes: &[u8], mode| {
        let path = folder.join(name);
        let written = fs::write(&path, bytes).and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)));
        written.with_context(|| format!("cannot write {}", path.display()))
    };
    put("veritee-node", &node, 0o755)?;
    put(&service_file(), &board.service, 0o644)?;
    put(PROVIDED_SIGNER, &board.signer, 0o644)?;
    for (name, text) in BOARD_FILES {
        let text = text.replace("{service}", &service_file()).replace("{uuid}", &service::UUID.to_string());
        put(name, text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// Switches an emulated machine on, and off at Ctrl-C.
pub(crate) async fn start(folder: PathBuf, port: u16, printer: &Printer) -> Result<()> {
    let shown = folder.display().to_string();
    printer.say(&format!("switching the machine in {shown} on"));
    let mut running = spawn_blocking(move || switch_on(&folder, port)).await??;
    let ready = serde_json::json!({"ready": {
        "address": running.address().to_string(), "fingerprint": running.fingerprint()?, "token": running.token()?,
    }});
    printer.line(&ready.to_string());
    let mut watch = tokio::time::interval(std::time::Duration::from_millis(500));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = watch.tick() => if !running.lives() {
                bail!("the machine in {shown} ended: {}", running.last_words());
            },
        }
    }
    printer.say("switching it off");
    Ok(spawn_blocking(move || running.stop()).await??)
}

/// Starts a machine; at the first time the attestation service gets its secret, and the file goes.
fn switch_on(folder: &Path, port: u16) -> Result<Running> {
    let mut running = Machine::open(folder)?.start(Some(port).filter(|port| *port != 0))?;
    let secret = folder.join(SECRET);
    if secret.exists() {
        let text = fs::read_to_string(&secret).with_context(|| format!("cannot read {}", secret.display()))?;
        running.enrol(&service::UUID.to_string(), text.trim())?;
        fs::remove_file(&secret).with_context(|| format!("cannot remove {}", secret.display()))?;
    }
    Ok(running)
}
