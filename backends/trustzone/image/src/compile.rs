//! The owner's toolchain.

use crate::generated::locked_workspace;
use crate::system;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use veritee_platform::PlatformError;

/// 64-bit Arm without operating system and without floating point: a module never touches the registers that worlds would have to
/// swap for it.
const TARGET: &str = "aarch64-unknown-none-softfloat";

/// What makes a trusted application of a crate: position-independent, laid out by `ta.ld`, entered at `__ta_entry`.
const FLAGS: &[&str] = &[
    "-Crelocation-model=pic",
    // Cargo starts the compiler, and the compiler the linker, in the final crate's folder.
    "-Clink-arg=-Tta.ld",
    "-Clink-arg=-pie",
    "-Clink-arg=--no-dynamic-linker",
    "-Clink-arg=--entry=__ta_entry",
    "-Clink-arg=--export-dynamic-symbol=ta_head",
    "-Clink-arg=--hash-style=both",
    // Constants of the precompiled core library hold addresses; they lie in writable memory.
    "-Clink-arg=-znotext",
    "-Clink-arg=-znorelro",
    "-Clink-arg=-zmax-page-size=4096",
    "-Clink-arg=--build-id=none",
];

/// A crate to compile.
pub(crate) struct Job<'a> {
    /// What it is called when it fails.
    pub(crate) name: &'a str,
    /// Folder of the final crate.
    pub(crate) folder: &'a Path,
    /// The target folder that all modules share.
    pub(crate) target: &'a Path,
    /// The author's source, whose place must not be in the image.
    pub(crate) source: &'a Path,
    /// The framework's sources.
    pub(crate) framework: &'a Path,
    /// Called with each line that the compiler says.
    pub(crate) talk: &'a (dyn Fn(&str) + Sync),
}

/// Builds the final crate and gives the path of the program.
pub(crate) fn build(job: &Job<'_>, program: &str) -> Result<PathBuf, PlatformError> {
    check_target()?;
    let flags = flags(job);
    let target = job.target.join("veritee/build");
    std::fs::create_dir_all(&target).map_err(system(format!("make {}", target.display())))?;
    let target = target.canonicalize().map_err(system(format!("find {}", target.display())))?.join(name_of(&flags));
    let mut command = cargo();
    command
        .args(["build", "--release", "--target", TARGET, "--manifest-path"])
        .arg(job.folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .current_dir(job.folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    run(job, command)?;
    Ok(target.join(TARGET).join("release").join(program))
}

/// Whether the core library for the target is installed.
fn check_target() -> Result<(), PlatformError> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().map_err(missing)?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir() {
        return Ok(());
    }
    Err(PlatformError::MissingTool {
        tool: format!("the compiler's target {TARGET}"),
        advice: format!("rustup target add {TARGET}"),
    })
}

/// A short name for flags.
fn name_of(flags: &OsString) -> String {
    Sha256::digest(flags.as_encoded_bytes()).iter().take(4).fold(String::new(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("a string takes everything");
        name
    })
}

/// Compiler flags, with paths of this machine taken out of the image. Modules of one workspace have the same.
fn flags(job: &Job<'_>) -> OsString {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let source = job.source.canonicalize().unwrap_or_else(|_| job.source.to_owned());
    let workspace = locked_workspace(&source).unwrap_or(&source).to_owned();
    let mut flags: Vec<OsString> = FLAGS.iter().map(OsString::from).collect();
    // Of several that match, the compiler takes the last one.
    let places = [
        (home, "cargo"),
        (Some(job.framework.to_owned()), "veritee"),
        (Some(workspace), "modules"),
        (job.folder.parent().map(Path::to_owned), "images"),
    ];
    for (from, to) in places {
        if let Some(from) = from {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push(format!("=/{to}"));
            flags.push(flag);
        }
    }
    flags.join(&OsString::from("\x1f"))
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What surrounds this program's own build must not leak into the image.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER"] {
        command.env_remove(name);
    }
    command
}

/// Runs cargo, passing on what it says line by line.
fn run(job: &Job<'_>, mut command: Command) -> Result<(), PlatformError> {
    command.args(["--color", "never"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(missing)?;
    let mut output = Vec::new();
    if let Some(words) = child.stderr.take() {
        for line in BufReader::new(words).lines().map_while(Result::ok) {
            (job.talk)(line.trim());
            output.push(line);
        }
    }
    let status = child.wait().map_err(system("wait for cargo".to_owned()))?;
    if status.success() {
        return Ok(());
    }
    Err(PlatformError::Build { module: job.name.to_owned(), output: output.join("\n") })
}

fn missing(error: std::io::Error) -> PlatformError {
    PlatformError::MissingTool {
        tool: format!("the Rust toolchain ({error})"),
        advice: "install it with rustup (https://rustup.rs)".to_owned(),
    }
}
