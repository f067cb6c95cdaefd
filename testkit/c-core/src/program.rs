//! Compiling a module in C with the core for this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use veritee_c_declare::{Compiler, CompilerError, read, sources};

/// With checks of memory and of undefined behaviour, where the toolchain has them.
const CHECKED: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wconversion"];

/// A compiled module. The file goes away with it.
#[derive(Debug)]
pub struct Program {
    folder: TempDir,
    checked: bool,
}

impl Program {
    /// Compiles the module in `folder`.
    #[must_use]
    pub fn compile(folder: &Path) -> Self {
        let sdk = repository().join("sdk/c");
        let compiler = Compiler::host().expect("a C compiler is there");
        let module = read(folder, &sdk, &compiler).expect("the module's declarations are sound");
        let made = TempDir::new().expect("a temporary folder");
        let generated = [("veritee_declared.h", module.header()), ("veritee_ports.c", module.source())];
        for (name, text) in generated {
            std::fs::write(made.path().join(name), text).expect("generated files can be written");
        }
        let core = sources(&sdk.join("core")).expect("the core has sources");
        let mut files: Vec<PathBuf> = core.into_iter().map(|name| sdk.join("core").join(name)).collect();
        files.extend(sources(folder).expect("the module has sources").into_iter().map(|name| folder.join(name)));
        files.push(made.path().join("veritee_ports.c"));
        files.push(repository().join("testkit/c-core/host/main.c"));
        let mut program = Self { folder: made, checked: true };
        if program.link(&compiler, &sdk, &files).is_err() {
            program.checked = false;
            program.link(&compiler, &sdk, &files).expect("the module compiles");
        }
        program
    }

    fn link(&self, compiler: &Compiler, sdk: &Path, files: &[PathBuf]) -> Result<String, CompilerError> {
        let mut arguments: Vec<&OsStr> = ["-std=c11", "-O1", "-g", "-fno-omit-frame-pointer"].map(OsStr::new).to_vec();
        arguments.extend(WARNINGS.map(OsStr::new));
        if self.checked {
            arguments.extend(CHECKED.map(OsStr::new));
        }
        let path = self.path();
        let includes = [OsStr::new("-I"), sdk.as_os_str(), OsStr::new("-I"), self.folder.path().as_os_str()];
        arguments.extend(includes);
        arguments.extend([OsStr::new("-o"), path.as_os_str()]);
        arguments.extend(files.iter().map(|file| file.as_os_str()));
        compiler.run(self.folder.path(), &arguments)
    }

    /// Where the program is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("module")
    }

    /// Whether the toolchain checks memory and undefined behaviour while the program runs.
    #[must_use]
    pub const fn is_checked(&self) -> bool {
        self.checked
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The probe in C, compiled once.
pub fn probe() -> &'static Program {
    static PROBE: OnceLock<Program> = OnceLock::new();
    PROBE.get_or_init(|| Program::compile(&repository().join("testkit/probe/c").canonicalize().expect("it is there")))
}
