//! What can be judged from the descriptor alone. Each problem is one sentence that says what to do.

use crate::descriptor::{Descriptor, Module};
use crate::read::closest;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use veritee_ids::{CipherId, Freshness};

/// Most connections of an application.
const CONNECTIONS_MAX: usize = 60_000;
/// Most callers of a direct connection.
const CALLERS_MAX: u16 = 64;
/// Callers of a direct connection that says none.
pub const CALLERS: u16 = 4;

/// Something that must be mended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Descriptor {
    /// Judges the descriptor by itself. `platforms` are the words of all platforms.
    #[must_use]
    pub fn check(&self, platforms: &[&str]) -> Vec<Problem> {
        let mut problems = Problems::default();
        self.check_names(&mut problems);
        self.check_nodes(platforms, &mut problems);
        self.check_modules(&mut problems);
        self.check_connections(&mut problems);
        self.check_timers(&mut problems);
        self.check_policy(platforms, &mut problems);
        problems.0
    }

    fn check_names(&self, problems: &mut Problems) {
        if !is_name(&self.application, '-') {
            problems.add(format!(
                "{:?} is no name for an application: lower-case letters, digits and dashes, at most 40",
                self.application
            ));
        }
        for name in self.nodes.keys().chain(self.modules.keys()) {
            if !is_name(name, '_') && !is_name(name, '-') {
                problems.add(format!(
                    "{name:?} is no name: lower-case letters, digits, `_` or `-`, at most 40, a letter first"
                ));
            }
        }
        if self.modules.is_empty() {
            problems.add("the application has no modules".to_owned());
        }
    }

    fn check_nodes(&self, platforms: &[&str], problems: &mut Problems) {
        for (name, node) in &self.nodes {
            if !platforms.contains(&node.platform.as_str()) {
                problems.unknown(&format!("node {name}"), "platform", &node.platform, platforms.iter().copied());
            }
            if node.address.as_ref().is_some_and(|address| !address.rsplit(':').next().is_some_and(is_port)) {
                problems.add(format!("node {name}: its address has no port; write `host:port`"));
            }
            for (board, found) in &node.boards {
                for happening in &found.world {
                    if let Some(wrong) = crate::world::wrong(&happening.r#do) {
                        problems.add(format!("node {name}: what happens to board {board}: {wrong}"));
                    }
                }
            }
        }
    }

    fn check_modules(&self, problems: &mut Problems) {
        let mut drivers = BTreeMap::new();
        for (name, module) in &self.modules {
            if let Some(driver) = &module.driver
                && let Some(first) = drivers.insert((&module.node, self.board_of(module), driver), name)
            {
                problems.add(format!(
                    "module {name}: the driver {driver} is module {first} already; connect that one with both"
                ));
            }
            if !self.nodes.contains_key(&module.node) {
                problems.unknown(
                    &format!("module {name}"),
                    "node",
                    &module.node,
                    self.nodes.keys().map(String::as_str),
                );
            }
            match (&module.driver, module.source.is_empty()) {
                (None, true) => {
                    problems.add(format!("module {name} has no source; write `source: {{ rust: FOLDER }}`"));
                }
                (Some(driver), false) => problems
                    .add(format!("module {name} has a source and is the driver {driver} of its board; keep one")),
                _ => {}
            }
            self.check_board(name, module, problems);
        }
    }

    /// The board that a module names, or the only one that its node has as far as the descriptor lists boards.
    fn board_of<'a>(&'a self, module: &'a Module) -> Option<&'a str> {
        let boards = self.nodes.get(&module.node).map(|node| &node.boards).filter(|boards| boards.len() == 1);
        module.board.as_deref().or_else(|| boards?.keys().next().map(String::as_str))
    }

    /// A module's board, and its driver there, as far as the descriptor lists boards.
    fn check_board(&self, name: &str, module: &Module, problems: &mut Problems) {
        let Some(node) = self.nodes.get(&module.node).filter(|node| !node.boards.is_empty()) else { return };
        let boards = || node.boards.keys().map(String::as_str);
        let named = match &module.board {
            Some(board) => node.boards.get(board),
            None if node.boards.len() == 1 => node.boards.values().next(),
            None => {
                let boards = boards().collect::<Vec<_>>().join(", ");
                problems.add(format!("module {name}: its node has several boards ({boards}); write `board: NAME`"));
                return;
            }
        };
        let at = format!("module {name}");
        match (named, &module.board, &module.driver) {
            (None, Some(board), _) => problems.unknown(&at, "board", board, boards()),
            (Some(found), _, Some(driver)) if !found.drivers.contains(driver) => {
                problems.unknown(&at, "driver", driver, found.drivers.iter().map(String::as_str));
            }
            _ => {}
        }
    }

    fn check_connections(&self, problems: &mut Problems) {
        let mut names = BTreeSet::new();
        let mut ends: BTreeMap<_, String> = BTreeMap::new();
        if self.connections.len() > CONNECTIONS_MAX {
            problems.add(format!("{} connections are too many (at most {CONNECTIONS_MAX})", self.connections.len()));
        }
        for connection in &self.connections {
            let name = connection.shown_name().into_owned();
            let at = format!("connection {name}");
            match (&connection.from, connection.direct) {
                (Some(_), true) => problems.add(format!("{at} is direct and has `from`; keep one")),
                (None, false) => {
                    problems.add(format!("{at} comes from nowhere; write `from: module.port` or `direct: true`"));
                }
                (Some(from), false) if from.module == connection.to.module => {
                    problems.add(format!("{at} goes from {} to itself; a module needs no wire to itself", from.module));
                }
                _ => {}
            }
            for end in connection.from.iter().chain([&connection.to]) {
                if !self.modules.contains_key(&end.module) {
                    problems.unknown(&at, "module", &end.module, self.modules.keys().map(String::as_str));
                }
            }
            if connection.callers.is_some() && !connection.direct {
                problems.add(format!("{at} has `callers`, but is not direct; remove it"));
            }
            if connection.callers.is_some_and(|callers| callers == 0 || callers > CALLERS_MAX) {
                problems.add(format!("{at}: `callers` is 1 to {CALLERS_MAX}"));
            }
            if let Some(cipher) = &connection.cipher {
                let known = CipherId::ALL.iter().map(|cipher| cipher.word());
                if !known.clone().any(|known| known == cipher) {
                    problems.unknown(&at, "cipher", cipher, known);
                }
            }
            if let Some(first) = ends.insert((&connection.from, &connection.to), name.clone()) {
                problems.add(format!("{at} goes the same way as {first}; remove one"));
            } else if !names.insert(name.clone()) {
                problems.add(format!("two connections have the name {name}; rename one"));
            }
        }
    }

    fn check_timers(&self, problems: &mut Problems) {
        let mut names = BTreeSet::new();
        for timer in &self.timers {
            let name = timer.shown_name();
            if !self.modules.contains_key(&timer.entry.module) {
                let modules = self.modules.keys().map(String::as_str);
                problems.unknown(&format!("timer {name}"), "module", &timer.entry.module, modules);
            }
            if timer.every.0 == 0 {
                problems.add(format!("timer {name}: a period is at least 1ms"));
            }
            if !names.insert(name.clone()) {
                problems.add(format!("two timers have the name {name}; rename one"));
            }
        }
    }

    fn check_policy(&self, platforms: &[&str], problems: &mut Problems) {
        for allowed in &self.policy.allow {
            let lesser = ["-simulated", "-bare"].iter().find_map(|suffix| allowed.strip_suffix(suffix));
            if !platforms.contains(&lesser.unwrap_or(allowed)) {
                problems.unknown("policy", "platform", allowed, platforms.iter().copied());
            }
        }
        for freshness in &self.policy.freshness {
            let known = Freshness::ALL.iter().map(|freshness| freshness.word());
            if !known.clone().any(|known| known == freshness) {
                problems.unknown("policy", "freshness", freshness, known);
            }
        }
        self.check_quotes(problems);
    }

    fn check_quotes(&self, problems: &mut Problems) {
        let quotes = &self.policy.quotes;
        if let Some(signer) = &quotes.signer
            && (signer.len() != 64 || !signer.bytes().all(|digit| digit.is_ascii_hexdigit()))
        {
            problems.add(format!(
                "policy: {signer} is no signer; `veritee image inspect` shows that of an image, 64 hexadecimal digits"
            ));
        }
        for word in &quotes.tcb {
            let advisory = word.strip_prefix("INTEL-SA-");
            let is_advisory = advisory.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()));
            if !is_advisory && !TCB_STATUSES.contains(&word.as_str()) {
                let known = TCB_STATUSES.iter().copied().chain(["INTEL-SA-NUMBER"]);
                problems.unknown("policy", "TCB status or advisory", word, known);
            }
        }
    }
}

/// Statuses of platforms that can be accepted, in Intel's words; nobody can accept a revoked one.
const TCB_STATUSES: [&str; 5] = [
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
];

#[derive(Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, problem: String) {
        self.0.push(Problem(problem));
    }

    /// Something that is not among the candidates.
    pub(crate) fn unknown<'a>(
        &mut self, at: &str, what: &str, name: &str, candidates: impl Iterator<Item = &'a str> + Clone,
    ) {
        let advice = match closest(name, candidates.clone()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("there is: {}", candidates.collect::<Vec<_>>().join(", ")),
        };
        self.add(format!("{at}: there is no {what} {name:?}; {advice}"));
    }
}

fn is_name(name: &str, separator: char) -> bool {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == separator;
    name.len() <= 40 && name.starts_with(|letter: char| letter.is_ascii_lowercase()) && name.chars().all(fits)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}
