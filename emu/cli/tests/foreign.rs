//! An image of the kind that others built for the hardware: an event manager on an operating system, in the old toolchain's layout.
//!
//! It is made here, by hand, and behaves as theirs do: initial data lies in program memory and is copied; booting takes some twelve
//! million cycles; bytes of the first line come through an interrupt into a ring of 128; a timer switches between two tasks by
//! exchanging stacks; who waits sleeps. Commands come as the published event manager takes them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod image;

use image::{GREETING, MODULE, SECRET, SECRET_END, VENDOR};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};
use veritee_machine::{Config, Security};
use veritee_sancus_core::{derive_key, mac};

/// Longer than any of this takes anywhere.
const PATIENCE: Duration = Duration::from_secs(60);
const PING: u8 = 4;
const CALL: u8 = 1;
const TAKEN: u8 = 2;
const CHUNK: usize = 127;

/// The emulator with the image.
struct Emulator {
    child: Child,
    folder: PathBuf,
    address: String,
    console: Receiver<u8>,
}

impl Emulator {
    fn start(name: &str, flags: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("veritee-emu-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (firmware, ready) = (folder.join("image.elf"), folder.join("ready"));
        fs::write(&firmware, image::elf()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_veritee-emu"));
        command.arg("run").arg(&firmware).args(["--core", "legacy", "--uart1", "tcp:0", "--uart2", "stdout"]);
        command.args(flags).arg("--ready-file").arg(&ready);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let console = console(child.stdout.take().unwrap());
        let mut emulator = Self { child, folder, address: String::new(), console };
        let deadline = Instant::now() + PATIENCE;
        while !ready.exists() {
            assert!(Instant::now() < deadline && emulator.child.try_wait().unwrap().is_none(), "the emulator starts");
            thread::sleep(Duration::from_millis(5));
        }
        let told: serde_json::Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        emulator.address = told["uart1"].as_str().unwrap().strip_prefix("tcp:").unwrap().to_owned();
        emulator
    }

    fn connect(&self) -> Host {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Host(stream)
    }

    /// What the board wrote on its console, as many bytes.
    fn console(&self, length: usize) -> String {
        let bytes = (0..length).map(|_| self.console.recv_timeout(PATIENCE).expect("the console says more"));
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads a process's output aside, so that waiting for it can end.
fn console(output: impl Read + Send + 'static) -> Receiver<u8> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        while let Ok(bytes) = output.fill_buf() {
            let length = bytes.len();
            if length == 0 || bytes.iter().any(|byte| sender.send(*byte).is_err()) {
                return;
            }
            output.consume(length);
        }
    });
    receiver
}

/// The host's end of the first line.
struct Host(TcpStream);

impl Host {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn take<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Knocks; the node answers when it listens.
    fn knock(&mut self) {
        self.send(&[0xff]);
        assert_eq!(self.take(), [0xff]);
    }

    /// Sends a command whose payload goes in chunks, each of which is confirmed.
    fn command(&mut self, command: u8, payload: &[u8]) {
        let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
        self.send(&[1, command, high, low]);
        for chunk in payload.chunks(CHUNK) {
            self.send(chunk);
            assert_eq!(self.take(), [TAKEN]);
        }
    }

    /// The result of a command: its code and payload.
    fn result(&mut self) -> (u8, Vec<u8>) {
        let [kind, code, high, low] = self.take();
        assert_eq!(kind, 0, "a result");
        let mut payload = vec![0; u16::from_be_bytes([high, low]).into()];
        self.0.read_exact(&mut payload).unwrap();
        (code, payload)
    }

    fn ping(&mut self) {
        self.command(PING, &[]);
        assert_eq!(self.result(), (0, vec![]));
    }
}

/// The longest payload, and all that ever lies in the image's buffer.
const LONGEST: usize = 511;

/// The byte at a place of a challenge.
fn challenge(at: usize) -> u8 {
    if at < LONGEST { (at * 7).to_le_bytes()[0] | 1 } else { 0 }
}

/// A call of the module's attestation, with a payload of as many bytes.
fn attestation(length: usize) -> Vec<u8> {
    let mut call = vec![0, 1, 0, 1];
    call.extend(u16::try_from(length - 6).unwrap().to_be_bytes());
    call.extend((6..length).map(challenge));
    call
}

/// What the module answers.
fn evidence(call: &[u8]) -> Vec<u8> {
    let words = |bytes: &[u8]| -> Vec<u16> {
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    };
    // The hardware takes whole words: behind an odd length comes what lies there, left by the longest payload.
    let mut taken = call[6..].to_vec();
    taken.extend((call.len() % 2 == 1).then(|| challenge(call.len())));
    let security = Security::Bits128;
    let text = image::module();
    let end = MODULE + u16::try_from(text.len()).unwrap();
    let mut identity = words(&text);
    identity.extend([MODULE, end, SECRET, SECRET_END]);
    let key = mac(security, &derive_key(security, &Config::default().node_key, VENDOR), &identity);
    mac(security, &key, &words(&taken)).to_vec()
}

/// Everything that such images need of an emulator.
fn session(name: &str, flags: &[&str]) {
    let emulator = Emulator::start(name, flags);
    // The board still boots: what is sent now waits.
    let mut host = emulator.connect();
    host.knock();
    host.ping();
    assert_eq!(emulator.console(GREETING.len() + 1), format!("{GREETING}."));
    drop(host);
    // Another one, later.
    let mut host = emulator.connect();
    for length in [LONGEST, 8, 126, 127, 128, 254, 510] {
        host.knock();
        let call = attestation(length);
        host.command(CALL, &call);
        // While the module runs, with interrupts, and its stack pointer is no good for a handler.
        host.send(&[0xfe]);
        assert_eq!(host.result(), (0, evidence(&call)), "{length} bytes");
        assert_eq!(host.take(), [0xfe]);
        host.ping();
    }
    // Whoever has nothing more to send still hears the answer.
    host.send(&[0xff, 1, PING, 0, 0]);
    host.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(host.take(), [0xff]);
    assert_eq!(host.result(), (0, vec![]));
    // The image looks after its ring and its tasks.
    assert_eq!(emulator.console(15), "...............");
}

#[test]
fn event_manager_of_the_old_toolchain_runs_as_on_hardware() {
    session("realtime", &[]);
}

#[test]
fn event_manager_of_the_old_toolchain_runs_as_fast_as_it_can() {
    session("max", &["--speed", "max"]);
}

#[test]
fn bytes_that_come_all_at_once_keep_the_pace_of_the_line_even_when_nobody_holds_them_back() {
    let emulator = Emulator::start("unpaced", &["--speed", "max", "--uart1-unpaced"]);
    emulator.console(GREETING.len());
    let mut host = emulator.connect();
    host.send(&[0xff, 1, PING, 0, 0]);
    assert_eq!(host.take(), [0xff]);
    assert_eq!(host.result(), (0, vec![]));
}
