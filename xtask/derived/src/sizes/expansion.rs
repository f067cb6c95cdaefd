//! Lines that the framework's macros write into a module: the expanded module, less what its author wrote.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;
use xtask::source::code_lines;

/// Lines of the macros' output for the crate in `module`, formatted as our own lines are.
pub(super) fn lines(module: &Path, target: &Path) -> Result<usize> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Printing an expansion is a feature of the compiler that is not stable; it changes nothing in what is built.
    let output = Command::new(cargo)
        .args(["rustc", "--quiet", "--lib", "--profile", "check", "--manifest-path"])
        .arg(module.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target.join("expansion"))
        .args(["--", "-Zunpretty=expanded"])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the module cannot be expanded:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let expanded = formatted(&String::from_utf8(output.stdout)?)?;
    let written = fs::read_to_string(module.join("src/lib.rs"))?;
    Ok(code_lines(&without_derives(&expanded)).saturating_sub(code_lines(&without_attributes(&written))))
}

/// Without what the compiler's own derives and its prelude write: they are not ours.
fn without_derives(expanded: &str) -> String {
    let mut kept = String::new();
    let mut skipping = false;
    for line in expanded.lines() {
        let standard = ["#![feature", "extern crate core", "#[prelude_import]", "use core::prelude"];
        if line == "#[automatically_derived]" {
            skipping = true;
        } else if skipping {
            // A derived item ends at the first line that closes it.
            skipping = !(line.starts_with('}') || line.ends_with("{}"));
        } else if !standard.iter().any(|start| line.starts_with(start)) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Attributes that macros use up do not come back in the expansion.
fn without_attributes(written: &str) -> String {
    let used_up = |line: &&str| line.trim_start().starts_with("#[") && !line.contains("cfg(test)");
    written.lines().filter(|line| !used_up(line)).map(|line| format!("{line}\n")).collect()
}

/// The text in the repository's format: the compiler prints its own.
fn formatted(text: &str) -> Result<String> {
    use std::io::Write;
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(xtask::source::root()?.join("rustfmt.toml"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("cannot start rustfmt")?;
    rustfmt.stdin.take().context("rustfmt listens")?.write_all(text.as_bytes())?;
    let output = rustfmt.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt failed ({})", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
