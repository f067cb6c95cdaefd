//! Reading a descriptor from YAML, JSON or TOML.

use crate::descriptor::Descriptor;
use std::path::{Path, PathBuf};

/// Why a descriptor cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file has an ending that is none of the three.
    #[error("{}: a descriptor ends with .yaml, .json or .toml", .0.display())]
    UnknownForm(PathBuf),
    /// The file is not what it should be.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, and what to do.
        message: String,
    },
}

impl Descriptor {
    /// Reads a file; its ending says in which form it is.
    ///
    /// # Errors
    /// [`ModelError::Unreadable`], [`ModelError::UnknownForm`], or [`ModelError::Syntax`] with line and column.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let source = std::fs::read_to_string(path);
        let text = source.map_err(|source| ModelError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads a text as the file `path` would be read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self, ModelError> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let (line, column, message) = match extension {
            Some("yaml" | "yml") => match serde_saphyr::from_str(text) {
                Ok(descriptor) => return Ok(descriptor),
                Err(error) => {
                    let place = error.location();
                    let (line, column) = place.map_or((1, 1), |place| {
                        (usize::try_from(place.line()).unwrap_or(1), usize::try_from(place.column()).unwrap_or(1))
                    });
                    (line, column, first_line(&error.without_snippet().to_string()))
                }
            },
            Some("json") => match serde_json::from_str(text) {
                Ok(descriptor) => return Ok(descriptor),
                Err(error) => (error.line(), error.column().max(1), error.to_string()),
            },
            Some("toml") => match toml::from_str(text) {
                Ok(descriptor) => return Ok(descriptor),
                Err(error) => {
                    let (line, column) = place_of(text, error.span().map_or(0, |span| span.start));
                    (line, column, error.message().to_owned())
                }
            },
            _ => return Err(ModelError::UnknownForm(path.to_owned())),
        };
        Err(ModelError::Syntax { path: path.to_owned(), line, column, message: advise(&message) })
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Line and column of a byte, both from 1.
fn place_of(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Adds what to do to serde's words for unknown keys.
fn advise(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (true, Some(unknown)) = (message.contains("unknown field"), quoted.next()) else {
        return message.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    match closest(unknown, known.iter().copied()) {
        Some(meant) => format!("unknown key `{unknown}`; did you mean `{meant}`?"),
        None => format!("unknown key `{unknown}`; there is: {}", known.join(", ")),
    }
}

/// The candidate that differs in at most two letters.
#[must_use]
pub fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(far, _)| *far <= 2)
        .map(|(_, found)| found)
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (number, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (column, other) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
