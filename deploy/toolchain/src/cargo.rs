//! The owner's toolchain.

use crate::generated::{Module, locked_workspace};
use crate::{Recipe, system};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use veritee_platform::{BuildOrder, PlatformError};

/// A target without operating system.
const BARE_METAL: &str = "x86_64-unknown-none";

/// What makes an image of a crate: no start files, no libraries, relocatable.
const FLAGS: &[&str] = &[
    "--cfg=veritee_image",
    "-Crelocation-model=pie",
    "-Ctarget-feature=+crt-static",
    "-Clink-arg=-static-pie",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-Wl,-z,norelro,-z,separate-code,-z,max-page-size=4096",
    "-Clink-arg=-Wl,--no-dynamic-linker,--no-eh-frame-hdr,--build-id=none",
];

/// Builds the final crate and gives the path of the program.
pub(crate) fn build(
    order: &BuildOrder<'_>, folder: &Path, framework: &Path, recipe: &Recipe<'_>,
) -> Result<PathBuf, PlatformError> {
    let host = host()?;
    let flags = flags(order, folder, framework, recipe);
    let target = target_folder(order)?.join(name_of(&flags));
    let mut command = cargo();
    command
        .args(["build", "--release", "--target", &host, "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    run(order, command)?;
    Ok(target.join(host).join("release").join(format!("veritee-image-{}", order.module)))
}

/// Checks that a module needs no operating system, where the target for it is installed.
pub(crate) fn check_bare_metal(order: &BuildOrder<'_>, module: &Module) -> Result<(), PlatformError> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if !Path::new(&sysroot).join("lib/rustlib").join(BARE_METAL).join("lib").is_dir() {
        (order.talk)(&format!(
            "{}: not checked to need no operating system (rustup target add {BARE_METAL})",
            order.module
        ));
        return Ok(());
    }
    let mut command = cargo();
    command
        .args(["check", "--target", BARE_METAL, "--manifest-path"])
        .arg(module.folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_folder(order)?);
    run(order, command)
}

/// A short name for flags.
fn name_of(flags: &OsString) -> String {
    Sha256::digest(flags.as_encoded_bytes()).iter().take(4).fold(String::new(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("a string takes everything");
        name
    })
}

/// The folder for what cargo builds.
fn target_folder(order: &BuildOrder<'_>) -> Result<PathBuf, PlatformError> {
    let folder = order.target.join("veritee/build");
    std::fs::create_dir_all(&folder).map_err(system(format!("make {}", folder.display())))?;
    folder.canonicalize().map_err(system(format!("find {}", folder.display())))
}

/// Compiler flags, with paths of this machine taken out of the image.
///
/// They are the same for all modules of a workspace, which then share what they depend on. Modules of another workspace
/// have other flags and a target folder of their own: in a common one cargo would compile it all again at every turn.
fn flags(order: &BuildOrder<'_>, folder: &Path, framework: &Path, recipe: &Recipe<'_>) -> OsString {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let source = order.source.canonicalize().unwrap_or_else(|_| order.source.to_owned());
    let workspace = locked_workspace(&source).unwrap_or(&source).to_owned();
    let mut flags: Vec<OsString> = FLAGS.iter().chain(recipe.flags).map(OsString::from).collect();
    flags.push(format!("-Clink-arg=-Wl,-e,{}", recipe.entry).into());
    // Of several that match, the compiler takes the last one.
    let places = [
        (home, "cargo"),
        (Some(framework.to_owned()), "veritee"),
        (Some(workspace), "modules"),
        (folder.parent().map(Path::to_owned), "images"),
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
fn run(order: &BuildOrder<'_>, mut command: Command) -> Result<(), PlatformError> {
    command.args(["--color", "never"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(missing)?;
    let mut output = Vec::new();
    if let Some(words) = child.stderr.take() {
        for line in BufReader::new(words).lines().map_while(Result::ok) {
            (order.talk)(line.trim());
            output.push(line);
        }
    }
    let status = child.wait().map_err(system("wait for cargo".to_owned()))?;
    if status.success() {
        return Ok(());
    }
    Err(PlatformError::Build { module: order.module.to_owned(), output: output.join("\n") })
}

/// The target of this machine's toolchain.
fn host() -> Result<String, PlatformError> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| missing(std::io::Error::other("rustc names no host")))
}

fn output(command: &mut Command) -> Result<String, PlatformError> {
    let output = command.output().map_err(missing)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn missing(error: std::io::Error) -> PlatformError {
    PlatformError::MissingTool {
        tool: format!("the Rust toolchain ({error})"),
        advice: "install it with rustup (https://rustup.rs)".to_owned(),
    }
}
