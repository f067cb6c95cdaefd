//! The demonstration: an example on this machine, with everything it needs built first.

use crate::setup;
use crate::stage::cargo;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the programs and runs an example's descriptor for `duration`.
pub(crate) fn run(example: &str, duration: &str) -> Result<()> {
    let folder = Path::new("examples").join(example);
    if !folder.join("veritee.yaml").is_file() {
        bail!("there is no example {example:?}: {} does not exist", folder.join("veritee.yaml").display());
    }
    setup::targets()?;
    let descriptor = descriptor(&folder, setup::compilers()?);
    eprintln!("building veritee, veritee-node and veritee-emu (the first time takes some minutes)");
    cargo(&["build", "--locked", "--package", "veritee-cli", "--package", "veritee-node", "--package", "veritee-emu"])?;
    let status = Command::new("target/debug/veritee")
        .args(["run"])
        .arg(&descriptor)
        .args(["--for", duration])
        .status()
        .context("cannot start veritee")?;
    if !status.success() {
        bail!("the demonstration failed ({status})");
    }
    Ok(())
}

/// The example, or its native variant where boards cannot be had.
fn descriptor(folder: &Path, boards: bool) -> PathBuf {
    let native = folder.join("native.yaml");
    if boards || !native.is_file() { folder.join("veritee.yaml") } else { native }
}
