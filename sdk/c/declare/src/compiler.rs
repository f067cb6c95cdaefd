//! The C compiler of the machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A C compiler and the arguments that choose its target.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<String>,
}

/// Why a compiler did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompilerError {
    /// There is none.
    #[error("a C compiler is missing: install Debian's package `{package}`")]
    Missing {
        /// The package that has one.
        package: &'static str,
    },
    /// It refused a source.
    #[error("{output}")]
    Refused {
        /// What it said.
        output: String,
    },
}

impl Compiler {
    /// A compiler that takes the options of gcc and clang.
    #[must_use]
    pub const fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }

    /// The first of `programs` that runs.
    ///
    /// # Errors
    /// [`CompilerError::Missing`] when none does; `package` is what to install then.
    pub fn find(programs: &[&str], arguments: &[&str], package: &'static str) -> Result<Self, CompilerError> {
        let runs = |program: &&&str| {
            let tried = Command::new(program).args(arguments).arg("--version").output();
            tried.is_ok_and(|output| output.status.success())
        };
        let program = programs.iter().find(runs).ok_or(CompilerError::Missing { package })?;
        Ok(Self::new(PathBuf::from(program), arguments.iter().map(|argument| (*argument).to_owned()).collect()))
    }

    /// The compiler for programs of this machine.
    ///
    /// # Errors
    /// [`CompilerError::Missing`].
    pub fn host() -> Result<Self, CompilerError> {
        Self::find(&["clang", "cc"], &[], "clang")
    }

    /// Preprocesses a source, which is named relative to its folder, so that its declarations stay in the text.
    ///
    /// # Errors
    /// [`CompilerError::Refused`] with what the compiler said.
    pub fn preprocess(&self, folder: &Path, source: &Path, sdk: &Path) -> Result<String, CompilerError> {
        let sdk = sdk.as_os_str();
        let arguments = ["-E", "-P", "-std=c11", "-ffreestanding", "-DVERITEE_DECLARE", "-I"].map(OsStr::new);
        self.run(folder, &[&arguments[..], &[sdk, source.as_os_str()]].concat())
    }

    /// Compiles a source, which is named relative to its folder or from the root, to an object.
    ///
    /// # Errors
    /// [`CompilerError::Refused`] with what the compiler said.
    pub fn compile(
        &self, folder: &Path, source: &Path, includes: &[&Path], flags: &[&str], object: &Path,
    ) -> Result<(), CompilerError> {
        let mut arguments: Vec<&OsStr> = ["-c", "-std=c11", "-ffreestanding"].map(OsStr::new).to_vec();
        arguments.extend(flags.iter().map(OsStr::new));
        for include in includes {
            arguments.extend([OsStr::new("-I"), include.as_os_str()]);
        }
        arguments.extend([OsStr::new("-o"), object.as_os_str(), source.as_os_str()]);
        self.run(folder, &arguments).map(drop)
    }

    /// Runs the compiler in a folder and gives what it wrote.
    ///
    /// # Errors
    /// [`CompilerError::Refused`] with what the compiler said.
    pub fn run(&self, folder: &Path, arguments: &[&OsStr]) -> Result<String, CompilerError> {
        let ran = Command::new(&self.program).args(&self.arguments).args(arguments).current_dir(folder).output();
        let ran = ran.map_err(|error| CompilerError::Refused {
            output: format!("cannot run {}: {error}", self.program.display()),
        })?;
        if ran.status.success() {
            return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
        }
        Err(CompilerError::Refused { output: String::from_utf8_lossy(&ran.stderr).trim_end().to_owned() })
    }
}
