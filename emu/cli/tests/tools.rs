//! What the emulator gives to people who look: a trace, a debugger, a terminal, a measurement.
#![allow(clippy::unwrap_used, reason = "tests")]

mod image;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test with an image, and the process that uses it, if it stays.
struct Place {
    folder: PathBuf,
    child: Option<Child>,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("veritee-emu-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("image.elf"), image::elf()).unwrap();
        Self { folder, child: None }
    }

    fn emulator(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veritee-emu"));
        command
            .current_dir(&self.folder)
            .args(["run", "image.elf", "--uart2", "none"])
            .args(flags)
            .stdin(Stdio::null());
        command
    }

    fn said(&self, flags: &[&str]) -> Output {
        self.emulator(flags).output().unwrap()
    }

    /// Starts the emulator; what it says of its lines when it is there.
    fn start(&mut self, flags: &[&str]) -> serde_json::Value {
        self.child = Some(self.emulator(flags).args(["--quiet", "--ready-file", "ready"]).spawn().unwrap());
        let (ready, end) = (self.folder.join("ready"), Instant::now() + PATIENCE);
        while !ready.exists() {
            assert!(Instant::now() < end, "the emulator starts");
            std::thread::sleep(Duration::from_millis(5));
        }
        serde_json::from_slice(&fs::read(ready).unwrap()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_trace_can_be_read() {
    let place = Place::new("trace");
    let said = place.said(&["--cycles", "3000", "--trace", "trace"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let trace = fs::read_to_string(place.folder.join("trace")).unwrap();
    let lines: Vec<Vec<&str>> = trace.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.len() > 100, "an instruction takes some cycles");
    let cycles: Vec<u64> = lines.iter().map(|line| line[0].parse().unwrap()).collect();
    assert!(cycles.is_sorted() && cycles.last().is_some_and(|last| *last <= 3000 + 10), "{cycles:?}");
    // Cycle, module, where by name, where by number, what.
    assert!(lines.iter().all(|line| line.len() >= 5), "{trace}");
    assert!(trace.contains("mov     #0x"), "{trace}");

    let said = place.said(&["--cycles", "3000", "--trace", "events", "--trace-events"]);
    assert!(said.status.success());
    assert!(!fs::read_to_string(place.folder.join("events")).unwrap().contains("mov"), "no instructions");
}

/// Speaks the remote protocol of the GNU debugger.
struct Debugger(TcpStream);

impl Debugger {
    fn say(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        self.0.write_all(format!("${packet}#{sum:02x}").as_bytes()).unwrap();
        let mut plus = [0];
        self.0.read_exact(&mut plus).unwrap();
        assert_eq!(&plus, b"+", "{packet}");
    }

    fn hear(&mut self) -> String {
        let mut said = Vec::new();
        while !said.ends_with(b"#") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        let mut sum = [0; 2];
        self.0.read_exact(&mut sum).unwrap();
        let said = String::from_utf8(said[1..said.len() - 1].to_vec()).unwrap();
        let expected = said.bytes().fold(0u8, u8::wrapping_add);
        assert_eq!(sum, *format!("{expected:02x}").as_bytes(), "{said}");
        said
    }

    fn ask(&mut self, packet: &str) -> String {
        self.say(packet);
        self.hear()
    }

    /// Register 0: four digits, the lower byte first.
    fn counter(&mut self) -> u16 {
        u16::from_str_radix(&self.ask("g")[..4], 16).unwrap().swap_bytes()
    }
}

#[test]
fn a_debugger_looks_steps_and_stops() {
    let mut place = Place::new("gdb");
    let ready = place.start(&["--gdb", "tcp:0"]);
    let stream = TcpStream::connect(ready["gdb"].as_str().unwrap().trim_start_matches("tcp:")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut debugger = Debugger(stream);
    assert_eq!(debugger.ask("?"), "S05", "it stands still");
    let registers = debugger.ask("g");
    assert_eq!(registers.len(), 16 * 4);
    let first = debugger.counter();
    assert_eq!(debugger.ask("mfffe,2"), registers[..4], "the reset vector says where it stands");
    assert_eq!(debugger.ask("s"), "S05");
    let second = debugger.counter();
    assert_ne!(second, first);
    assert_eq!(debugger.ask("s"), "S05");
    let third = debugger.counter();
    // Back to the beginning, and on to a place that it came by.
    assert_eq!(debugger.ask(&format!("P0={}", &registers[..4])), "OK");
    assert_eq!(debugger.ask(&format!("Z0,{third:x},2")), "OK");
    assert_eq!(debugger.ask("c"), "S05");
    assert_eq!(debugger.counter(), third);
    assert_eq!(debugger.ask(&format!("z0,{third:x},2")), "OK");
    // It runs until it is told to stop.
    debugger.say("c");
    debugger.0.write_all(&[3]).unwrap();
    assert_eq!(debugger.hear(), "S02");
    assert_eq!(debugger.ask("M300,2:efbe"), "OK");
    assert_eq!(debugger.ask("m300,2"), "efbe");
    assert_eq!(debugger.ask("v"), "", "what it does not know is answered by nothing");
}

#[test]
fn a_terminal_carries_bytes_as_they_are() {
    let mut place = Place::new("pty");
    let ready = place.start(&["--uart1", "pty", "--speed", "max"]);
    let path = ready["uart1"].as_str().unwrap().trim_start_matches("pty:").to_owned();
    let mut terminal = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    // The image answers a knock once it has booted; a byte that no text has.
    terminal.write_all(&[0xff]).unwrap();
    let mut answer = [0];
    terminal.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0xff]);
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let place = Place::new("refusals");
    for (flags, words) in [
        (&["--node-key", "xyz"][..], "node-key"),
        (&["--security", "96"], "64"),
        (&["--profile", "veritee", "--pins", "adc0=5000"], "4095"),
        (&["--cycles", "many"], "many"),
        (&["--freshness", "there/is/no/such/folder/file", "--profile", "veritee"], "there/is/no"),
    ] {
        let said = place.said(flags);
        let err = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && err.contains(words), "{flags:?}: {err}");
        let told = err.lines().filter(|line| line.starts_with("veritee-emu: ") || line.starts_with("error: "));
        assert_eq!(told.count(), 1, "{flags:?}: {err}");
    }
}

#[test]
fn pins_are_as_they_are_said_to_be_and_so_are_cycles() {
    let place = Place::new("pins");
    let said = place.said(&["--cycles", "5000", "--profile", "veritee", "--pins", "p1.0=1,p2=63,adc0=512"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let mut place = Place::new("world");
    let ready = place.start(&["--profile", "veritee", "--pins", "p1.0=1,p2=63,adc0=512", "--world", "tcp:0"]);
    let world = ready["world"].as_str().unwrap();
    let asked = Command::new(env!("CARGO_BIN_EXE_veritee-emu")).args(["world", world, "get"]).output().unwrap();
    let state: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&state["pins"], &state["adc"]), (&serde_json::json!([1, 63]), &serde_json::json!([512, 0])));
}

#[test]
fn a_measurement_is_a_line_for_programs() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veritee-emu"));
    let said = command.args(["bench", "--output", "json", "--seconds", "1"]).output().unwrap();
    let mut bench: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let cycles = bench["cycles_per_second"].take().as_f64().unwrap();
    let times = bench["times_8_mhz"].take().as_f64().unwrap();
    assert!(cycles > 0.0 && (cycles / 8e6 - times).abs() < 1e-6 * times, "{cycles} {times}");
    assert!(bench["crypto"]["times_8_mhz"].as_f64().unwrap() > 0.0);
}
