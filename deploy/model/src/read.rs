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
        let message = advise(without_place(&message));
        Err(ModelError::Syntax { path: path.to_owned(), line, column, message })
    }
}

/// Parsers repeat the place behind their message; it is told in front.
fn without_place(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |at| &message[..at])
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Line and column of a byte, both from 1.
pub(crate) fn place_of(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Says in this tool's words what is wrong, and what to do.
fn advise(message: &str) -> String {
    if let Some((unknown, known)) = parts(message, "unknown field ") {
        return match closest(unknown, known.iter().copied()) {
            Some(meant) => format!("unknown key `{unknown}`; did you mean `{meant}`?"),
            None => format!("unknown key `{unknown}`; there is: {}", known.join(", ")),
        };
    }
    if let Some((unknown, known)) = parts(message, "unknown variant ") {
        return format!("`{unknown}` is none of: {}", known.join(", "));
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        return format!("the key {missing} is missing");
    }
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(',').next().unwrap_or(rest);
        return format!("the key `{key}` is there already; rename or remove one");
    }
    match message {
        "expected mapping start" => "keys with values are expected here".to_owned(),
        "expected sequence start" => "a list is expected here".to_owned(),
        "expected string scalar" => "a text is expected here".to_owned(),
        _ => message.to_owned(),
    }
}

/// What is unknown and what is known, of serde's "… `X`, expected one of `A`, `B`"; some parsers leave the quotes out.
fn parts<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (unknown, known) = message.strip_prefix(prefix)?.split_once(", expected ")?;
    let known = known.strip_prefix("one of ").unwrap_or(known);
    let known = known.split(", ").flat_map(|words| words.split(" or ")).map(|word| word.trim_matches('`'));
    Some((unknown.trim_matches('`'), known.collect()))
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
