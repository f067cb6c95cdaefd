//! The final crate: a few lines that join an author's module, the runtime and the owner's key; or the attestation service and the runtime.

use std::fs;
use std::path::{Path, PathBuf};
use veritee_platform::{BuildOrder, PlatformError};
use veritee_toolchain::{Module, all_ciphers, seed_lock, system, write_changed};

const LAYOUT: &str = include_str!("ta.ld");
const PROFILE: &str = "[profile.release]\npanic = \"abort\"\nlto = \"fat\"\ncodegen-units = 1\nopt-level = 3\ndebug = false\n\
                       strip = \"symbols\"\noverflow-checks = true\n";

/// Writes the final crate of a module below the target folder.
pub(crate) fn module(order: &BuildOrder<'_>, module: &Module, framework: &Path) -> Result<PathBuf, PlatformError> {
    let dependencies = format!(
        "authored = {{ path = {:?}, package = {:?} }}\nveritee-trustzone-runtime = {{ path = {:?} }}\n{}{}",
        module.folder,
        module.package,
        framework.join("backends/trustzone/runtime"),
        if all_ciphers(order) {
            format!("veritee-ciphers = {{ path = {:?} }}\n", framework.join("ciphers/all"))
        } else {
            String::new()
        },
        module.heap_dependency(framework),
    );
    let folder = order.target.join("veritee/trustzone").join(order.module);
    write(&folder, &format!("veritee-image-{}", order.module), &dependencies, &program(order, module))?;
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

fn program(order: &BuildOrder<'_>, module: &Module) -> String {
    let key = if all_ciphers(order) { "veritee_ciphers::AeadKey" } else { "veritee_trustzone_runtime::StandardKey" };
    let allocator = module.heap_declaration();
    format!(
        "// Generated; changes are lost.\n#![no_std]\n#![no_main]\n\n{allocator}veritee_trustzone_runtime::image!(\n    \
         program = authored::__veritee::Program,\n    key = {key},\n    rows = authored::__veritee::ROWS,\n    \
         tokens = authored::__veritee::TOKENS,\n);\n"
    )
}
