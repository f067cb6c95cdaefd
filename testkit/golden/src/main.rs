//! `veritee-golden FOLDER`: runs all vectors of a folder; the last line says how many passed and how many failed.
#![expect(clippy::print_stdout, reason = "a program for people")]

use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let folder = std::env::args_os().nth(1).context("usage: veritee-golden FOLDER")?;
    let summary = veritee_golden::run_folder(Path::new(&folder))?;
    for (name, complaints) in &summary.failures {
        println!("{name}: {}", complaints.join("; "));
    }
    println!("{} passed, {} failed", summary.passed, summary.failures.len());
    Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
