//! `veritee new`: a project that runs at once, from a template inside this program.

use crate::printer::Printer;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use veritee_platform::framework;

/// Longest name of a project.
const NAME_BYTES_MAX: usize = 40;

/// Files of the template: where they go, and their texts one behind the other.
const FILES: &[(&str, &[&str])] = &[
    ("Cargo.toml", &[include_str!("../template/Cargo.toml.in")]),
    ("rust-toolchain.toml", &[include_str!("../../../rust-toolchain.toml")]),
    (".gitignore", &[include_str!("../template/gitignore.in")]),
    ("README.md", &[include_str!("../template/README.md.in")]),
    ("veritee.yaml", &[include_str!("../template/veritee.yaml.in")]),
    ("messages/Cargo.toml", &[MEMBER]),
    ("messages/src/lib.rs", &[include_str!("../template/messages/src/lib.rs")]),
    ("sensor/Cargo.toml", &[MEMBER, MODULE]),
    ("sensor/src/lib.rs", &[include_str!("../template/sensor/src/lib.rs")]),
    ("alarm/Cargo.toml", &[MEMBER, MODULE]),
    ("alarm/src/lib.rs", &[include_str!("../template/alarm/src/lib.rs")]),
];

const MEMBER: &str = include_str!("../template/member.toml.in");
const MODULE: &str = include_str!("../template/module.toml.in");

/// What was made.
#[derive(Serialize)]
struct Made {
    folder: PathBuf,
    files: Vec<&'static str>,
}

/// Makes the folder `name` with a project in it. An existing folder is left alone.
pub(crate) fn new(name: &str, printer: &Printer) -> Result<()> {
    check_name(name)?;
    let framework = framework().context("a project points to the framework's sources")?;
    let folder = PathBuf::from(name);
    fs::create_dir(&folder).with_context(|| format!("cannot make the folder {name}"))?;
    for (path, texts) in FILES {
        let member = path.split('/').next().unwrap_or_default();
        let text = fill(&texts.concat(), name, member, &framework);
        write(&folder.join(path), &text)?;
    }
    // The framework's locked versions: what is known to build together.
    let lock = framework.join("Cargo.lock");
    if lock.is_file() {
        fs::copy(&lock, folder.join("Cargo.lock")).with_context(|| format!("cannot copy {}", lock.display()))?;
    }
    let made = Made { folder, files: FILES.iter().map(|(path, _)| *path).collect() };
    printer.result(&made, || {
        format!("made {name}: two modules, a descriptor, tests\n\nnext:\n  cd {name}\n  veritee run\n")
    });
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !begins || !name.chars().all(letters) || name.len() > NAME_BYTES_MAX {
        bail!(
            "{name:?} is no name of a project: begin with a lower-case letter, go on with letters, digits and dashes, \
             at most {NAME_BYTES_MAX}"
        );
    }
    Ok(())
}

fn fill(text: &str, name: &str, member: &str, framework: &Path) -> String {
    // TOML's basic strings take backslashes and quotes escaped.
    let framework = framework.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    text.replace("{name}", name).replace("{member}", member).replace("{framework}", &framework)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
