//! What follows from the project's own code: generated files, what a module has to trust, and packages of emulated machines. `cargo xtask` starts it; it is a
//! program of its own because it needs the tool's crates, and the first command of a newcomer should not wait for them.
#![expect(clippy::print_stdout, reason = "a task talks to the person who started it")]

mod generate;
mod sizes;

use anyhow::Result;
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use veritee_trustzone_machine::Packages;

#[derive(Parser)]
#[command(name = "veritee-derived", about = "Generated files and sizes; started by `cargo xtask`")]
enum Task {
    /// Writes generated files.
    Generate {
        /// Only checks that they are fresh.
        #[arg(long)]
        check: bool,
    },
    /// Counts what a module has to trust.
    Sizes {
        /// `text` or `json`.
        #[arg(long, default_value = "text")]
        output: String,
        /// Writes today's numbers to the snapshot.
        #[arg(long)]
        accept: bool,
    },
    /// Gets the packages of emulated TrustZone machines, unless `VERITEE_PACKAGES` names a folder with them.
    Packages {
        /// Where they are kept.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is where errors go")]
            {
                eprintln!("xtask: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    std::env::set_current_dir(xtask::source::root()?)?;
    match Task::parse() {
        Task::Generate { check } => generate::run(check),
        Task::Sizes { output, accept } => sizes::run(&output, accept),
        Task::Packages { folder } => packages(&folder),
    }
}

fn packages(folder: &Path) -> Result<()> {
    let got = match std::env::var_os("VERITEE_PACKAGES") {
        Some(given) => Packages::from_folder(Path::new(&given), folder),
        None => Packages::fetch(folder, &|line| println!("{line}")),
    };
    Ok(got.map(drop)?)
}
