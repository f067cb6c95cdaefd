//! A machine that is on.

use crate::machine::{NODE_PORT, RAM_MIB, reads};
use crate::{Machine, MachineError, read, system, write};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-aarch64";
/// How long a machine may take until its node is ready. A busy host emulates slowly.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long a machine may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(40);
/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// Attempts to find a free port that nobody takes before QEMU does.
const PORT_ATTEMPTS: u32 = 5;

/// A running machine. It is switched off when this value goes.
#[derive(Debug)]
pub struct Running {
    machine: Machine,
    process: Child,
    address: SocketAddr,
    control: BufReader<UnixStream>,
    /// Held as long as the machine runs: two of them on one disk would ruin it.
    _lock: File,
}

impl Machine {
    /// Switches the machine on and waits until its node is ready.
    ///
    /// `port` is where the node is reached on this host's loopback; `None` takes a free one.
    ///
    /// # Errors
    /// [`MachineError::Missing`] without QEMU; [`MachineError::Machine`] when it runs already, or does not get ready; the reason has the
    /// last words of its console.
    pub fn start(&self, port: Option<u16>) -> Result<Running, MachineError> {
        let lock = File::create(self.file("lock")).map_err(system("make the machine's lock".to_owned()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(self.trouble("it runs already".to_owned()));
        }
        self.dump_tree()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.map_or_else(free_port, Ok)?));
            let mut process = self.qemu(address)?;
            match self.connect(&mut process) {
                Ok(control) => {
                    write(&self.file("pid"), process.id().to_string().as_bytes())?;
                    let running = Running { machine: self.clone(), process, address, control, _lock: lock };
                    return running.wait_until_ready();
                }
                Err(error) => {
                    end(&mut process);
                    let taken = reads(self, "qemu").contains("Could not set up host forwarding rule");
                    if !taken || port.is_some() || attempts == PORT_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The command without what differs between a dump and a run. QEMU runs in the machine's folder: paths are short names.
    fn command(&self, kind: &str) -> Command {
        let mut command = Command::new(QEMU);
        command.current_dir(self.folder()).args(["-M", &format!("virt,secure=on,gic-version=3{kind}")]);
        command.args(["-cpu", "cortex-a57", "-m", &RAM_MIB.to_string(), "-display", "none", "-monitor", "none"]);
        command.args(["-nodefaults", "-no-reboot", "-bios", "flash"]).stdin(Stdio::null());
        command
    }

    /// QEMU's description of the machine, with the same firmware option as the run: it decides what devices there are.
    fn dump_tree(&self) -> Result<(), MachineError> {
        let output = self.command(",dumpdtb=dumped").output().map_err(no_qemu)?;
        if !output.status.success() {
            return Err(self.trouble(format!("QEMU: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        let dumped = read(&self.file("dumped"))?;
        _ = fs::remove_file(self.file("dumped"));
        self.patch_tree(&dumped)
    }

    fn qemu(&self, address: SocketAddr) -> Result<Child, MachineError> {
        _ = fs::remove_file(self.file(CONTROL));
        let log = File::create(self.file("qemu")).map_err(system("make QEMU's log".to_owned()))?;
        let forward = format!("user,id=net,hostfwd=tcp:{}:{}-:{NODE_PORT}", address.ip(), address.port());
        let mut command = self.command("");
        command
            .args(self.arguments())
            .args(["-serial", "file:console", "-serial", "file:secure"])
            .args(["-netdev", &forward, "-device", "virtio-net-device,netdev=net"])
            .args(["-drive", "if=none,id=disk,file=disk,format=raw", "-device", "virtio-blk-device,drive=disk"])
            .args(["-device", "virtio-rng-device", "-device", "virtio-serial-device"])
            .args(["-chardev", &format!("socket,id=control,path={CONTROL},server=on,wait=off")])
            .args(["-device", "virtserialport,chardev=control,name=veritee.control"])
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        command.spawn().map_err(no_qemu)
    }

    /// Connects to the control port: QEMU makes its socket before it starts the machine.
    fn connect(&self, process: &mut Child) -> Result<BufReader<UnixStream>, MachineError> {
        let end = Instant::now() + START_PATIENCE;
        loop {
            if let Ok(stream) = open_socket(self.folder()) {
                return Ok(BufReader::new(stream));
            }
            if process.try_wait().is_ok_and(|ended| ended.is_some()) || Instant::now() > end {
                return Err(self.trouble(format!("QEMU does not start: {}", reads(self, "qemu").trim())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Running {
    fn wait_until_ready(mut self) -> Result<Self, MachineError> {
        match self.ask_for("ready", START_PATIENCE) {
            Ok(_) => Ok(self),
            Err(_) => Err(self.machine.trouble(format!("its node does not get ready: {}", self.last_words()))),
        }
    }

    /// Where this host reaches the node.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// QEMU's process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// True as long as QEMU runs.
    pub fn lives(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// The node's fingerprint.
    ///
    /// # Errors
    /// [`MachineError::Machine`] when the machine does not answer.
    pub fn fingerprint(&mut self) -> Result<String, MachineError> {
        self.text("fingerprint")
    }

    /// Another one-time token of the node.
    ///
    /// # Errors
    /// [`MachineError::Machine`] when the machine does not answer.
    pub fn token(&mut self) -> Result<String, MachineError> {
        self.text("token")
    }

    /// Gives the attestation service of this name (`UUID`) the node's secret: 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`MachineError::Machine`] when it refuses: it takes a secret once.
    pub fn enrol(&mut self, service: &str, secret: &str) -> Result<(), MachineError> {
        let answer = self.ask(&format!("enrol {service} {secret}"))?;
        match answer.get("error").and_then(|error| error.as_str()) {
            Some(reason) => Err(self.machine.trouble(reason.to_owned())),
            None => Ok(()),
        }
    }

    /// Runs a case of the visitor that the machine was made with; what it said.
    ///
    /// # Errors
    /// [`MachineError::Machine`] without a visitor, or when nothing comes within `patience`.
    pub fn visit(&mut self, case: &str, patience: Duration) -> Result<String, MachineError> {
        let answer = self.ask_for(&format!("visit {case}"), patience)?;
        let said = answer.get("visited").and_then(|said| said.as_str()).map(str::to_owned);
        said.ok_or_else(|| self.machine.trouble(format!("it answers {answer} to a visit")))
    }

    fn text(&mut self, word: &str) -> Result<String, MachineError> {
        let answer = self.ask(word)?;
        let value = answer.get(word).and_then(|value| value.as_str()).map(str::to_owned);
        value.ok_or_else(|| self.machine.trouble(format!("it answers {answer} to {word}")))
    }

    /// Asks the machine's first process one word (`backends/trustzone/init/src/control.rs`).
    ///
    /// # Errors
    /// [`MachineError::Machine`] when the machine does not answer, or not by a line of JSON.
    pub fn ask(&mut self, word: &str) -> Result<serde_json::Value, MachineError> {
        self.ask_for(word, ANSWER_PATIENCE)
    }

    fn ask_for(&mut self, word: &str, patience: Duration) -> Result<serde_json::Value, MachineError> {
        let mut line = String::new();
        let stream = self.control.get_mut();
        let sent = stream.set_read_timeout(Some(patience)).and_then(|()| writeln!(stream, "{word}"));
        let read = sent.and_then(|()| self.control.read_line(&mut line));
        // What follows the first word may be secret.
        let asked = word.split(' ').next().unwrap_or_default();
        let silent = |reason: String| self.machine.trouble(format!("no answer to {asked}: {reason}"));
        read.map_err(|error| silent(error.to_string()))?;
        serde_json::from_str(&line).map_err(|_| silent(format!("it says {line:?}; {}", self.last_words())))
    }

    /// Stops the node gracefully and switches the machine off; what it said last when it does not go by itself.
    ///
    /// # Errors
    /// [`MachineError::Machine`] when it had to be ended.
    pub fn stop(mut self) -> Result<(), MachineError> {
        let asked = self.ask("stop");
        let end = Instant::now() + STOP_PATIENCE;
        while asked.is_ok() && Instant::now() < end {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(self.machine.trouble(format!("it did not stop and was ended: {}", self.last_words())))
    }

    /// Ends the machine at once, as a power cut would.
    pub fn kill(mut self) {
        end(&mut self.process);
    }

    /// The last lines of both consoles and of the emulator.
    #[must_use]
    pub fn last_words(&self) -> String {
        let mut words = Vec::new();
        for name in ["qemu", "secure", "console"] {
            let text = reads(&self.machine, name);
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            let last = lines[lines.len().saturating_sub(3)..].join(" / ");
            if !last.is_empty() {
                words.push(format!("{name}: {last}"));
            }
        }
        words.join("; ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    _ = process.kill();
    _ = process.wait();
}

/// Opens the socket by the folder's descriptor: its path may be longer than a socket's name.
fn open_socket(folder: &Path) -> std::io::Result<UnixStream> {
    let folder = File::open(folder)?;
    UnixStream::connect(PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(CONTROL))
}

fn free_port() -> Result<u16, MachineError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(system("find a free port".to_owned()))
}

fn no_qemu(error: std::io::Error) -> MachineError {
    MachineError::Missing { what: format!("{QEMU} ({error})"), reason: "apt-get install qemu-system-arm".to_owned() }
}

const CONTROL: &str = "control";
