//! The demonstration: an example on this machine, with everything it needs built first.

use crate::setup;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::stage::{cargo, output};

/// Builds the programs and runs an example's descriptor for `duration`.
pub(crate) fn run(example: &str, duration: &str) -> Result<()> {
    let folder = Path::new("examples").join(example);
    if !folder.join("veritee.yaml").is_file() {
        bail!("there is no example {example:?}: {} does not exist", folder.join("veritee.yaml").display());
    }
    setup::targets()?;
    let boards = setup::compilers()?;
    let machines = boards && folder.join(EVERYWHERE).is_file() && setup::trustzone()?;
    let descriptor = descriptor(&folder, boards, machines);
    eprintln!("building veritee, veritee-node and veritee-emu (the first time takes some minutes)");
    cargo(&["build", "--locked", "--package", "veritee-cli", "--package", "veritee-node", "--package", "veritee-emu"])?;
    let status = Command::new("target/debug/veritee")
        .args(["run"])
        .arg(&descriptor)
        .args(without_enclaves(&descriptor)?)
        .args(["--for", duration])
        .env("VERITEE_TRUSTZONE_CACHE", xtask::PACKAGES)
        .status()
        .context("cannot start veritee")?;
    if !status.success() {
        bail!("the demonstration failed ({status})");
    }
    Ok(())
}

/// Where images of SGX cannot run, not even in software: options that put their modules on native nodes instead.
fn without_enclaves(descriptor: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(descriptor)?;
    let nodes: Vec<&str> = text.lines().filter_map(enclave_node).collect();
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let found = output("target/debug/veritee", &["doctor", "--output", "json"])?;
    let found: serde_json::Value = serde_json::from_str(&found)?;
    if !found["SGX"].is_null() {
        return Ok(Vec::new());
    }
    println!("skipped: enclaves, because this processor lacks what images of SGX need; these modules run natively");
    Ok(nodes.iter().flat_map(|node| ["--platform".to_owned(), format!("{node}=native")]).collect())
}

/// The node of a descriptor's line that puts one on SGX.
fn enclave_node(line: &str) -> Option<&str> {
    let (name, rest) = line.trim().split_once(':')?;
    (rest.replace(' ', "") == "{platform:sgx}").then_some(name)
}

/// The example with every platform that there can be here: its native variant where boards cannot be had.
fn descriptor(folder: &Path, boards: bool, machines: bool) -> PathBuf {
    let native = folder.join("native.yaml");
    match (boards, machines) {
        (_, true) => folder.join(EVERYWHERE),
        (false, _) if native.is_file() => native,
        _ => folder.join("veritee.yaml"),
    }
}

/// The variant of an example that shows every platform at once.
const EVERYWHERE: &str = "everywhere.yaml";
