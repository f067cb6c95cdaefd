//! What came of a verification, for people, programs and `docs/hardware.md`.

use super::rig::Proved;
use super::speed::Speed;
use crate::printer::{Printer, table};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;

/// Version of the report's form.
const VERSION: u32 = 1;

/// Kinds of checks.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// What must work.
    Conformance,
    /// What must be refused.
    Refusals,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Conformance => "works",
            Self::Refusals => "refused",
        }
    }
}

/// One check.
#[derive(Serialize, Clone, Debug)]
pub(super) struct Check {
    kind: Kind,
    what: &'static str,
    passed: bool,
    /// What was seen, or why it failed.
    detail: String,
}

/// Checks so far.
pub(super) struct Checks<'a> {
    pub(super) list: Vec<Check>,
    printer: &'a Printer,
}

impl<'a> Checks<'a> {
    pub(super) const fn new(printer: &'a Printer) -> Self {
        Self { list: Vec::new(), printer }
    }

    /// Notes what came of a check, and says it.
    pub(super) fn take(&mut self, kind: Kind, what: &'static str, outcome: Result<String>) {
        let (passed, detail) = match outcome {
            Ok(detail) => (true, detail),
            Err(error) => (false, format!("{error:#}")),
        };
        self.printer.say(&format!("  {} {what}: {detail}", if passed { "✓" } else { "✗" }));
        self.list.push(Check { kind, what, passed, detail });
    }
}

/// One platform of a node.
#[derive(Serialize, Clone, Debug)]
pub(super) struct PlatformReport {
    platform: String,
    /// Why it was not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_yet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proved: Option<Proved>,
    pub(super) checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) benchmark: Option<Speed>,
}

impl PlatformReport {
    pub(super) fn of(platform: &str) -> Self {
        Self { platform: platform.to_owned(), not_yet: None, proved: None, checks: Vec::new(), benchmark: None }
    }

    pub(super) fn not_yet(platform: &str) -> Self {
        let reason = format!("not yet for platform {platform}: its modules need a board and its provider");
        Self { not_yet: Some(reason), ..Self::of(platform) }
    }

    fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    fn summary(&self) -> String {
        if let Some(reason) = &self.not_yet {
            return reason.clone();
        }
        let passed = self.checks.iter().filter(|check| check.passed).count();
        let mut lines = vec![format!("{}: {passed} of {} checks passed", self.platform, self.checks.len())];
        lines.extend(self.proved.as_ref().map(ToString::to_string));
        lines.extend(self.benchmark.as_ref().map(ToString::to_string));
        lines.join("; ")
    }
}

/// All of a node.
#[derive(Serialize, Clone, Debug)]
pub(super) struct Report {
    version: u32,
    node: String,
    software: String,
    tool: String,
    fingerprint: String,
    /// Seconds since 1970.
    at: u64,
    /// Everything that was verified passed, and something was.
    pub(super) passed: bool,
    platforms: Vec<PlatformReport>,
}

impl Report {
    pub(super) fn new(
        node: String, software: String, fingerprint: String, at: u64, platforms: Vec<PlatformReport>,
    ) -> Self {
        let verified = platforms.iter().any(|platform| platform.not_yet.is_none());
        let passed = verified && platforms.iter().all(PlatformReport::passed);
        let tool = format!("veritee {}", env!("CARGO_PKG_VERSION"));
        Self { version: VERSION, node, software, tool, fingerprint, at, passed, platforms }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for platform in self.platforms.iter().filter(|platform| !platform.checks.is_empty()) {
            let rows = platform.checks.iter().map(|check| {
                let outcome = if check.passed { "passed" } else { "FAILED" };
                [platform.platform.clone(), check.kind.word().to_owned(), check.what.to_owned(), outcome.to_owned()]
            });
            text += &table(["platform", "must be", "what", "outcome"], rows.collect());
            for failed in platform.checks.iter().filter(|check| !check.passed) {
                text += &format!("! {}: {}\n", failed.what, failed.detail);
            }
            text.push('\n');
        }
        for platform in &self.platforms {
            text += &format!("{}\n", platform.summary());
        }
        text
    }

    /// The same as a page.
    fn page(&self) -> String {
        let mut page = format!(
            "# Verification of node {}\n\n| | |\n|---|---|\n| node | {}, {} |\n| tool | {} |\n| seconds since 1970 | {} |\n| outcome | {} |\n",
            self.node,
            self.software,
            self.fingerprint,
            self.tool,
            self.at,
            if self.passed { "passed" } else { "**failed**" }
        );
        for platform in &self.platforms {
            page += &format!("\n## {}\n\n{}\n", platform.platform, platform.summary());
            if let Some(proved) = &platform.proved {
                page += &format!("\nMeasurement `{}`.\n\n| claim | value |\n|---|---|\n", proved.measurement);
                page.extend(proved.claims.iter().map(|(name, value)| format!("| {name} | {} |\n", cell(value))));
            }
            if !platform.checks.is_empty() {
                page += "\n| must be | what | outcome | seen |\n|---|---|---|---|\n";
            }
            for check in &platform.checks {
                let outcome = if check.passed { "passed" } else { "**failed**" };
                page += &format!("| {} | {} | {outcome} | {} |\n", check.kind.word(), check.what, cell(&check.detail));
            }
        }
        page
    }

    /// Writes the report: JSON where the name ends so, else a page.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let json = path.extension().is_some_and(|extension| extension == "json");
        let text = if json { serde_json::to_string_pretty(self)? + "\n" } else { self.page() };
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A text that fits a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::Form;

    fn report(platforms: Vec<PlatformReport>) -> Report {
        Report::new("house".to_owned(), "veritee-node".to_owned(), "00".to_owned(), 0, platforms)
    }

    #[test]
    fn one_failure_fails_all_and_is_named() {
        let printer = Printer::new(Form::Text, true);
        let mut checks = Checks::new(&printer);
        checks.take(Kind::Conformance, "requests get their replies", Ok("64 of 64".to_owned()));
        let sound = PlatformReport { checks: checks.list.clone(), ..PlatformReport::of("native") };
        assert!(report(vec![sound.clone(), PlatformReport::not_yet("sancus")]).passed);
        checks.take(Kind::Refusals, "a forged event", Err(anyhow::anyhow!("it | was\naccepted")));
        let broken = report(vec![sound, PlatformReport { checks: checks.list, ..PlatformReport::of("sgx") }]);
        assert!(!broken.passed);
        assert!(broken.text().contains("! a forged event: it | was\naccepted"));
        assert!(broken.page().contains("| refused | a forged event | **failed** | it \\| was accepted |"));
    }

    #[test]
    fn nothing_verified_is_no_success() {
        let report = report(vec![PlatformReport::not_yet("sancus")]);
        assert!(!report.passed && report.text().contains("not yet for platform sancus"));
    }
}
