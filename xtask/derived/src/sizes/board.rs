//! Lines of assembly and C that a board trusts beside the core of its modules.

use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use xtask::source::{c_lines, files};

const BOARD: &str = "backends/sancus/board";

/// The wall of every module; stage 0 with the freshness module; the drivers with their devices.
pub(super) fn parts() -> Result<BTreeMap<String, usize>> {
    let file = |name: &str| Path::new(BOARD).join(name);
    let all = |folder: &str| files(&file(folder), &["S", "c", "h", "inc"]);
    let drivers = [vec![file("interrupt.S")], all("devices")?, all("drivers")?].concat();
    [
        ("sancus-stubs", vec![file("stub.S"), file("macros.inc")]),
        ("sancus-stage0", vec![file("stage0.S")]),
        ("sancus-drivers", drivers),
    ]
    .into_iter()
    .map(|(part, files)| Ok((part.to_owned(), lines(&files)?)))
    .collect()
}

fn lines(files: &[PathBuf]) -> Result<usize> {
    let mut lines = 0;
    for file in files {
        let text = fs::read_to_string(file)?;
        // Assembly has comments of its own; C none that begins with a semicolon.
        let text: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with(';')).collect();
        lines += c_lines(&text.join("\n"));
    }
    Ok(lines)
}
