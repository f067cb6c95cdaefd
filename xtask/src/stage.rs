//! Running programs, and telling how long each stage took.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::process::Command;
use std::time::{Duration, Instant};

/// Stages that ran, with their times.
#[derive(Default, Debug)]
pub struct Stages(Vec<(String, Duration)>);

impl Stages {
    /// Runs stages and prints the minutes of each at the end, also after a failure.
    pub fn run(body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let mut stages = Self::default();
        let outcome = body(&mut stages);
        stages.print();
        outcome
    }

    /// Runs one stage.
    pub fn stage(&mut self, name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("── {name}");
        let start = Instant::now();
        let outcome = body().with_context(|| format!("stage {name:?} failed"));
        self.0.push((name.to_owned(), start.elapsed()));
        outcome
    }

    fn print(&self) {
        eprintln!("── minutes of each stage");
        for (name, time) in &self.0 {
            eprintln!("{:>6.2}  {name}", time.as_secs_f64() / 60.0);
        }
        let total: Duration = self.0.iter().map(|(_, time)| *time).sum();
        eprintln!("{:>6.2}  in all", total.as_secs_f64() / 60.0);
    }
}

/// Runs cargo with `arguments`.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

/// Runs cargo with `arguments` and further variables.
pub fn cargo_with(arguments: &[&str], variables: &[(&str, &OsStr)]) -> Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .status()
        .with_context(|| format!("cannot start cargo {}", arguments.join(" ")))?;
    if !status.success() {
        bail!("cargo {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program and gives what it printed.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program} {}", arguments.join(" ")))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed ({}):\n{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
