//! The compiler and the linker.

use crate::ImageError;
use crate::error::system;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use veritee_c_declare::Compiler;

/// clang and lld of the machine, with the framework's own sources.
#[derive(Clone, Debug)]
pub struct Tools {
    clang: PathBuf,
    lld: PathBuf,
    /// The folder of the framework's sources.
    framework: PathBuf,
}

impl Tools {
    /// Finds clang and `ld.lld` in the search path. `framework` is the folder of the framework's sources.
    ///
    /// # Errors
    /// [`ImageError::MissingTool`] names what is not there; [`ImageError::System`] when a tool cannot be started.
    pub fn find(framework: &Path) -> Result<Self, ImageError> {
        let framework = framework.canonicalize().map_err(system(format!("open {}", framework.display())))?;
        Ok(Self { clang: program("clang")?, lld: program("ld.lld")?, framework })
    }

    /// The folder of the board's own sources.
    pub(crate) fn board(&self) -> PathBuf {
        self.framework.join("backends/sancus/board")
    }

    /// The folder of the C SDK.
    pub(crate) fn sdk(&self) -> PathBuf {
        self.framework.join("sdk/c")
    }

    /// Compiles C, or assembles with the preprocessor, one file into one object.
    ///
    /// The compiler runs in the folder of the source and is given its bare name: no path of the machine gets into the object.
    pub(crate) fn compile(&self, job: &Compilation<'_>) -> Result<(), ImageError> {
        let folder = job.source.parent().unwrap_or(Path::new("."));
        let name = job.source.file_name().unwrap_or_default();
        let mut command = Command::new(&self.clang);
        command.current_dir(folder).args(FLAGS);
        if job.source.extension() == Some(OsStr::new("S")) {
            command.args(["-x", "assembler-with-cpp"]);
        } else {
            command.args(C_FLAGS);
        }
        for include in job.includes {
            command.arg("-I").arg(include);
        }
        command.args(job.defines.iter().map(|define| format!("-D{define}")));
        command.arg("-c").arg(name).arg("-o").arg(job.object);
        run(command, job.module)
    }

    /// The compiler, for whoever reads declarations.
    pub(crate) fn compiler(&self) -> Compiler {
        Compiler::new(self.clang.clone(), FLAGS.iter().map(|flag| (*flag).to_owned()).collect())
    }

    /// Links; the arguments are the linker's.
    pub(crate) fn link<I, S>(&self, module: &str, folder: &Path, arguments: I) -> Result<(), ImageError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.lld);
        command.current_dir(folder).args(arguments);
        run(command, module)
    }
}

/// One file to compile.
pub(crate) struct Compilation<'a> {
    pub(crate) module: &'a str,
    pub(crate) source: &'a Path,
    pub(crate) object: &'a Path,
    pub(crate) includes: &'a [PathBuf],
    pub(crate) defines: &'a [&'a str],
}

fn run(mut command: Command, module: &str) -> Result<(), ImageError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(system(format!("start {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(ImageError::Tool { module: module.to_owned(), said })
}

fn program(name: &str) -> Result<PathBuf, ImageError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| ImageError::MissingTool { tool: name.to_owned() })
}

const FLAGS: &[&str] = &["--target=msp430", "-ffile-prefix-map=/=", "-Wno-unused-command-line-argument"];
const C_FLAGS: &[&str] = &[
    "-std=c11",
    // Small before fast: program memory is what a board has least of, and the time goes into the hardware's cryptography.
    "-Oz",
    "-mllvm",
    "-inline-threshold=-50",
    "-ffreestanding",
    "-fno-common",
    "-fno-jump-tables",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror=implicit-function-declaration",
];
