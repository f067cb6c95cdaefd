//! Function length: at most 70 lines, but for a list that only shrinks.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use xtask::source::{files, is_test, shown};

const LINES_MAX: usize = 70;
const LONG: &str = "xtask/long-functions.txt";

pub(super) fn check(ratchet: bool) -> Result<Vec<String>> {
    let mut found = BTreeMap::new();
    for file in files(Path::new("."), &["rs"])?.iter().filter(|file| !is_test(file)) {
        let text = fs::read_to_string(file)?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        let mut lengths = Lengths { file: shown(file).replacen("./", "", 1), found: &mut found };
        lengths.visit_file(&parsed);
    }
    let recorded = recorded();
    if ratchet {
        let mut text = String::from("# Functions beyond 70 lines with their length; may only shrink.\n");
        for (name, lines) in &found {
            text.push_str(&format!("{lines} {name}\n"));
        }
        fs::write(LONG, text)?;
        return Ok(Vec::new());
    }
    let grown = found.iter().filter(|(name, lines)| recorded.get(*name).is_none_or(|allowed| allowed < lines));
    Ok(grown.map(|(name, lines)| format!("{name} has {lines} lines (at most {LINES_MAX})")).collect())
}

fn recorded() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(LONG).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(lines, name)| Some((name.to_owned(), lines.parse().ok()?)))
        .collect()
}

struct Lengths<'a> {
    file: String,
    found: &'a mut BTreeMap<String, usize>,
}

impl Lengths<'_> {
    fn note(&mut self, name: &syn::Ident, body: &impl Spanned) {
        let span = body.span();
        let lines = span.end().line - span.start().line + 1;
        if lines > LINES_MAX {
            self.found.insert(format!("{}::{name}", self.file), lines);
        }
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}
