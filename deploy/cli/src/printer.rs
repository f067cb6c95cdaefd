//! Results on standard output, talk on standard error. The only place that prints.

use crate::grammar::Form;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use veritee_exec::observe::{ConnectionReport, ModuleReport, Report};
use veritee_exec::{Talk, counted};

/// Prints, as the person wishes.
#[derive(Clone)]
pub(crate) struct Printer {
    form: Form,
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Printer {
    pub(crate) fn new(form: Form, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Self { form, quiet, bar }
    }

    /// A result: `text` for people, `value` for programs.
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) {
        self.settle();
        let line = match self.form {
            Form::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
            Form::Text => text(),
        };
        if !line.is_empty() {
            // Nobody may be listening.
            let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
        }
    }

    /// A line for programs, at once.
    pub(crate) fn line(&self, line: &str) {
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// An error, with what it was about.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.settle();
        let mut text = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            // Many errors tell their cause themselves.
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        let _ = writeln!(std::io::stderr(), "error: {text}");
    }

    /// A line of talk.
    pub(crate) fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| drop(writeln!(std::io::stderr(), "{text}"))),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    fn settle(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Says nothing but warnings: for work that is not what was asked for.
pub(crate) struct Warnings<'a>(pub(crate) &'a Printer);

impl Talk for Warnings<'_> {
    fn done(&self, _: &str) {}

    fn doing(&self, _: &str, _: &str) {}

    fn warn(&self, what: &str) {
        self.0.warn(what);
    }
}

impl Talk for Printer {
    fn done(&self, what: &str) {
        self.say(&format!("  ✓ {what}"));
    }

    fn doing(&self, _: &str, what: &str) {
        if let Some(bar) = &self.bar {
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_message(what.to_owned());
        }
    }

    fn warn(&self, what: &str) {
        self.say(&format!("  ! {what}"));
    }
}

/// A report for people.
pub(crate) fn report_text(report: &Report) -> String {
    let modules = report.modules.iter().map(|module| {
        let marks = match (module.attested, module.driver, module.simulated) {
            (false, ..) => "not attested",
            _ if module.lifecycle == "disabled" => "disabled",
            (true, true, true) => "driver, unprotected or simulated",
            (true, true, false) => "driver",
            (true, false, true) => "attested, unprotected or simulated",
            (true, false, false) => "attested",
        };
        let measurement = module.measurement.get(..16).unwrap_or_default();
        [module.name.clone(), module.node.clone(), module.platform.clone(), marks.to_owned(), format!("{measurement}…")]
    });
    let modules = table(["module", "node", "platform", "state", "measurement"], modules.collect());
    let connections = report.connections.iter().map(connection_cells);
    let head = ["connection", "from", "to", "cipher", "epoch", "sent", "accepted", "dropped"];
    let connections = table(head, connections.collect());
    let broken: String = report.broken.iter().map(|cost| format!("! {cost}\n")).collect();
    let resting: String = report.modules.iter().filter_map(resting).collect();
    let sent: u64 = report.connections.iter().map(|connection| connection.sent).sum();
    let accepted: u64 = report.connections.iter().map(|connection| connection.accepted).sum();
    format!(
        "\n{modules}\n{connections}{broken}{resting}\n{}: {}, {}, {} sent, {accepted} accepted\n",
        report.application,
        counted(report.modules.len(), "module"),
        counted(report.connections.len(), "connection"),
        counted(usize::try_from(sent).unwrap_or(usize::MAX), "event"),
    )
}

/// What is to be done about a module that does not run although it answers: a call of the tool was interrupted.
fn resting(module: &ModuleReport) -> Option<String> {
    let ModuleReport { name, lifecycle, .. } = module;
    match *lifecycle {
        "freezing" | "frozen" => {
            Some(format!("! {name} is at rest for a save that was interrupted; `veritee up` makes it go on\n"))
        }
        "new" => Some(format!(
            "! {name} does not run yet; `veritee up` starts it, `veritee state restore {name}` from a sealed state\n"
        )),
        _ => None,
    }
}

fn connection_cells(connection: &ConnectionReport) -> [String; 8] {
    [
        connection.name.clone(),
        connection.from.clone(),
        connection.to.clone(),
        connection.cipher.clone(),
        connection.epoch.to_string(),
        connection.sent.to_string(),
        connection.accepted.to_string(),
        connection.dropped.to_string(),
    ]
}

/// Columns as wide as they must be.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}
