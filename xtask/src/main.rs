//! The tasks of this repository: `cargo xtask TASK`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to the person who started it")]

mod demo;
mod setup;
mod tidy;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;
use xtask::source;
use xtask::stage::{Stages, cargo, cargo_with};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The one door before a commit: format, clippy, tidy, budgets, tests.
    Check,
    /// Sets up what is missing and runs every test.
    Test,
    /// Builds everything and runs the smart home on this machine for some seconds.
    Demo {
        /// How long events flow.
        #[arg(long = "for", default_value = "10s")]
        duration: String,
        /// Which example.
        #[arg(default_value = "smart-home")]
        example: String,
    },
    /// Checks the house rules.
    Tidy {
        /// Writes today's numbers where they are better than the recorded ones.
        #[arg(long)]
        ratchet: bool,
    },
    /// Counts what a module has to trust, for each platform.
    Sizes {
        /// `text` or `json`.
        #[arg(long, default_value = "text")]
        output: String,
        /// Writes today's numbers to the snapshot.
        #[arg(long)]
        accept: bool,
    },
    /// Writes generated files: documentation of the wire, the C header, schema.
    Generate {
        /// Only checks that they are fresh.
        #[arg(long)]
        check: bool,
    },
    /// Runs the golden vectors, from this repository or from a folder with files of the same names.
    Vectors {
        /// `frames`, `spongent` or `sancus`; all of them without.
        kind: Option<String>,
        /// Folder of the vector files (also as `--folder`).
        #[arg(conflicts_with = "folder")]
        directory: Option<PathBuf>,
        /// Folder of the vector files.
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Exactly what continuous integration runs, with the minutes of each stage.
    Ci,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = source::root()?;
    std::env::set_current_dir(&root)?;
    match Arguments::parse().task {
        Task::Check => check(),
        Task::Test => Stages::run(|stages| {
            stages.stage("set up", set_up)?;
            stages.stage("test", tests)?;
            stages.stage("others", others)?;
            stages.stage("trustzone", trustzone)
        }),
        Task::Demo { duration, example } => demo::run(&example, &duration),
        Task::Tidy { ratchet } => tidy::run(ratchet),
        Task::Sizes { output, accept } => sizes(&output, accept),
        Task::Generate { check } => generate(check),
        Task::Vectors { kind, directory, folder } => vectors(kind.as_deref(), directory.or(folder)),
        Task::Ci => ci(),
    }
}

fn check() -> Result<()> {
    Stages::run(|stages| {
        stages.stage("format", format)?;
        stages.stage("tidy", || tidy::run(false))?;
        stages.stage("generated files", || generate(true))?;
        stages.stage("clippy", clippy)?;
        stages.stage("bare metal", bare_metal)?;
        stages.stage("test", tests)
    })
}

fn ci() -> Result<()> {
    Stages::run(|stages| {
        stages.stage("set up", set_up)?;
        stages.stage("format", format)?;
        stages.stage("tidy", || tidy::run(false))?;
        stages.stage("generated files", || generate(true))?;
        stages.stage("clippy", clippy)?;
        stages.stage("bare metal", bare_metal)?;
        stages.stage("sizes", || sizes("text", false))?;
        stages.stage("test", tests)?;
        stages.stage("others", others)?;
        stages.stage("trustzone", trustzone)
    })
}

/// Everything that a fresh machine lacks.
fn set_up() -> Result<()> {
    setup::targets()?;
    setup::compilers().map(|_| ())
}

/// Runs the program that knows the tool's own crates; building it is work that people see.
fn derived(arguments: &[&str]) -> Result<()> {
    cargo(&["build", "--locked", "--package", "veritee-derived"])?;
    cargo(&[&["run", "--quiet", "--locked", "--package", "veritee-derived", "--"], arguments].concat())
}

fn generate(check: bool) -> Result<()> {
    derived(if check { &["generate", "--check"] } else { &["generate"] })
}

fn sizes(output: &str, accept: bool) -> Result<()> {
    let accept: &[&str] = if accept { &["--accept"] } else { &[] };
    derived(&[&["sizes", "--output", output], accept].concat())
}

fn format() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    let others = [EXAMPLES, MONITOR, EAR, FUZZ];
    others.iter().try_for_each(|manifest| cargo(&["fmt", "--all", "--check", "--manifest-path", manifest]))
}

/// Workspaces of their own: what users copy, what runs without an operating system, and what brings crates that no product
/// may depend on.
const EXAMPLES: &str = "examples/Cargo.toml";
const MONITOR: &str = "backends/trustzone/monitor/Cargo.toml";
const EAR: &str = "testkit/ear/Cargo.toml";
const FUZZ: &str = "fuzz/Cargo.toml";

/// Without and with what is off by default: code for hardware that this machine may not have compiles all the same.
fn clippy() -> Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet"];
    cargo(&[&clippy, NONE, &["--", "-D", "warnings"]].concat())?;
    let monitor =
        ["clippy", "--manifest-path", MONITOR, "--target-dir", OTHERS, "--all-targets", "--locked", "--quiet"];
    cargo(&[&monitor, &["--", "-D", "warnings"][..]].concat())?;
    cargo(&[&clippy, FEATURES, &["--", "-D", "warnings"]].concat())
}

/// The trusted part builds where there is no operating system.
fn bare_metal() -> Result<()> {
    if !setup::has_target(setup::BARE_METAL)? {
        println!("skipped: the target {} is not installed (`cargo xtask test` installs it)", setup::BARE_METAL);
        return Ok(());
    }
    cargo(&["check", "--quiet", "--locked", "--package", "veritee-module", "--target", setup::BARE_METAL])
}

/// Packages whose tests compile for boards: left out where that cannot be done. Other tests skip themselves.
const WITHOUT_COMPILERS: &[&str] = &["--exclude", "veritee-sancus-image", "--exclude", "veritee-sancus-node"];
const NONE: &[&str] = &[];
/// What tests are built with.
const FEATURES: &[&str] = &["--features", "veritee-node/sgx-hardware"];

fn tests() -> Result<()> {
    // The programs first: tests of the command line start the real ones.
    cargo(&[&["build", "--workspace", "--bins", "--locked", "--quiet"], FEATURES].concat())?;
    let without = if setup::compilers()? { NONE } else { WITHOUT_COMPILERS };
    let test = ["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--quiet"];
    cargo(&[&test, FEATURES, without].concat())?;
    let documented = ["--package", "veritee", "--package", "veritee-harness", "--package", "veritee-node-client"];
    cargo(&[&["test", "--doc", "--locked", "--quiet"], &documented[..]].concat())?;
    cargo(&["test", "--manifest-path", EXAMPLES, "--lib", "--locked", "--quiet"])?;
    test_other(MONITOR)
}

/// Tests what is no part of the workspace.
fn test_other(manifest: &str) -> Result<()> {
    cargo(&["test", "--manifest-path", manifest, "--target-dir", OTHERS, "--lib", "--locked", "--quiet"])
}

/// Where workspaces of their own are built.
const OTHERS: &str = "target/others";

/// Attestation results in the eyes of another implementation, and the fuzz targets with inputs that are drawn here.
fn others() -> Result<()> {
    test_other(EAR)?;
    if !setup::is_installed("c++") {
        println!("skipped: the fuzz targets, which need a compiler for C++. Install with: apt install g++");
        return Ok(());
    }
    test_other(FUZZ)
}

/// What emulated machines with OP-TEE show, where they can be had.
fn trustzone() -> Result<()> {
    if !setup::trustzone()? {
        return Ok(());
    }
    let cache = source::root()?.join(xtask::PACKAGES);
    let variables = [("VERITEE_TEST_TRUSTZONE", OsStr::new("1")), ("VERITEE_TRUSTZONE_CACHE", cache.as_os_str())];
    cargo_with(&["test", "--locked", "--quiet", "--package", "veritee-trustzone-machine", "--tests"], &variables)?;
    cargo_with(&["test", "--locked", "--quiet", "--package", "veritee-cli", "--test", "trustzone"], &variables)
}

/// Which test of which package reads a kind of vectors.
const VECTORS: &[(&str, &str, &str)] =
    &[("frames", "veritee-conformance", "frames"), ("spongent", "veritee-spongent64", "vectors")];

/// Recordings of the Sancus hardware: a program of its own runs them, optimised.
const SANCUS: &str = "sancus";

fn vectors(kind: Option<&str>, folder: Option<PathBuf>) -> Result<()> {
    let known = |kind: &str| kind == SANCUS || VECTORS.iter().any(|(name, ..)| *name == kind);
    anyhow::ensure!(
        kind.is_none_or(known),
        "unknown kind of vectors {:?}; there are: frames, spongent, sancus",
        kind.unwrap_or_default()
    );
    let own = folder.is_none();
    let folder = folder.unwrap_or_else(|| PathBuf::from("testkit/vectors"));
    let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    for (name, package, filter) in VECTORS.iter().filter(|(name, ..)| kind.is_none_or(|kind| kind == *name)) {
        println!("{name}");
        let folder = [("VERITEE_VECTORS", folder.as_os_str())];
        cargo_with(&["test", "--quiet", "--locked", "--package", package, "--", filter], &folder)?;
    }
    if kind.is_none_or(|kind| kind == SANCUS) {
        println!("{SANCUS}");
        let folder = if own || kind.is_none() { folder.join(SANCUS) } else { folder };
        let folder = folder.to_str().context("the folder's name is not UTF-8")?;
        cargo(&["run", "--quiet", "--locked", "--release", "--package", "veritee-golden", "--", folder])?;
    }
    Ok(())
}
