//! Cargo, started so that equal sources give equal bytes wherever they are built.

use crate::generated::locked_workspace;
use crate::heap;
use crate::system;
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use veritee_platform::PlatformError;

/// Whether the core library for a target is installed.
///
/// # Errors
/// [`PlatformError::MissingTool`] when there is no compiler.
pub fn has_target(triple: &str) -> Result<bool, PlatformError> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib").join(triple).join("lib").is_dir())
}

/// A short name for flags.
///
/// # Panics
/// Never: a string takes everything.
#[must_use]
pub fn short_name(flags: &OsStr) -> String {
    Sha256::digest(flags.as_encoded_bytes()).iter().take(4).fold(String::new(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("a string takes everything");
        name
    })
}

/// The folder for what cargo builds, below the target folder that all modules share.
///
/// # Errors
/// [`PlatformError::System`].
pub fn build_folder(target: &Path) -> Result<PathBuf, PlatformError> {
    let folder = target.join("veritee/build");
    std::fs::create_dir_all(&folder).map_err(system(format!("make {}", folder.display())))?;
    folder.canonicalize().map_err(system(format!("find {}", folder.display())))
}

/// Compiler flags, in the form of `CARGO_ENCODED_RUSTFLAGS`: a platform's own, then what takes the places of this machine out of the
/// image. The places are those of the author's source, the final crate and the framework.
///
/// They are the same for all modules of a workspace, which then share what they depend on. Modules of another workspace
/// have other flags and a target folder of their own: in a common one cargo would compile it all again at every turn.
pub fn encoded_flags(
    own: impl IntoIterator<Item = OsString>, (source, folder, framework): (&Path, &Path, &Path),
) -> OsString {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let workspace = locked_workspace(&source).unwrap_or(&source).to_owned();
    let mut flags: Vec<OsString> = own.into_iter().collect();
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

/// Cargo, without what surrounds this program's own build.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What surrounds this program's own build must not leak into the image.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER"] {
        command.env_remove(name);
    }
    command
}

/// Runs cargo for a module, passing on what it says line by line.
///
/// # Errors
/// [`PlatformError::MissingTool`], [`PlatformError::Build`] or [`PlatformError::System`], as said there.
pub fn run(mut command: Command, module: &str, talk: &dyn Fn(&str)) -> Result<(), PlatformError> {
    command.args(["--color", "never"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(missing)?;
    let mut output = Vec::new();
    if let Some(words) = child.stderr.take() {
        for line in BufReader::new(words).lines().map_while(Result::ok) {
            talk(line.trim());
            output.push(line);
        }
    }
    let status = child.wait().map_err(system("wait for cargo".to_owned()))?;
    if status.success() {
        return Ok(());
    }
    let output = output.join("\n");
    let output = match heap::hint(&output) {
        Some(hint) => format!("{output}\n{hint}"),
        None => output,
    };
    Err(PlatformError::Build { module: module.to_owned(), output })
}

pub(crate) fn output(command: &mut Command) -> Result<String, PlatformError> {
    let output = command.output().map_err(missing)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(crate) fn missing(error: std::io::Error) -> PlatformError {
    PlatformError::MissingTool {
        tool: format!("the Rust toolchain ({error})"),
        advice: "install it with rustup (https://rustup.rs)".to_owned(),
    }
}
