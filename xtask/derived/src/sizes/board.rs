//! Lines of assembly and C in modules of boards, and what a board trusts beside them.

use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use xtask::source::{c_lines, files};

const BOARD: &str = "backends/sancus/board";

const CORE: &str = "sdk/c/core";
/// Only in drivers that serve one application.
const GRANT: &str = "grant.h";
/// Only in modules that declare state to move.
const STATE: &str = "state.h";

type Parts = BTreeMap<String, usize>;

/// Our lines in each module of a board: the core in C, and the wall around it.
pub(super) fn module() -> Result<Parts> {
    parts([("sdk/c/core", core()?), ("sancus-stubs", vec![file("stub.S"), file("macros.inc")])])
}

/// Stage 0 with the freshness module; the drivers with their devices; what only modules with state to move have.
pub(super) fn beside() -> Result<Parts> {
    let all = |folder: &str| files(&file(folder), &["S", "c", "h", "inc"]);
    let drivers = [vec![file("interrupt.S"), Path::new(CORE).join(GRANT)], all("devices")?, all("drivers")?].concat();
    let state = vec![Path::new(CORE).join(STATE)];
    parts([("sancus-stage0", vec![file("stage0.S")]), ("sancus-drivers", drivers), ("sancus-state", state)])
}

/// What the compiler calls because the processor has no instruction for it: a module has the routines that it needs.
pub(super) fn routines() -> Result<Parts> {
    parts([("runtime.S", vec![file("runtime.S")])])
}

/// The core without what is compiled by need.
pub(super) fn core() -> Result<Vec<PathBuf>> {
    let mut core = files(Path::new(CORE), &["c", "h"])?;
    core.retain(|path| !path.ends_with(GRANT) && !path.ends_with(STATE));
    Ok(core)
}

fn file(name: &str) -> PathBuf {
    Path::new(BOARD).join(name)
}

pub(super) fn parts<const N: usize>(parts: [(&str, Vec<PathBuf>); N]) -> Result<Parts> {
    parts.into_iter().map(|(part, files)| Ok((part.to_owned(), lines(&files)?))).collect()
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
