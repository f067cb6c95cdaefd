//! The sources of this repository: files, parsed functions, lines that count.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("xtask has a parent folder")?.to_owned())
}

/// Files below `folder` with one of the extensions, sorted; build products and hidden folders left out.
pub fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// True for files of tests and benches, and for snapshots of code that must not compile.
pub fn is_test(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str();
        ["tests", "benches", "ui", "examples", "fuzz"].iter().any(|name| part == *name)
    }) || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// Lines that count: not blank, not only a comment, not inside `#[cfg(test)]` items.
pub fn code_lines(text: &str) -> usize {
    let mut count = 0;
    let mut skip_item = false;
    let mut depth = 0_usize;
    for line in text.lines().map(str::trim) {
        if line == "#[cfg(test)]" {
            skip_item = true;
            continue;
        }
        if skip_item {
            depth += line.matches('{').count();
            depth = depth.saturating_sub(line.matches('}').count());
            skip_item = depth > 0 || !(line.ends_with(';') || line.ends_with('}'));
            continue;
        }
        let comment = line.starts_with("//") || line.starts_with("/*") || line.starts_with('*');
        count += usize::from(!line.is_empty() && !comment);
    }
    count
}

/// Lines of C that count: not blank, not only a comment. A comment stands on lines of its own.
pub fn c_lines(text: &str) -> usize {
    let mut count = 0;
    let mut comment = false;
    for line in text.lines().map(str::trim) {
        let opens = line.starts_with("/*") || line.starts_with("//");
        count += usize::from(!line.is_empty() && !comment && !opens);
        comment = (comment || line.starts_with("/*")) && !line.contains("*/");
    }
    count
}

/// A path as the repository names it.
pub fn shown(path: &Path) -> String {
    let root = root().unwrap_or_default();
    path.strip_prefix(&root).unwrap_or(path).display().to_string()
}
