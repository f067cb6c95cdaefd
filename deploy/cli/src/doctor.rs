//! `veritee doctor`: what this machine has, and what to do about what it has not.

mod sgx;

use crate::printer::Printer;
use anyhow::Result;
use std::process::Command;
use veritee_exec::{platforms, throwaway};

/// One thing: its name, what was found, and what to do where nothing was.
struct Finding {
    name: &'static str,
    found: Option<String>,
    advice: String,
}

impl Finding {
    fn new(name: &'static str, found: Option<String>, advice: &str) -> Self {
        Self { name, found, advice: advice.to_owned() }
    }

    /// What was found, or what is missing and what provides it.
    fn judged(name: &'static str, judged: Result<String, String>) -> Self {
        match judged {
            Ok(found) => Self { name, found: Some(found), advice: String::new() },
            Err(advice) => Self { name, found: None, advice },
        }
    }

    fn line(&self) -> String {
        match &self.found {
            Some(found) => format!("✓ {}: {found}", self.name),
            None => format!("✗ {}: missing; {}", self.name, self.advice),
        }
    }
}

/// What this machine has.
pub(crate) fn doctor(printer: &Printer) -> Result<()> {
    let node = throwaway::node_program()?.to_string_lossy().into_owned();
    let mut findings = vec![
        Finding::new("cargo", runs("cargo", "--version"), "install it with rustup"),
        Finding::new("rustc", runs("rustc", "--version"), "install it with rustup"),
        Finding::new("C compiler", first_line("cc"), "apt install gcc"),
        Finding::new(
            "veritee-node",
            runs(&node, "--version"),
            "build it: cargo build --release --package veritee-node",
        ),
        Finding::new(
            "veritee-emu",
            runs(&crate::emulated::program().to_string_lossy(), "--version"),
            "emulated boards need it; build it: cargo build --release --package veritee-emu",
        ),
        Finding::new("clang", first_line("clang"), "modules on boards need it: apt install clang"),
        Finding::new("lld", runs("ld.lld", "--version"), "modules on boards need it: apt install lld"),
        Finding::new(
            "QEMU",
            first_line("qemu-system-aarch64"),
            "emulated TrustZone machines need it: apt install qemu-system-arm",
        ),
        Finding::new("Landlock", landlock(), "use a kernel of 5.13 or later with Landlock enabled"),
        Finding::new("RDRAND", rdrand(), "native modules need a processor of 2012 or later"),
    ];
    findings.extend(sgx::findings(&node));
    let value: serde_json::Map<String, serde_json::Value> =
        findings.iter().map(|finding| (finding.name.to_owned(), serde_json::json!(finding.found))).collect();
    printer.result(&value, || {
        let platforms = format!("platforms: {}", platforms::words().join(", "));
        findings.iter().map(Finding::line).chain([platforms]).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// What a program says, if it runs.
fn runs(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first line of a program's version.
fn first_line(program: &str) -> Option<String> {
    runs(program, "--version").and_then(|text| text.lines().next().map(str::to_owned))
}

fn landlock() -> Option<String> {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").ok();
    match modules {
        Some(modules) => modules.contains("landlock").then(|| "enabled".to_owned()),
        // The list may be hidden; runners find out and refuse if it is missing.
        None => Some("unknown (the list of security modules is not readable)".to_owned()),
    }
}

fn rdrand() -> Option<String> {
    let processors = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    processors.contains("rdrand").then(|| "present".to_owned())
}
