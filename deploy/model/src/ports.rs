//! What can be judged once the port tables of all modules are known.

use crate::check::{CALLERS, Problem, Problems};
use crate::descriptor::{Connection, Descriptor, Endpoint};
use std::collections::{BTreeMap, BTreeSet};
use veritee_ids::PortKind;
use veritee_platform::{Port, PortTable};

/// Port tables by module.
pub type Tables = BTreeMap<String, PortTable>;

/// What was found: problems, and what is allowed but may surprise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// Must be mended.
    pub problems: Vec<Problem>,
    /// May surprise.
    pub warnings: Vec<String>,
}

/// A port of a table with its index.
pub fn port<'a>(tables: &'a Tables, end: &Endpoint) -> Option<(u16, &'a Port)> {
    let ports = &tables.get(&end.module)?.ports;
    let index = ports.iter().position(|port| port.name == end.port)?;
    Some((u16::try_from(index).ok()?, &ports[index]))
}

impl Descriptor {
    /// Judges the descriptor against port tables. `limits`: largest payload of each module's platform, in bytes.
    #[must_use]
    pub fn check_ports(&self, tables: &Tables, limits: &BTreeMap<String, usize>) -> Findings {
        let mut problems = Problems::default();
        for connection in &self.connections {
            self.check_connection(connection, tables, limits, &mut problems);
        }
        self.check_capacities(tables, &mut problems);
        self.check_requests(tables, &mut problems);
        for timer in &self.timers {
            check_end(
                &format!("timer {}", timer.shown_name()),
                &timer.entry,
                &[PortKind::Entry],
                tables,
                &mut problems,
            );
        }
        Findings { problems: problems.0, warnings: self.multiplying_cycles(tables) }
    }

    fn check_connection(
        &self, connection: &Connection, tables: &Tables, limits: &BTreeMap<String, usize>, problems: &mut Problems,
    ) {
        let at = format!("connection {}", connection.shown_name());
        let accepting = [PortKind::Input, PortKind::Handler];
        let to = check_end(&at, &connection.to, &accepting, tables, problems);
        let from = connection
            .from
            .as_ref()
            .and_then(|from| check_end(&at, from, &[PortKind::Output, PortKind::Request], tables, problems));
        let Some(to) = to else { return };
        if connection.deadline.is_some() && !to.late {
            let (module, port) = (&connection.to.module, &connection.to.port);
            let late = self.written(module, &format!("#[late({port})]"), &format!("VT_LATE({port})"));
            problems.add(format!("{at} has a deadline, but {module} has no {late} to be told"));
        }
        for end in connection.from.iter().chain([&connection.to]) {
            let limit = limits.get(&end.module).copied().unwrap_or(usize::MAX);
            let largest = usize::try_from(to.payload_bytes_max.max(to.reply_bytes_max)).unwrap_or(usize::MAX);
            if largest > limit {
                problems
                    .add(format!("{at} carries up to {largest} bytes; the platform of {} takes {limit}", end.module));
            }
        }
        if let Some(from) = from {
            check_types(&at, from, to, problems);
        }
    }

    /// Rows and single connections.
    fn check_capacities(&self, tables: &Tables, problems: &mut Problems) {
        let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
        for connection in &self.connections {
            if let Some(from) = &connection.from {
                *rows.entry(&from.module).or_default() += 1;
            }
            let callers = connection.callers.unwrap_or(CALLERS);
            *rows.entry(&connection.to.module).or_default() += if connection.direct { usize::from(callers) } else { 1 };
        }
        for (module, used) in rows {
            let Some(table) = tables.get(module) else { continue };
            if used > usize::from(table.rows) {
                problems.add(self.too_few_rows(module, used, table.rows));
            }
        }
    }

    /// What to write depends on who wrote the module, and in which language.
    fn too_few_rows(&self, module: &str, used: usize, rows: u16) -> String {
        if self.modules.get(module).is_some_and(|module| module.driver.is_some()) {
            return format!("module {module} is a driver that serves {rows} connections, not {used}; remove some");
        }
        let fix =
            self.written(module, &format!("#[veritee::module(rows = {used})]"), &format!("VT_MODULE(rows = {used})"));
        format!("module {module} needs {used} rows, its table has {rows}; write {fix}")
    }

    /// What an author writes, in the language of the module, or in each that it has sources in.
    fn written(&self, module: &str, rust: &str, c: &str) -> String {
        match self.modules.get(module).map(|module| (&module.source.rust, &module.source.c)) {
            Some((None, Some(_))) => format!("`{c}`"),
            Some((Some(_), Some(_))) => format!("`{rust}`, in C `{c}`"),
            _ => format!("`{rust}`"),
        }
    }

    /// A request has one handler, and modules do not wait for each other in a circle.
    fn check_requests(&self, tables: &Tables, problems: &mut Problems) {
        let mut asks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for connection in &self.connections {
            let Some(from) = &connection.from else { continue };
            if port(tables, from).is_none_or(|(_, port)| port.kind != PortKind::Request) {
                continue;
            }
            if !seen.insert(from) {
                problems.add(format!("request {from} has two connections; a request has exactly one"));
            }
            asks.entry(&from.module).or_default().push(&connection.to.module);
        }
        if let Some(circle) = find_circle(&asks) {
            problems.add(format!(
                "requests go in a circle: {}; each of them would wait for the others for ever",
                circle.join(" -> ")
            ));
        }
    }

    /// Circles of events in which some module emits on more than one connection: they may multiply without end.
    fn multiplying_cycles(&self, tables: &Tables) -> Vec<String> {
        let mut hears: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for connection in &self.connections {
            let Some(from) = &connection.from else { continue };
            if port(tables, from).is_some_and(|(_, port)| port.kind == PortKind::Output) {
                hears.entry(&from.module).or_default().push(&connection.to.module);
            }
        }
        let Some(circle) = find_circle(&hears) else { return Vec::new() };
        let members: BTreeSet<&str> = circle.iter().copied().collect();
        let spreads = circle.iter().find(|module| {
            hears
                .get(**module)
                .is_some_and(|hearers| hearers.iter().filter(|hearer| members.contains(**hearer)).count() > 1)
        });
        let warning = |module: &&str| {
            format!(
                "events go in a circle ({}) and {module} sends them more than one way: they may multiply",
                circle.join(" -> ")
            )
        };
        spreads.map(warning).into_iter().collect()
    }
}

fn check_types(at: &str, from: &Port, to: &Port, problems: &mut Problems) {
    let fits =
        matches!((from.kind, to.kind), (PortKind::Output, PortKind::Input) | (PortKind::Request, PortKind::Handler));
    if !fits {
        problems.add(format!(
            "{at} goes from {} to {}; outputs go to inputs, requests to handlers",
            a(from.kind),
            a(to.kind)
        ));
    } else if from.payload_type != to.payload_type {
        problems.add(differing(at, "payload", &from.payload_name, &to.payload_name));
    } else if from.reply_type != to.reply_type {
        problems.add(differing(at, "reply", &from.reply_name, &to.reply_name));
    }
}

/// A kind of port with its article.
fn a(kind: PortKind) -> String {
    let article = if matches!(kind, PortKind::Request | PortKind::Handler) { "a" } else { "an" };
    format!("{article} {}", kind.word())
}

fn differing(at: &str, what: &str, from: &str, to: &str) -> String {
    if from == to {
        format!("{at}: both ends call their {what} {from}, but its fields differ; use one definition for both")
    } else {
        format!("{at}: the {what} is {from} at the source and {to} at the target")
    }
}

/// The port at an end, if it exists and is of an allowed kind.
fn check_end<'a>(
    at: &str, end: &Endpoint, kinds: &[PortKind], tables: &'a Tables, problems: &mut Problems,
) -> Option<&'a Port> {
    let table = tables.get(&end.module)?;
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    let fitting = table.ports.iter().filter(|port| kinds.contains(&port.kind)).map(|port| port.name.as_str());
    match port(tables, end) {
        Some((_, port)) if kinds.contains(&port.kind) => Some(port),
        Some((_, port)) => {
            problems.add(format!("{at}: {end} is {}, expected: {}", a(port.kind), words.join(" or ")));
            None
        }
        None => {
            problems.unknown(&format!("{at}: module {}", end.module), &words.join(" or "), &end.port, fitting);
            None
        }
    }
}

/// A circle in a graph, first node repeated at the end.
fn find_circle<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let mut done = BTreeSet::new();
    for start in graph.keys() {
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((node, next)) = path.pop() {
            let Some(target) = graph.get(node).and_then(|targets| targets.get(next)) else {
                done.insert(node);
                continue;
            };
            path.push((node, next + 1));
            if let Some(at) = path.iter().position(|(node, _)| node == target) {
                let mut circle: Vec<&str> = path[at..].iter().map(|(node, _)| *node).collect();
                circle.push(target);
                return Some(circle);
            }
            if !done.contains(target) {
                path.push((target, 0));
            }
        }
    }
    None
}
