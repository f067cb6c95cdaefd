//! From the final crate to a program, with the owner's toolchain.

use crate::Recipe;
use crate::cargo::{self, missing, output};
use crate::generated::Module;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
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
    let own = FLAGS.iter().chain(recipe.flags).map(OsString::from);
    let entry = OsString::from(format!("-Clink-arg=-Wl,-e,{}", recipe.entry));
    let flags = cargo::encoded_flags(own.chain([entry]), (order.source, folder, framework));
    let target = cargo::build_folder(order.target)?.join(cargo::short_name(&flags));
    let mut command = cargo::command();
    command
        .args(["build", "--release", "--target", &host, "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    cargo::run(command, order.module, order.talk)?;
    Ok(target.join(host).join("release").join(format!("veritee-image-{}", order.module)))
}

/// Checks that a module needs no operating system, where the target for it is installed.
pub(crate) fn check_bare_metal(order: &BuildOrder<'_>, module: &Module) -> Result<(), PlatformError> {
    if !cargo::has_target(BARE_METAL)? {
        (order.talk)(&format!(
            "{}: not checked to need no operating system (rustup target add {BARE_METAL})",
            order.module
        ));
        return Ok(());
    }
    let mut command = cargo::command();
    command
        .args(["check", "--target", BARE_METAL, "--manifest-path"])
        .arg(module.folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(cargo::build_folder(order.target)?);
    cargo::run(command, order.module, order.talk)
}

/// The target of this machine's toolchain.
fn host() -> Result<String, PlatformError> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| missing(std::io::Error::other("rustc names no host")))
}
