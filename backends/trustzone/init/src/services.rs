//! The processes of the machine: the supplicant of the secure world, and the node.

use crate::{DISK, MACHINE, complain, power_off};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const NODE: &str = "/veritee-node";
const CONFIG: &str = "/machine/node.toml";
/// How often a node that ends is started again, at most.
const RESTARTS: u32 = 100;
/// How long a node may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// What is known of the node.
#[derive(Default)]
struct Known {
    process: Option<Pid>,
    /// The line that it says when it is ready.
    ready: Option<String>,
    stopping: bool,
    restarts: u32,
}

static KNOWN: Mutex<Known> = Mutex::new(Known { process: None, ready: None, stopping: false, restarts: 0 });
static CHANGED: Condvar = Condvar::new();

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts both.
pub(crate) fn start() -> Result<(), String> {
    let storage = format!("{DISK}/tee");
    let applications = "/lib/optee_armtz";
    for folder in [storage.as_str(), applications] {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {folder}: {error}"))?;
    }
    if let Ok(provided) = fs::read_dir(format!("{MACHINE}/applications")) {
        for file in provided.flatten() {
            let to = format!("{applications}/{}", file.file_name().display());
            fs::copy(file.path(), &to).map_err(|error| format!("cannot copy {to}: {error}"))?;
        }
    }
    let mut supplicant = Command::new(NODE);
    supplicant.args(["runner", "trustzone", "supplicant", applications, &storage]);
    spawn(&mut supplicant)?;
    if !fs::exists(format!("{DISK}/node/node.key")).unwrap_or(false) {
        say("init")?;
    }
    start_node()
}

/// Runs a word of the node's program that says one line.
pub(crate) fn say(word: &str) -> Result<String, String> {
    let mut command = Command::new(NODE);
    command.args([word, "--json", "--config", CONFIG]).stdout(Stdio::piped());
    // Its end is seen by `watch`, like all others'.
    let mut child = command.spawn().map_err(|error| format!("cannot run {NODE}: {error}"))?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(|error| format!("{word} says nothing: {error}"))?;
    }
    if line.is_empty() { Err(format!("{word} failed; see the machine's log")) } else { Ok(line.trim().to_owned()) }
}

/// Gives the attestation service its secret. What the runner says on its standard error is the reason of a refusal.
pub(crate) fn enrol(service: &str, secret: &str) -> Result<String, String> {
    let mut command = Command::new(NODE);
    command.args(["runner", "trustzone", "enrol", service, "keep"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    // Its end is seen by `watch`, like all others'; what it says tells how it ended.
    let mut child = command.spawn().map_err(|error| format!("cannot run {NODE}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{secret}").map_err(|error| format!("the runner does not listen: {error}"))?;
    }
    let mut said = String::new();
    if let Some(mut words) = child.stderr.take() {
        words.read_to_string(&mut said).map_err(|error| format!("the runner cannot be heard: {error}"))?;
    }
    if said.is_empty() { Ok(r#"{"enrolled": true}"#.to_owned()) } else { Err(said.trim().to_owned()) }
}

/// Runs the visitor, a program of tests; what it says.
pub(crate) fn visit(case: &str) -> Result<String, String> {
    let mut command = Command::new(format!("{MACHINE}/visitor/visitor"));
    command.arg(case).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its end is seen by `watch`, like all others'.
    let mut child = command.spawn().map_err(|error| format!("there is no visitor: {error}"))?;
    let mut words = child.stderr.take();
    let complaints = std::thread::spawn(move || {
        let mut said = String::new();
        // A visitor that cannot be heard says nothing.
        _ = words.as_mut().map(|words| words.read_to_string(&mut said));
        said
    });
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said).map_err(|error| format!("the visitor cannot be heard: {error}"))?;
    }
    said.push_str(&complaints.join().unwrap_or_default());
    let plain: String = said.chars().filter(|letter| matches!(letter, ' '..='~' | '\n')).collect();
    Ok(format!("{{\"visited\": {plain:?}}}"))
}

fn start_node() -> Result<(), String> {
    let mut command = Command::new(NODE);
    command.args(["run", "--config", CONFIG]).stdout(Stdio::piped());
    let mut held = known();
    let (process, output) = spawn(&mut command)?;
    held.process = Some(process);
    held.ready = None;
    drop(held);
    if let Some(output) = output {
        std::thread::spawn(move || hear(output));
    }
    Ok(())
}

fn spawn(command: &mut Command) -> Result<(Pid, Option<ChildStdout>), String> {
    let log = File::options().create(true).append(true).open(format!("{DISK}/log"));
    let log = log.map_err(|error| format!("cannot open the log: {error}"))?;
    let mut child =
        command.stdin(Stdio::null()).stderr(log).spawn().map_err(|error| format!("cannot run {NODE}: {error}"))?;
    Ok((Pid::from_child(&child), child.stdout.take()))
}

/// Keeps the line that the node says when it is ready.
fn hear(output: ChildStdout) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        known().ready = Some(line);
        CHANGED.notify_all();
    }
}

/// Waits until the node is ready; what it said then.
pub(crate) fn ready() -> String {
    let mut held = known();
    loop {
        if let Some(line) = &held.ready {
            return line.clone();
        }
        held = CHANGED.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Reaps processes for ever, and starts the node again when it ended unasked.
pub(crate) fn watch() {
    loop {
        let ended = match wait(WaitOptions::empty()) {
            Ok(Some((process, _))) => process,
            // There are no children left: the supplicant is gone too.
            _ => power_off(),
        };
        let mut held = known();
        if held.process != Some(ended) {
            continue;
        }
        held.process = None;
        held.restarts += 1;
        CHANGED.notify_all();
        let over = held.stopping;
        let again = held.restarts < RESTARTS;
        drop(held);
        if over {
            continue;
        }
        complain("the node ended");
        if !again || start_node().is_err() {
            power_off();
        }
    }
}

/// Stops the node gracefully, and the machine.
pub(crate) fn stop() -> ! {
    let mut held = known();
    held.stopping = true;
    if let Some(process) = held.process {
        _ = kill_process(process, Signal::TERM);
    }
    let end = Instant::now() + STOP_PATIENCE;
    while held.process.is_some() && Instant::now() < end {
        let rest = end.saturating_duration_since(Instant::now());
        held = CHANGED.wait_timeout(held, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
    drop(held);
    power_off()
}
