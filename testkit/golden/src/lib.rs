//! Runs golden vectors that were recorded from the hardware of Sancus against the emulator.
//!
//! [`run_folder`] runs all files `*.jsonl.gz` of a folder; a line is one test: memory, stimulus, and what the hardware did.
//! [`machine`] judges programs, [`crypto`] software SpongeWrap.

pub mod crypto;
pub mod machine;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What came of a set of vectors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// How many fit.
    pub passed: usize,
    /// Name of each test that did not, and how it differed.
    pub failures: Vec<(String, Vec<String>)>,
}

impl Summary {
    fn add(&mut self, name: String, complaints: Vec<String>) {
        if complaints.is_empty() {
            self.passed += 1;
        } else {
            self.failures.push((name, complaints));
        }
    }
}

/// Runs all vector files of a folder, in the order of their names.
///
/// # Errors
/// When the folder or a file cannot be read, or when it has no vectors.
pub fn run_folder(folder: &Path) -> Result<Summary> {
    let list = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files: Vec<_> = list.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.to_string_lossy().ends_with(".jsonl.gz"));
    files.sort();
    anyhow::ensure!(!files.is_empty(), "{} has no files *.jsonl.gz", folder.display());
    let mut summary = Summary::default();
    for file in files {
        run_file(&file, &mut summary).with_context(|| format!("in {}", file.display()))?;
    }
    Ok(summary)
}

/// Runs the vectors of a file.
///
/// # Errors
/// When it cannot be read or a line is not a test.
pub fn run_file(path: &Path, summary: &mut Summary) -> Result<()> {
    let reader = BufReader::new(MultiGzDecoder::new(File::open(path)?));
    for (number, line) in (1..).zip(reader.lines()) {
        run_line(&line?, number, summary).with_context(|| format!("in line {number}"))?;
    }
    Ok(())
}

fn run_line(line: &str, number: usize, summary: &mut Summary) -> Result<()> {
    if line.trim().is_empty() {
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_str(line)?;
    if value.get("mem").is_some() {
        let test: machine::Test = serde_json::from_value(value)?;
        let complaints = machine::run(&test)?;
        summary.add(test.name, complaints);
    } else {
        let name = value.get("name").and_then(|name| name.as_str()).map_or(format!("line {number}"), str::to_owned);
        let test: crypto::Test = serde_json::from_value(value)?;
        summary.add(name, crypto::run(&test)?);
    }
    Ok(())
}

/// Bytes from hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Result<Vec<u8>> {
    anyhow::ensure!(hex.len().is_multiple_of(2) && hex.is_ascii(), "{hex:?} is not hexadecimal");
    (0..hex.len()).step_by(2).map(|at| Ok(u8::from_str_radix(&hex[at..at + 2], 16)?)).collect()
}
