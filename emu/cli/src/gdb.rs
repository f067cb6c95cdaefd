//! A stub for the remote protocol of the GNU debugger: registers, memory, steps, breakpoints.
//!
//! Registers are 16 numbers of 16 bits. A debugger that connects stops the board; one that goes lets it run.

use crate::run::Message;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::Sender;
use std::thread;
use veritee_machine::Board;

/// Something from a debugger.
pub(crate) enum FromDebugger {
    /// It is there.
    Here(Box<dyn Write + Send>),
    /// A command.
    Packet(String),
    /// It wants the board to stop.
    Break,
    /// It went.
    Gone,
}

/// What the board shall do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nobody debugs.
    Free,
    /// It stands still.
    Halted,
    /// It runs until something stops it.
    Running,
}

/// The debugger's end.
pub(crate) struct Debugger {
    pub(crate) address: Option<String>,
    peer: Option<Box<dyn Write + Send>>,
    state: State,
    breakpoints: Vec<u16>,
}

/// The longest packet, in characters.
const PACKET: usize = 4096;

impl Debugger {
    /// Nobody can debug.
    pub(crate) fn none() -> Self {
        Self { address: None, peer: None, state: State::Free, breakpoints: Vec::new() }
    }

    /// Listens on `tcp:PORT`. The board waits for a debugger before its first instruction.
    pub(crate) fn listen(place: &str, messages: &Sender<Message>) -> Result<Self> {
        let Some(port) = place.strip_prefix("tcp:").and_then(|port| port.parse().ok()) else {
            bail!("--gdb {place:?} is not tcp:PORT");
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen for --gdb")?;
        let address = Some(format!("tcp:{}", listener.local_addr()?));
        let messages = messages.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.set_nodelay(true);
                let Ok(writer) = stream.try_clone() else { continue };
                let say = |message| messages.send(Message::Debugger(message)).is_ok();
                if !say(FromDebugger::Here(Box::new(writer))) {
                    return;
                }
                packets(stream, &say);
                if !say(FromDebugger::Gone) {
                    return;
                }
            }
        });
        Ok(Self { address, state: State::Halted, ..Self::none() })
    }

    /// Does the board stand still?
    pub(crate) fn is_halted(&self) -> bool {
        self.state == State::Halted
    }

    /// The board came to a breakpoint.
    pub(crate) fn stopped(&mut self) {
        self.state = State::Halted;
        self.send("S05");
    }

    /// Does what a debugger says.
    pub(crate) fn take(&mut self, message: FromDebugger, board: &mut Board) {
        match message {
            FromDebugger::Here(peer) => {
                self.peer = Some(peer);
                self.state = State::Halted;
            }
            FromDebugger::Break if self.state == State::Running => {
                self.state = State::Halted;
                self.send("S02");
            }
            FromDebugger::Break => {}
            FromDebugger::Packet(packet) => {
                self.acknowledge();
                if let Some(answer) = self.command(&packet, board) {
                    self.send(&answer);
                }
            }
            FromDebugger::Gone => self.release(board),
        }
    }

    fn release(&mut self, board: &mut Board) {
        self.breakpoints.drain(..).for_each(|address| board.remove_breakpoint(address));
        self.peer = None;
        self.state = State::Free;
    }

    fn acknowledge(&mut self) {
        if let Some(peer) = &mut self.peer {
            let _ = peer.write_all(b"+");
        }
    }

    fn send(&mut self, answer: &str) {
        let sum = answer.bytes().fold(0u8, u8::wrapping_add);
        if let Some(peer) = &mut self.peer
            && peer.write_all(format!("${answer}#{sum:02x}").as_bytes()).and_then(|()| peer.flush()).is_err()
        {
            self.peer = None;
        }
    }

    /// Answers a packet; none when the answer comes later.
    fn command(&mut self, packet: &str, board: &mut Board) -> Option<String> {
        let (first, rest) = packet.split_at_checked(1).unwrap_or(("", ""));
        let answer = match first {
            "?" => Some("S05".into()),
            "g" => Some(board.registers().iter().copied().map(word_hex).collect()),
            "G" => write_registers(rest, board),
            "p" => read_register(rest, board),
            "P" => write_register(rest, board),
            "m" => read_memory(rest, board),
            "M" => write_memory(rest, board),
            "Z" | "z" => self.breakpoint(rest, first == "Z", board),
            "s" | "c" => {
                jump(rest, board);
                board.step();
                if first == "s" {
                    Some("S05".into())
                } else {
                    self.state = State::Running;
                    return None;
                }
            }
            "D" => {
                self.release_later(board);
                Some("OK".into())
            }
            "k" => {
                self.release(board);
                return None;
            }
            "H" => Some("OK".into()),
            "q" => Some(query(rest)),
            // An empty answer: not supported.
            _ => Some(String::new()),
        };
        Some(answer.unwrap_or_else(|| "E01".into()))
    }

    /// The debugger detaches; it still gets its answer.
    fn release_later(&mut self, board: &mut Board) {
        let peer = self.peer.take();
        self.release(board);
        self.peer = peer;
    }

    fn breakpoint(&mut self, rest: &str, sets: bool, board: &mut Board) -> Option<String> {
        let mut fields = rest.split(',');
        let kind = fields.next()?;
        let address = hex(fields.next()?)? & !1;
        if kind != "0" && kind != "1" {
            return Some(String::new());
        }
        board.remove_breakpoint(address);
        self.breakpoints.retain(|other| *other != address);
        if sets {
            board.add_breakpoint(address);
            self.breakpoints.push(address);
        }
        Some("OK".into())
    }
}

fn query(rest: &str) -> String {
    match rest.split([':', ',']).next() {
        Some("Supported") => format!("PacketSize={PACKET:x}"),
        Some("Attached") => "1".into(),
        Some("C") => "QC1".into(),
        Some("fThreadInfo") => "m1".into(),
        Some("sThreadInfo") => "l".into(),
        _ => String::new(),
    }
}

fn hex(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 16).ok()
}

/// A register: low byte first.
fn word_hex(word: u16) -> String {
    format!("{:04x}", word.swap_bytes())
}

fn jump(rest: &str, board: &mut Board) {
    if let Some(address) = hex(rest) {
        board.set_register(0, address & !1);
    }
}

fn write_registers(rest: &str, board: &mut Board) -> Option<String> {
    let digits: Vec<_> = (0..16).map(|number| rest.get(4 * number..4 * number + 4).and_then(hex)).collect();
    for (number, value) in digits.into_iter().collect::<Option<Vec<_>>>()?.into_iter().enumerate() {
        board.set_register(number, value.swap_bytes());
    }
    Some("OK".into())
}

fn read_register(rest: &str, board: &Board) -> Option<String> {
    board.registers().get(usize::from(hex(rest)?)).copied().map(word_hex)
}

fn write_register(rest: &str, board: &mut Board) -> Option<String> {
    let (number, value) = rest.split_once('=')?;
    let number = usize::from(hex(number).filter(|number| *number < 16)?);
    board.set_register(number, hex(value.get(..4)?)?.swap_bytes());
    Some("OK".into())
}

fn read_memory(rest: &str, board: &Board) -> Option<String> {
    let (address, length) = rest.split_once(',')?;
    let (address, length) = (hex(address)?, hex(length)?.min(1024));
    Some((0..length).map(|offset| format!("{:02x}", board.memory(address.wrapping_add(offset)))).collect())
}

fn write_memory(rest: &str, board: &mut Board) -> Option<String> {
    let (place, data) = rest.split_once(':')?;
    let (address, length) = place.split_once(',')?;
    let (address, length) = (hex(address)?, hex(length)?);
    let bytes = (0..usize::from(length)).map(|at| u8::from_str_radix(data.get(2 * at..2 * at + 2)?, 16).ok());
    board.load(address, &bytes.collect::<Option<Vec<u8>>>()?);
    Some("OK".into())
}

/// Takes packets apart until the line ends. Damaged ones are asked for again by silence.
fn packets(reader: impl Read, say: &impl Fn(FromDebugger) -> bool) {
    let mut packet: Option<String> = None;
    let mut tail = 0;
    for byte in std::io::BufReader::new(reader).bytes().map_while(Result::ok) {
        let going = match (&mut packet, byte) {
            (None, 3) => say(FromDebugger::Break),
            (None, b'$') => {
                packet = Some(String::new());
                tail = 0;
                true
            }
            (None, _) => true,
            (Some(text), _) if text.len() > PACKET => {
                packet = None;
                true
            }
            (Some(text), byte) => {
                text.push(char::from(byte));
                tail += usize::from(tail > 0 || byte == b'#');
                if tail < 3 {
                    true
                } else {
                    let text = packet.take().unwrap_or_default();
                    match checked(&text) {
                        Some(body) => say(FromDebugger::Packet(body.to_owned())),
                        None => true,
                    }
                }
            }
        };
        if !going {
            return;
        }
    }
}

/// The body of `body#sum`, if the sum fits.
fn checked(text: &str) -> Option<&str> {
    let (body, sum) = text.rsplit_once('#')?;
    let expected = body.chars().fold(0u8, |sum, character| sum.wrapping_add(u8::try_from(character).unwrap_or(0)));
    (u8::from_str_radix(sum, 16).ok()? == expected).then_some(body)
}
