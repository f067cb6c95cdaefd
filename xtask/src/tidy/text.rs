//! Text: leftovers, and links that documents promise.

use anyhow::Result;
use std::fs;
use std::path::Path;
use xtask::source::{files, shown};

/// Documents whose links to files of the repository must hold.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"];

pub(super) fn check(_: bool) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let leftovers = [["FIX", "ME"].concat(), ["TO", "DO"].concat(), ["XX", "X"].concat()];
    for file in files(Path::new("."), &["rs", "md", "toml", "c", "h", "yaml"])? {
        let text = fs::read_to_string(&file)?;
        for (number, line) in (1..).zip(text.lines()) {
            if leftovers.iter().any(|leftover| line.contains(leftover.as_str())) {
                complaints.push(format!("{}:{number} has a leftover marker", shown(&file)));
            }
        }
    }
    let designs = files(Path::new("docs"), &["md"])?.into_iter().map(|path| path.display().to_string());
    for document in DOCUMENTS.iter().map(|name| (*name).to_owned()).chain(designs) {
        let text = fs::read_to_string(&document).unwrap_or_default();
        if text.is_empty() {
            complaints.push(format!("{document} is missing"));
        }
        let folder = Path::new(&document).parent().unwrap_or(Path::new(""));
        complaints.extend(
            links(&text)
                .filter(|link| !folder.join(link).exists() && !Path::new(link).exists())
                .map(|link| format!("{document} points to {link}, which does not exist")),
        );
    }
    Ok(complaints)
}

/// Targets of the links of a document that lie in the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://") && !link.starts_with('#'))
        .map(|link| link.split('#').next().unwrap_or(link))
}
