//! The owner's toolchain, for 64-bit Arm.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use veritee_platform::PlatformError;
use veritee_toolchain::cargo;

/// 64-bit Arm without operating system and without floating point: a module never touches the registers that worlds would have to
/// swap for it.
const TARGET: &str = "aarch64-unknown-none-softfloat";

/// What makes a trusted application of a crate: position-independent, laid out by `ta.ld`, entered at `__ta_entry`.
const FLAGS: &[&str] = &[
    "-Crelocation-model=pic",
    // Cargo starts the compiler, and the compiler the linker, in the final crate's folder.
    "-Clink-arg=-Tta.ld",
    "-Clink-arg=-pie",
    "-Clink-arg=--no-dynamic-linker",
    "-Clink-arg=--entry=__ta_entry",
    "-Clink-arg=--export-dynamic-symbol=ta_head",
    "-Clink-arg=--hash-style=both",
    // Constants of the precompiled core library hold addresses; they lie in writable memory.
    "-Clink-arg=-znotext",
    "-Clink-arg=-znorelro",
    "-Clink-arg=-zmax-page-size=4096",
    "-Clink-arg=--build-id=none",
];

/// A crate to compile.
pub(crate) struct Job<'a> {
    /// What it is called when it fails.
    pub(crate) name: &'a str,
    /// Folder of the final crate.
    pub(crate) folder: &'a Path,
    /// The target folder that all modules share.
    pub(crate) target: &'a Path,
    /// The author's source, whose place must not be in the image.
    pub(crate) source: &'a Path,
    /// The framework's sources.
    pub(crate) framework: &'a Path,
    /// Called with each line that the compiler says.
    pub(crate) talk: &'a (dyn Fn(&str) + Sync),
}

/// Builds the final crate and gives the path of the program.
pub(crate) fn build(job: &Job<'_>, program: &str) -> Result<PathBuf, PlatformError> {
    if !cargo::has_target(TARGET)? {
        return Err(PlatformError::MissingTool {
            tool: format!("the compiler's target {TARGET}"),
            advice: format!("rustup target add {TARGET}"),
        });
    }
    let flags = cargo::encoded_flags(FLAGS.iter().map(OsString::from), (job.source, job.folder, job.framework));
    let target = cargo::build_folder(job.target)?.join(cargo::short_name(&flags));
    let mut command = cargo::command();
    command
        .args(["build", "--release", "--target", TARGET, "--manifest-path"])
        .arg(job.folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .current_dir(job.folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    cargo::run(command, job.name, job.talk)?;
    Ok(target.join(TARGET).join("release").join(program))
}
