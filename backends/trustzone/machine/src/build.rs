//! Building what is ours: the monitor, the first process, and the node, for the machine's processor.

use crate::{MachineError, read, system};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(test)]
mod tests;

/// Target of the monitor.
const BARE: &str = "aarch64-unknown-none-softfloat";
/// Target of the normal world's programs: static, without a C library of the system.
const LINUX: &str = "aarch64-unknown-linux-musl";
/// The same in the names of environment variables.
const LINUX_VARIABLE: &str = "AARCH64_UNKNOWN_LINUX_MUSL";

/// Our programs of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Programs {
    /// The monitor's flat image.
    pub monitor: Vec<u8>,
    /// The first process of the normal world.
    pub init: Vec<u8>,
    /// The node.
    pub node: Vec<u8>,
}

/// Builds the programs with the toolchain of this machine.
#[derive(Clone, Copy)]
pub struct Builder<'a> {
    /// The framework's sources.
    pub framework: &'a Path,
    /// The folder for what cargo builds.
    pub target: &'a Path,
    /// Hears what is being done.
    pub talk: &'a dyn Fn(&str),
}

impl core::fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder")
            .field("framework", &self.framework)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Builder<'_> {
    /// Builds all programs. `VERITEE_NODE_ARM64` names a node that is built already.
    ///
    /// # Errors
    /// [`MachineError::Missing`] when a target or a tool is missing, [`MachineError::Build`] when the compiler refuses.
    pub fn programs(&self) -> Result<Programs, MachineError> {
        let monitor = self.monitor()?;
        let init = read(&self.linux("veritee-trustzone-init")?)?;
        Ok(Programs { monitor, init, node: self.node()? })
    }

    /// Builds the node alone, unless `VERITEE_NODE_ARM64` names one.
    ///
    /// # Errors
    /// As [`Self::programs`].
    pub fn node(&self) -> Result<Vec<u8>, MachineError> {
        let path = match std::env::var_os("VERITEE_NODE_ARM64") {
            Some(path) => PathBuf::from(path),
            None => self.linux("veritee-node")?,
        };
        let program = read(&path)?;
        match unfit(&program) {
            Some(reason) => Err(MachineError::part(&path.display().to_string(), reason)),
            None => Ok(program),
        }
    }

    /// Builds the monitor alone.
    ///
    /// # Errors
    /// As [`Self::programs`].
    pub fn monitor(&self) -> Result<Vec<u8>, MachineError> {
        read(&self.bare("monitor")?)
    }

    /// Builds one of the images that run without operating system: `monitor`, or a half of its self-test.
    ///
    /// # Errors
    /// As [`Self::programs`].
    pub fn bare(&self, name: &str) -> Result<PathBuf, MachineError> {
        check_target(BARE)?;
        let mut command = cargo();
        command
            .args(["build", "--release", "--target", BARE, "--bin", name, "--manifest-path"])
            .arg(self.framework.join("backends/trustzone/monitor/Cargo.toml"))
            .arg("--target-dir")
            .arg(self.folder()?);
        self.run(name, command)?;
        Ok(self.folder()?.join(BARE).join("release").join(name))
    }

    /// Builds one of the normal world's programs.
    ///
    /// # Errors
    /// As [`Self::programs`].
    pub fn linux(&self, package: &str) -> Result<PathBuf, MachineError> {
        check_target(LINUX)?;
        let mut command = cargo();
        command
            .args(["build", "--release", "--target", LINUX, "--package", package, "--manifest-path"])
            .arg(self.framework.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(self.folder()?)
            // The toolchain's own linker and start files: no cross linker, no C library of the system.
            .env(format!("CARGO_TARGET_{LINUX_VARIABLE}_LINKER"), "rust-lld")
            // Small enough to be loaded at every start; seconds of the compiler matter more than the last percent.
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        c_compiler(&mut command)?;
        self.run(package, command)?;
        Ok(self.folder()?.join(LINUX).join("release").join(package))
    }

    fn folder(&self) -> Result<PathBuf, MachineError> {
        let folder = self.target.join("veritee/trustzone");
        std::fs::create_dir_all(&folder).map_err(system(format!("make {}", folder.display())))?;
        folder.canonicalize().map_err(system(format!("find {}", folder.display())))
    }

    /// Runs cargo, passing on what it says line by line.
    fn run(&self, program: &str, mut command: Command) -> Result<(), MachineError> {
        (self.talk)(&format!("building {program}"));
        command.args(["--color", "never"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| missing(&format!("cargo ({error})"), "install it with rustup"))?;
        let mut output = Vec::new();
        if let Some(words) = child.stderr.take() {
            for line in BufReader::new(words).lines().map_while(Result::ok) {
                (self.talk)(line.trim());
                output.push(line);
            }
        }
        let status = child.wait().map_err(system("wait for cargo".to_owned()))?;
        if status.success() {
            return Ok(());
        }
        Err(MachineError::Build { program: program.to_owned(), output: output.join("\n") })
    }
}

/// Why a program does not run on every arm64 Linux, whatever else is installed there.
///
/// # Source
/// System V ABI, chapters 4 and 5: head of an ELF file and its program headers.
fn unfit(program: &[u8]) -> Option<&'static str> {
    const FRONT: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
    const AARCH64: u16 = 183;
    const INTERPRETER: [u8; 4] = [3, 0, 0, 0];
    let number = |at: usize| program.get(at..)?.first_chunk().map(|digits| u16::from_le_bytes(*digits));
    if !program.starts_with(&FRONT) || number(18) != Some(AARCH64) {
        return Some("it is no program for arm64");
    }
    let headers = || {
        let at = u64::from_le_bytes(*program.get(32..)?.first_chunk()?);
        let (at, length, count) = (usize::try_from(at).ok()?, usize::from(number(54)?), usize::from(number(56)?));
        program.get(at..)?.get(..length * count).map(|headers| headers.chunks(length.max(1)))
    };
    match headers().map(|mut headers| headers.any(|header| header.starts_with(&INTERPRETER))) {
        None => Some("it ends within its head"),
        Some(true) => Some("it is not static: it needs libraries that are not there"),
        Some(false) => None,
    }
}

/// The one C compiler that is at hand for arm64, for the cryptography of TLS.
fn c_compiler(command: &mut Command) -> Result<(), MachineError> {
    let variable = LINUX.replace('-', "_");
    if runs("aarch64-linux-gnu-gcc") {
        command.env(format!("CC_{variable}"), "aarch64-linux-gnu-gcc");
        return Ok(());
    }
    if !runs("clang") {
        return Err(missing("a C compiler for arm64", "apt-get install clang, or gcc-aarch64-linux-gnu"));
    }
    command.env(format!("CC_{variable}"), "clang");
    // That code needs no C library: only the compiler's own headers, which free-standing code has.
    command.env(format!("CFLAGS_{variable}"), "--target=aarch64-linux-musl -ffreestanding");
    let archiver = ["llvm-ar", "llvm-ar-14", "ar"].into_iter().find(|program| runs(program)).unwrap_or("ar");
    command.env(format!("AR_{variable}"), archiver);
    Ok(())
}

fn runs(program: &str) -> bool {
    let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

fn check_target(target: &str) -> Result<(), MachineError> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map_err(|error| missing(&format!("rustc ({error})"), "install it with rustup"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    Err(missing(&format!("the Rust target {target}"), &format!("rustup target add {target}")))
}

fn missing(what: &str, advice: &str) -> MachineError {
    MachineError::Missing { what: what.to_owned(), reason: advice.to_owned() }
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").as_deref().unwrap_or(OsStr::new("cargo")));
    // What surrounds this program's own build must not leak into these.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER"] {
        command.env_remove(name);
    }
    command
}
