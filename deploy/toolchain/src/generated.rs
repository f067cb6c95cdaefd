//! The final crate: a few lines that join an author's module, the runtime and the owner's key.

use crate::heap::Heap;
use crate::{Recipe, bad, system};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};
use veritee_ids::CipherId;
use veritee_platform::{BuildOrder, PlatformError};

/// What is known of the author's crate.
#[derive(Debug)]
pub struct Module {
    /// Its package's name.
    pub package: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: toml::Table,
    /// The heap that it asks for.
    pub heap: Option<Heap>,
}

impl Module {
    /// What the final crate's manifest says more about a module that asks for a heap; else nothing.
    #[must_use]
    pub fn heap_dependency(&self, framework: &Path) -> String {
        self.heap.map_or_else(String::new, |_| Heap::dependency(framework))
    }

    /// What the final crate's program says more about a module that asks for a heap, in front of its image; else nothing.
    #[must_use]
    pub fn heap_declaration(&self) -> String {
        self.heap.map_or_else(String::new, Heap::declaration)
    }
}

/// Reads the author's manifest.
///
/// # Errors
/// [`PlatformError::BadImage`] when it is none, or asks for a heap of no size; [`PlatformError::System`].
pub fn read_module(order: &BuildOrder<'_>) -> Result<Module, PlatformError> {
    let path = order.source.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(system(format!("read {}", path.display())))?;
    let manifest: toml::Table =
        text.parse().map_err(|error| bad(order, &format!("{} is no manifest: {error}", path.display())))?;
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let package = package.ok_or_else(|| bad(order, &format!("{} names no package", path.display())))?.to_owned();
    let folder = order.source.canonicalize().map_err(system(format!("find {}", order.source.display())))?;
    let heap = Heap::of(&manifest).map_err(|reason| bad(order, &reason))?;
    Ok(Module { package, folder, manifest, heap })
}

/// Writes the final crate below the target folder; unchanged files are left alone, so that cargo sees no change.
pub(crate) fn write(
    order: &BuildOrder<'_>, module: &Module, framework: &Path, recipe: &Recipe<'_>,
) -> Result<PathBuf, PlatformError> {
    let folder = order.target.join("veritee").join(recipe.platform).join(order.module);
    fs::create_dir_all(folder.join("src")).map_err(system(format!("make {}", folder.display())))?;
    let folder = folder.canonicalize().map_err(system(format!("find {}", folder.display())))?;
    let texts =
        [("Cargo.toml", manifest(order, module, framework, recipe)), ("src/main.rs", program(order, module, recipe))];
    for (name, text) in texts {
        let path = folder.join(name);
        write_changed(&path, text.as_bytes()).map_err(system(format!("write {}", path.display())))?;
    }
    seed_lock(&folder, &module.folder, framework)?;
    Ok(folder)
}

/// Whether a connection of the module has a cipher beyond those that every image links.
#[must_use]
pub fn all_ciphers(order: &BuildOrder<'_>) -> bool {
    order.ciphers.contains(&CipherId::Spongent128)
}

fn manifest(order: &BuildOrder<'_>, module: &Module, framework: &Path, recipe: &Recipe<'_>) -> String {
    let ciphers = if all_ciphers(order) {
        format!("veritee-ciphers = {{ path = {:?} }}\n", framework.join("ciphers/all"))
    } else {
        String::new()
    };
    let heap = module.heap_dependency(framework);
    format!(
        "# Generated; changes are lost.\n\
         [package]\nname = \"veritee-image-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nauthored = {{ path = {:?}, package = {:?} }}\n\
         {} = {{ path = {:?} }}\n{ciphers}{heap}\n\
         [profile.release]\npanic = \"abort\"\nlto = \"fat\"\ncodegen-units = 1\nopt-level = 3\ndebug = false\n\
         strip = \"symbols\"\noverflow-checks = true\n",
        order.module,
        module.folder,
        module.package,
        recipe.package,
        framework.join(recipe.runtime),
    )
}

fn program(order: &BuildOrder<'_>, module: &Module, recipe: &Recipe<'_>) -> String {
    let runtime = recipe.package.replace('-', "_");
    let owner = order.owner.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:#04x}, ").expect("a string takes everything");
        text
    });
    let standard = format!("{runtime}::StandardKey");
    let key = if all_ciphers(order) { "veritee_ciphers::AeadKey" } else { &standard };
    let allocator = module.heap_declaration();
    let heap = if module.heap.is_some() { "    heap = HEAP,\n" } else { "" };
    format!(
        "// Generated; changes are lost.\n#![no_std]\n#![no_main]\n\n{allocator}{runtime}::image!(\n    \
         program = authored::__veritee::Program,\n    key = {key},\n    rows = authored::__veritee::ROWS,\n    \
         tokens = authored::__veritee::TOKENS,\n    owner = [{owner}],\n{heap});\n"
    )
}

/// Takes the versions that the author's workspace is locked to, or else the framework's, unless the final crate has some.
///
/// # Errors
/// [`PlatformError::System`].
pub fn seed_lock(folder: &Path, author: &Path, framework: &Path) -> Result<(), PlatformError> {
    let to = folder.join("Cargo.lock");
    let lock = locked_workspace(author).unwrap_or(framework).join("Cargo.lock");
    if lock.is_file() && !to.exists() {
        fs::copy(&lock, &to).map_err(system(format!("copy {}", lock.display())))?;
    }
    Ok(())
}

/// The nearest folder around a crate, or the crate's own, that has locked versions.
#[must_use]
pub fn locked_workspace(author: &Path) -> Option<&Path> {
    author.ancestors().find(|folder| folder.join("Cargo.lock").is_file())
}

/// Writes a file at once, if it differs: another process may be reading it.
///
/// # Errors
/// The system's.
pub fn write_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, path)
}
