//! The final crate: a few lines that join an author's module, the runtime and the owner's key; or the attestation service and the runtime.

use crate::{bad, system};
use std::path::{Path, PathBuf};
use std::{fs, io};
use veritee_ids::CipherId;
use veritee_platform::{BuildOrder, PlatformError};

const LAYOUT: &str = include_str!("ta.ld");
const PROFILE: &str = "[profile.release]\npanic = \"abort\"\nlto = \"fat\"\ncodegen-units = 1\nopt-level = 3\ndebug = false\n\
                       strip = \"symbols\"\noverflow-checks = true\n";

/// What is known of the author's crate.
pub(crate) struct Module {
    pub(crate) package: String,
    pub(crate) folder: PathBuf,
}

/// Reads the author's manifest.
pub(crate) fn read_module(order: &BuildOrder<'_>) -> Result<Module, PlatformError> {
    let path = order.source.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(system(format!("read {}", path.display())))?;
    let manifest: toml::Table =
        text.parse().map_err(|error| bad(order.module, &format!("{} is no manifest: {error}", path.display())))?;
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let package = package.ok_or_else(|| bad(order.module, &format!("{} names no package", path.display())))?;
    let folder = order.source.canonicalize().map_err(system(format!("find {}", order.source.display())))?;
    Ok(Module { package: package.to_owned(), folder })
}

/// Writes the final crate of a module below the target folder.
pub(crate) fn module(order: &BuildOrder<'_>, module: &Module, framework: &Path) -> Result<PathBuf, PlatformError> {
    let dependencies = format!(
        "authored = {{ path = {:?}, package = {:?} }}\nveritee-trustzone-runtime = {{ path = {:?} }}\n{}",
        module.folder,
        module.package,
        framework.join("backends/trustzone/runtime"),
        if all_ciphers(order) {
            format!("veritee-ciphers = {{ path = {:?} }}\n", framework.join("ciphers/all"))
        } else {
            String::new()
        }
    );
    let folder = order.target.join("veritee/trustzone").join(order.module);
    write(&folder, &format!("veritee-image-{}", order.module), &dependencies, &program(order))?;
    seed_lock(&folder, &module.folder, framework)?;
    folder.canonicalize().map_err(system(format!("find {}", folder.display())))
}

/// Writes the final crate of the attestation service below the target folder.
pub(crate) fn service(target: &Path, framework: &Path) -> Result<PathBuf, PlatformError> {
    let backend = framework.join("backends/trustzone");
    let dependencies = format!(
        "veritee-trustzone-attestation = {{ path = {:?} }}\nveritee-trustzone-runtime = {{ path = {:?} }}\n",
        backend.join("attestation"),
        backend.join("runtime"),
    );
    let program = "// Generated; changes are lost.\n#![no_std]\n#![no_main]\n\n\
        use veritee_trustzone_attestation::{Core, Service};\nuse veritee_trustzone_runtime::Head;\n\n\
        veritee_trustzone_runtime::application!(\n    Service<Core>,\n    Service::new(Core),\n    \
        Head::new(veritee_trustzone_runtime::veritee_trustzone_format::service::UUID, Head::SERVICE, 64 * 1024)\n);\n";
    let folder = target.join("veritee/trustzone.service");
    write(&folder, SERVICE, &dependencies, program)?;
    seed_lock(&folder, framework, framework)?;
    folder.canonicalize().map_err(system(format!("find {}", folder.display())))
}

/// Package of the attestation service's final crate.
pub(crate) const SERVICE: &str = "veritee-image-attestation";

/// Writes a final crate; unchanged files are left alone, so that cargo sees no change.
fn write(folder: &Path, package: &str, dependencies: &str, program: &str) -> Result<(), PlatformError> {
    fs::create_dir_all(folder.join("src")).map_err(system(format!("make {}", folder.display())))?;
    let manifest = format!(
        "# Generated; changes are lost.\n[package]\nname = {package:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [workspace]\n\n[dependencies]\n{dependencies}\n{PROFILE}"
    );
    for (name, text) in [("Cargo.toml", manifest.as_str()), ("src/main.rs", program), ("ta.ld", LAYOUT)] {
        let path = folder.join(name);
        write_changed(&path, text.as_bytes()).map_err(system(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// Whether a connection of the module has a cipher beyond those that every image links.
fn all_ciphers(order: &BuildOrder<'_>) -> bool {
    order.ciphers.contains(&CipherId::Spongent128)
}

fn program(order: &BuildOrder<'_>) -> String {
    let key = if all_ciphers(order) { "veritee_ciphers::AeadKey" } else { "veritee_trustzone_runtime::StandardKey" };
    format!(
        "// Generated; changes are lost.\n#![no_std]\n#![no_main]\n\nveritee_trustzone_runtime::image!(\n    \
         program = authored::__veritee::Program,\n    key = {key},\n    rows = authored::__veritee::ROWS,\n    \
         tokens = authored::__veritee::TOKENS,\n);\n"
    )
}

/// The versions that the author's workspace is locked to, or else the framework's.
fn seed_lock(folder: &Path, author: &Path, framework: &Path) -> Result<(), PlatformError> {
    let to = folder.join("Cargo.lock");
    let lock = locked_workspace(author).unwrap_or(framework).join("Cargo.lock");
    if lock.is_file() && !to.exists() {
        fs::copy(&lock, &to).map_err(system(format!("copy {}", lock.display())))?;
    }
    Ok(())
}

/// The nearest folder around a crate, or the crate's own, that has locked versions.
pub(crate) fn locked_workspace(author: &Path) -> Option<&Path> {
    author.ancestors().find(|folder| folder.join("Cargo.lock").is_file())
}

/// Writes a file at once, if it differs: another process may be reading it.
pub(crate) fn write_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, path)
}
