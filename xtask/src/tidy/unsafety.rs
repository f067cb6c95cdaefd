//! Where `unsafe` may be, and how often it is.

use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xtask::source::{files, is_test, shown};

/// Backends, and the one crate for memory that two processes share.
const MAY: [&str; 2] = ["backends/", "node/runner/"];
const CENSUS: &str = "xtask/unsafe-census.txt";

pub(super) fn check(ratchet: bool) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut census: BTreeMap<String, usize> = BTreeMap::new();
    for file in files(Path::new("."), &["rs"])?.iter().filter(|file| !is_test(file)) {
        let name = shown(file).replacen("./", "", 1);
        let count = unsafe_count(&fs::read_to_string(file)?);
        if count == 0 || name.starts_with("xtask/") {
            continue;
        }
        if !MAY.iter().any(|folder| name.starts_with(folder)) {
            complaints.push(format!("{name} has unsafe code; only {} may", MAY.join(" and ")));
        }
        let crate_name = name.split("/src/").next().unwrap_or(&name).to_owned();
        *census.entry(crate_name).or_default() += count;
    }
    let text: String = census.iter().map(|(name, count)| format!("{count} {name}\n")).collect();
    if ratchet {
        fs::write(CENSUS, &text)?;
    } else if fs::read_to_string(CENSUS).unwrap_or_default() != text {
        complaints.push(format!(
            "the census of unsafe code differs from {CENSUS}; now:\n{text}(`cargo xtask tidy --ratchet` records it)"
        ));
    }
    Ok(complaints)
}

/// Blocks, functions, impls and attributes that are unsafe.
fn unsafe_count(text: &str) -> usize {
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    code.map(|line| {
        [
            "unsafe {",
            "unsafe fn",
            "unsafe impl",
            "unsafe extern",
            "unsafe trait",
            "#[unsafe(",
            "naked_asm!",
            "global_asm!",
        ]
        .iter()
        .map(|form| line.matches(form).count())
        .sum::<usize>()
    })
    .sum()
}
