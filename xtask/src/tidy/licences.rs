//! Licences of all dependencies, and crates that occur in two versions.

use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use xtask::metadata::Metadata;

const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "MPL-2.0",
    "BlueOak-1.0.0",
    "Unlicense",
    "BSL-1.0",
    "MIT-0",
    "Apache-2.0 WITH LLVM-exception",
];
const DUPLICATES: &str = "xtask/duplicates.txt";

pub(super) fn check(ratchet: bool) -> Result<Vec<String>> {
    let metadata = Metadata::read("Cargo.toml")?;
    let mut complaints: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(acceptable))
        .map(|package| format!("{} {} has licence {:?}", package.name, package.version, package.license))
        .collect();
    complaints.extend(trusted_duplicates(&metadata));
    let found = duplicates(metadata.packages.iter().map(|package| (&*package.name, &*package.version)));
    let recorded = fs::read_to_string(DUPLICATES).unwrap_or_default();
    let recorded: BTreeSet<&str> = recorded.lines().filter(|line| !line.starts_with('#')).collect();
    let new = found.keys().filter(|name| !recorded.contains(*name));
    if ratchet {
        let lines: Vec<&str> = found.keys().copied().collect();
        fs::write(DUPLICATES, format!("# Crates in several versions; may only shrink.\n{}\n", lines.join("\n")))?;
    } else {
        complaints.extend(new.map(|name| format!("{name} occurs in several versions: {}", found[name].join(", "))));
    }
    Ok(complaints)
}

/// One branch of every alternative must be allowed, and all parts of a conjunction.
fn acceptable(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ").replace(['(', ')'], "");
    licence.split(" OR ").any(|branch| branch.split(" AND ").all(|part| ALLOWED.contains(&part.trim())))
}

fn duplicates<'a>(packages: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in packages {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

/// Inside the trusted part there are no duplicates at all.
fn trusted_duplicates(metadata: &Metadata) -> Vec<String> {
    let Some(module) = metadata.members().find(|member| member.name == "veritee-module") else {
        return vec!["there is no veritee-module".to_owned()];
    };
    let closure = metadata.closure(&module.id);
    let found = duplicates(closure.iter().map(|package| (&*package.name, &*package.version)));
    found.into_iter().map(|(name, versions)| format!("{name} is trusted in {}", versions.join(" and "))).collect()
}
