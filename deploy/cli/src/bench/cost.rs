//! Processor time and memory of the processes that take part.

use super::floors::precise;
use serde::Serialize;
use std::fs;
use std::path::Path;
use veritee_exec::throwaway::Throwaway;

/// Ticks of the kernel's process clock in a second: fixed for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processes of a run: daemons and modules of both nodes.
#[derive(Clone, Debug)]
pub(super) struct Processes(Vec<(String, u32)>);

/// Nanoseconds of a processor that one event cost a process.
#[derive(Serialize, Debug)]
pub(super) struct Part {
    pub(super) process: String,
    pub(super) cpu_ns_per_event: f64,
}

impl Processes {
    /// Finds them.
    pub(super) fn find(throwaway: &Throwaway) -> Self {
        let daemons = throwaway.processes();
        let mut all: Vec<(String, u32)> =
            daemons.iter().map(|(name, process)| (format!("node {name}"), *process)).collect();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let known = daemons.iter().any(|(_, daemon)| *daemon == id);
            if let (false, Some(node)) = (known, node_of(&process.path(), throwaway, &daemons)) {
                all.push((format!("module {node}"), id));
            }
        }
        Self(all)
    }

    /// Seconds of processor time so far, in the order of the processes.
    pub(super) fn seconds(&self) -> Vec<f64> {
        self.0.iter().map(|(_, process)| cpu_seconds(*process)).collect()
    }

    /// What `events` cost since `before`.
    pub(super) fn parts(&self, before: &[f64], events: u64) -> Vec<Part> {
        let now = self.seconds();
        let parts = self.0.iter().zip(now.iter().zip(before));
        parts
            .map(|((name, _), (now, before))| Part {
                process: name.clone(),
                cpu_ns_per_event: round((now - before) * 1e9 / precise(events.max(1))),
            })
            .collect()
    }

    /// Memory of the daemons in bytes.
    pub(super) fn daemons_bytes(&self) -> u64 {
        let daemons = self.0.iter().filter(|(name, _)| name.starts_with("node "));
        daemons.map(|(_, process)| resident_bytes(*process)).sum()
    }
}

/// The node whose module a process is: its command line names the node's folder.
fn node_of(process: &Path, throwaway: &Throwaway, daemons: &[(String, u32)]) -> Option<String> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let folder = throwaway.state().parent()?.display().to_string();
    let inside = line.split('\0').find_map(|word| word.strip_prefix(&format!("{folder}/")))?;
    let name = inside.split('/').next()?;
    daemons.iter().find(|(daemon, _)| daemon == name).map(|(daemon, _)| daemon.clone())
}

fn cpu_seconds(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is a name in brackets that may hold anything.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    precise(ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn resident_bytes(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Two places behind the point are more than is known.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
