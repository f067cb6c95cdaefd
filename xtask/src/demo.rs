//! The demonstration: an example on this machine, with everything it needs built first.

use crate::setup;
use crate::stage::cargo;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Builds the programs and runs an example's descriptor for `duration`.
pub(crate) fn run(example: &str, duration: &str) -> Result<()> {
    let descriptor = Path::new("examples").join(example).join("veritee.yaml");
    if !descriptor.is_file() {
        bail!("there is no example {example:?}: {} does not exist", descriptor.display());
    }
    setup::targets()?;
    eprintln!("building veritee and veritee-node (the first time takes some minutes)");
    cargo(&["build", "--locked", "--package", "veritee-cli", "--package", "veritee-node"])?;
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
