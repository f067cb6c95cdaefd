//! Lines that the framework's macros write into a module: the expanded module, less what its author wrote.

use crate::source::code_lines;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

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
    let written = code_lines(&fs::read_to_string(module.join("src/lib.rs"))?);
    Ok(code_lines(&expanded).saturating_sub(written))
}

/// The text in the repository's format: the compiler prints its own.
fn formatted(text: &str) -> Result<String> {
    use std::io::Write;
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(crate::source::root()?.join("rustfmt.toml"))
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
