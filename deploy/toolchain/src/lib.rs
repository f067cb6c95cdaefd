//! From a module's crate to a program without operating system: what platforms with images in Rust share.
//!
//! [`foreign`] makes a crate of a module in C; `generated` writes the final crate into the target folder; `compile` compiles it
//! by [`cargo`], the owner's toolchain; [`ports`] reads the port table back out of the program. `heap` reads whether a module asks for one.
//!
//! 1. Nothing is written into the author's tree.
//! 2. The module must build without an operating system: what builds for one platform builds for the others.
//! 3. Equal sources, toolchain and owner give equal bytes, wherever they are built.

pub mod cargo;
mod compile;
pub mod foreign;
mod generated;
mod heap;
pub mod ports;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use veritee_platform::{BuildOrder, Language, PlatformError, check_framework, framework};

pub use generated::{Module, all_ciphers, locked_workspace, read_module, seed_lock, write_changed};
pub use heap::Heap;

/// How a platform makes a program of a module.
#[derive(Clone, Debug)]
pub struct Recipe<'a> {
    /// The platform's word: names a folder.
    pub platform: &'a str,
    /// The runtime's folder below the framework's sources.
    pub runtime: &'a str,
    /// The runtime's package.
    pub package: &'a str,
    /// Symbol of the entry.
    pub entry: &'a str,
    /// Further flags for the compiler.
    pub flags: &'a [&'a str],
}

/// A program that was built.
#[derive(Debug)]
pub struct Program {
    /// Its bytes: a static-pie.
    pub bytes: Vec<u8>,
    /// Where what the platform makes of it goes.
    pub folder: PathBuf,
    /// The author's manifest.
    pub manifest: toml::Table,
    /// Held while the folder is written.
    _lock: File,
}

impl Program {
    /// Writes an image beside what it was made of, named after its module and what it measures: builds of other sources or
    /// for other owners in the same target folder leave it alone.
    ///
    /// # Errors
    /// [`PlatformError::System`].
    pub fn keep(
        &self, module: &str, measurement: &[u8], extension: &str, image: &[u8],
    ) -> Result<PathBuf, PlatformError> {
        let mut name = format!("{module}-");
        for byte in measurement.iter().take(4) {
            write!(name, "{byte:02x}").expect("a string takes everything");
        }
        let path = self.folder.join(format!("{name}.{extension}"));
        write_changed(&path, image).map_err(system(format!("write {}", path.display())))?;
        Ok(path)
    }
}

/// Waits until no other build of a module of this name uses the target folder; none does as long as the lock lives.
///
/// # Errors
/// [`PlatformError::System`].
pub fn lock(order: &BuildOrder<'_>) -> Result<File, PlatformError> {
    let folder = order.target.join("veritee");
    let path = folder.join(format!("{}.lock", order.module));
    let locked = || {
        fs::create_dir_all(&folder)?;
        let file = File::options().create(true).append(true).open(&path)?;
        file.lock().map(|()| file)
    };
    locked().map_err(system(format!("lock {}", path.display())))
}

/// Builds a module for a platform. `sources`: the framework's, or `None` to look for them.
///
/// # Errors
/// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or [`PlatformError::System`], as
/// said there.
pub fn build(
    order: &BuildOrder<'_>, sources: Option<&Path>, recipe: &dyn Fn(&toml::Table) -> Recipe<'static>,
) -> Result<Program, PlatformError> {
    let sources = match sources {
        Some(folder) => check_framework(folder).map(|()| folder.to_owned())?,
        None => framework()?,
    };
    let lock = lock(order)?;
    let wrapped = match order.language {
        Language::Rust => None,
        Language::C => Some(foreign::wrap(order, &sources, foreign::Processor::HOST)?),
    };
    let order = &BuildOrder { source: wrapped.as_deref().unwrap_or(order.source), ..*order };
    let module = read_module(order)?;
    let recipe = recipe(&module.manifest);
    if wrapped.is_none() {
        compile::check_bare_metal(order, &module)?;
    }
    let folder = generated::write(order, &module, &sources, &recipe)?;
    let program = compile::build(order, &folder, &sources, &recipe)?;
    let bytes = fs::read(&program).map_err(system(format!("read {}", program.display())))?;
    Ok(Program { bytes, folder, manifest: module.manifest, _lock: lock })
}

/// The source or image is not what it should be.
#[must_use]
pub fn bad(order: &BuildOrder<'_>, reason: &str) -> PlatformError {
    PlatformError::BadImage { module: order.module.to_owned(), reason: reason.to_owned() }
}

/// Names an action that failed.
pub fn system(action: String) -> impl FnOnce(std::io::Error) -> PlatformError {
    |source| PlatformError::System { action, source }
}
