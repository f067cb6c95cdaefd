//! Line budgets: of the trusted part, and of any file.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use xtask::source::{code_lines, files, is_test, shown};

const BUDGET: &str = "trusted/BUDGET";
const FILE_LINES_MAX: usize = 800;

pub(super) fn check(ratchet: bool) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let budget = fs::read_to_string(BUDGET).context("trusted/BUDGET holds the line budget")?;
    let budget: usize = budget.trim().parse().context("trusted/BUDGET is a number")?;
    let trusted = trusted_lines()?;
    if trusted > budget {
        complaints.push(format!("trusted/ has {trusted} lines, its budget is {budget}"));
    } else if ratchet {
        fs::write(BUDGET, format!("{trusted}\n"))?;
    }
    for file in files(Path::new("."), &["rs", "c", "h", "s", "S"])? {
        let name = shown(&file);
        let lines = fs::read_to_string(&file)?.lines().count();
        let exempt = name.ends_with("_table.rs") || is_test(&file) || name.contains("generated");
        if lines > FILE_LINES_MAX && !exempt {
            complaints.push(format!("{name} has {lines} lines; split it (at most {FILE_LINES_MAX})"));
        }
    }
    Ok(complaints)
}

/// Lines of code of the trusted part, without tests.
fn trusted_lines() -> Result<usize> {
    let mut lines = 0;
    for file in files(Path::new("trusted"), &["rs"])?.iter().filter(|file| !is_test(file)) {
        lines += code_lines(&fs::read_to_string(file)?);
    }
    Ok(lines)
}
