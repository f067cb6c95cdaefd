//! `run`: firmware on a board, with its lines on the host.

use crate::flags::{BoardFlags, Core, ProfileName, Run};
use crate::freshness::{Counter, Random};
use crate::gdb::{Debugger, FromDebugger};
use crate::pace::{LONG, Pace};
use crate::serial::Serial;
use crate::trace;
use crate::world::{self, FromClient, World};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use veritee_machine::elf::Program;
use veritee_machine::{Board, Config, Event, FreshnessKind, Generation, Kinds, Profile, Security, Stop, Symbols};

/// Something from outside.
pub(crate) enum Message {
    /// Bytes for the first line.
    Bytes(Vec<u8>),
    /// Somebody is at the other end of the first line.
    Peer(Box<dyn Write + Send>),
    /// A client of the world.
    World(u64, FromClient),
    /// A debugger.
    Debugger(FromDebugger),
    /// The process shall end.
    End,
}

/// A board and its surroundings.
struct Session {
    board: Board,
    symbols: Symbols,
    pace: Pace,
    limit: u64,
    uart1: Serial,
    uart2: Option<Box<dyn Write>>,
    unpaced: bool,
    world: World,
    debugger: Debugger,
    trace: Option<BufWriter<File>>,
    quiet: bool,
    messages: Receiver<Message>,
}

/// Runs firmware.
pub(crate) fn run(flags: &Run) -> Result<ExitCode> {
    let path = flags.firmware.display();
    let file = std::fs::read(&flags.firmware).with_context(|| format!("cannot read {path}"))?;
    let program = Program::parse(&file).with_context(|| format!("cannot load {path}"))?;
    let mut board = board(&flags.board)?;
    board.load_program(&program);
    let (sender, messages) = channel();
    let uart1 = Serial::open(&flags.uart1, &sender)?;
    let world = flags.world.as_deref().map_or(Ok(World::default()), |place| World::listen(place, &sender))?;
    let debugger = flags.gdb.as_deref().map_or(Ok(Debugger::none()), |place| Debugger::listen(place, &sender))?;
    end_on_signal(sender.clone())?;
    let trace = match &flags.trace {
        Some(path) => Some(File::create(path).with_context(|| format!("cannot write {}", path.display()))?),
        None => None,
    };
    let traced = trace.is_some();
    let kinds = Kinds { instructions: traced && !flags.trace_events, control: traced, outputs: true, bytes: traced };
    board.record(kinds);
    board.power_up();
    for assignment in flags.pins.iter().flat_map(|list| list.split(',')).filter(|text| !text.is_empty()) {
        set_pin(assignment, &mut board)?;
    }
    let pace = Pace::parse(flags.speed.as_deref(), board.cycle(), Box::new(Instant::now))?;
    ready(flags, &uart1, &world, &debugger)?;
    let mut session = Session {
        symbols: Symbols::new(&program),
        board,
        pace,
        limit: flags.cycles.unwrap_or(u64::MAX),
        uart1,
        uart2: output(&flags.uart2)?,
        unpaced: flags.uart1_unpaced,
        world,
        debugger,
        trace: trace.map(BufWriter::new),
        quiet: flags.quiet,
        messages,
    };
    // Keeps the channel open when nothing else speaks.
    let _sender = sender;
    session.run()?;
    if let Some(trace) = &mut session.trace {
        trace.flush().context("cannot write the trace")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The board that the flags describe, with its secrets.
fn board(flags: &BoardFlags) -> Result<Board> {
    let mut config = config(flags)?;
    let kind = match flags.freshness.as_str() {
        "random" => FreshnessKind::Random,
        _ => FreshnessKind::Counter,
    };
    if let Some(path) = &flags.board_secret {
        config.node_key = config.node_key_of(&secret(path)?, kind);
    }
    let profile = config.profile == Profile::Veritee;
    let mut board = Board::new(config);
    match flags.freshness.as_str() {
        "random" => board.set_freshness(Random),
        path if profile => board.set_freshness(Counter::open(Path::new(path))?),
        _ => anyhow::bail!("--freshness FILE needs --profile veritee"),
    }
    Ok(board)
}

/// A board's secret: 16 bytes in hexadecimal digits, or raw.
fn secret(path: &Path) -> Result<[u8; 16]> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Ok(raw) = <[u8; 16]>::try_from(bytes.as_slice()) {
        return Ok(raw);
    }
    let text = String::from_utf8(bytes).ok().filter(|text| text.trim().len() == 32);
    let text = text.with_context(|| format!("{} holds neither 16 bytes nor 32 hexadecimal digits", path.display()))?;
    key(text.trim()).with_context(|| format!("in {}", path.display()))
}

fn set_pin(assignment: &str, board: &mut Board) -> Result<()> {
    let (place, value) = assignment.split_once('=').with_context(|| format!("--pins: {assignment:?} has no \"=\""))?;
    let value = value.trim().parse().with_context(|| format!("--pins: {value:?} is no number"))?;
    world::set(place.trim(), value, board).context("--pins")
}

fn end_on_signal(messages: Sender<Message>) -> Result<()> {
    let mut caught = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    thread::spawn(move || {
        for _ in caught.forever() {
            if messages.send(Message::End).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Tells where everything is.
fn ready(flags: &Run, uart1: &Serial, world: &World, debugger: &Debugger) -> Result<()> {
    let line = serde_json::json!({
        "ready": true, "pid": std::process::id(),
        "uart1": uart1.address, "world": world.address, "gdb": debugger.address,
    });
    let places = [("uart1", &uart1.address), ("world", &world.address), ("gdb", &debugger.address)];
    for (name, address) in places.into_iter().filter(|_| !flags.quiet) {
        if let Some(address) = address {
            eprintln!("{name}: {address}");
        }
    }
    if let Some(path) = &flags.ready_file {
        // Complete when it appears.
        let mut temporary = path.clone().into_os_string();
        temporary.push(".new");
        std::fs::write(&temporary, format!("{line}\n"))
            .and_then(|()| std::fs::rename(&temporary, path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn output(place: &str) -> Result<Option<Box<dyn Write>>> {
    Ok(match place {
        "none" => None,
        "stdout" => Some(Box::new(std::io::stdout())),
        "stderr" => Some(Box::new(std::io::stderr())),
        path => Some(Box::new(File::create(path).with_context(|| format!("cannot write {path}"))?)),
    })
}

/// The board that the flags describe.
pub(crate) fn config(flags: &BoardFlags) -> Result<Config> {
    let defaults = Config::default();
    ensure!((1..=40).contains(&flags.ram), "--ram: 1 to 40 KiB, not {}", flags.ram);
    ensure!((1..=62).contains(&flags.rom), "--rom: 1 to 62 KiB, not {}", flags.rom);
    ensure!(flags.ram * 1024 + 0x200 <= 0u16.wrapping_sub(flags.rom * 1024), "RAM and program memory overlap");
    ensure!((1..=64).contains(&flags.slots), "--slots: 1 to 64, not {}", flags.slots);
    Ok(Config {
        generation: match flags.core {
            Core::Legacy => Generation::Legacy,
            Core::Master => Generation::Master,
        },
        security: match flags.security {
            64 => Security::Bits64,
            128 => Security::Bits128,
            other => anyhow::bail!("--security: 64 or 128, not {other}"),
        },
        slots: flags.slots,
        node_key: flags.node_key.as_deref().map_or(Ok(defaults.node_key), key).context("--node-key")?,
        ram: flags.ram * 1024,
        rom: flags.rom * 1024,
        profile: match flags.profile {
            ProfileName::Bare => Profile::Bare,
            ProfileName::Veritee => Profile::Veritee,
        },
        reset_on_violation: flags.reset_on_violation,
        dead_man_safe: flags.dead_man_safe,
    })
}

/// A key of 16 bytes, or of 8.
fn key(hex: &str) -> Result<[u8; 16]> {
    let valid = hex.bytes().all(|digit| digit.is_ascii_hexdigit()) && [16, 32].contains(&hex.len());
    ensure!(valid, "a key is 32 hexadecimal digits (16 with --security 64)");
    let mut key = [0; 16];
    for (place, at) in key.iter_mut().zip((0..hex.len()).step_by(2)) {
        *place = u8::from_str_radix(&hex[at..at + 2], 16)?;
    }
    Ok(key)
}

impl Session {
    fn run(&mut self) -> Result<()> {
        loop {
            if self.debugger.is_halted() {
                if !self.inputs(LONG)? {
                    return Ok(());
                }
                self.pace.resume(self.board.cycle());
                continue;
            }
            let (now, sleeps) = (self.board.cycle(), self.board.sleeps());
            if now >= self.limit {
                return Ok(());
            }
            let target = self.pace.target(now, sleeps, self.board.next_event());
            let stop = self.board.run_until(target.min(self.limit));
            self.outputs()?;
            self.events()?;
            if stop == Stop::Breakpoint {
                self.debugger.stopped();
                continue;
            }
            let sleeps = self.board.sleeps();
            let due = if sleeps { self.board.next_event().min(self.limit) } else { self.board.cycle() };
            let wait = self.pace.wait(due, sleeps);
            if !self.inputs(wait)? {
                return Ok(());
            }
        }
    }

    /// What happened goes to the trace, to watchers, and, if a rule was broken, to the terminal.
    fn events(&mut self) -> Result<()> {
        let events = self.board.take_events();
        for event in &events {
            if let Some(trace) = &mut self.trace {
                trace::write(trace, event, &self.symbols).context("cannot write the trace")?;
            }
            if let (Event::Violation(violation), false) = (event, self.quiet) {
                eprintln!("violation in cycle {}: {}", violation.cycle, self.symbols.violation(violation));
            }
            if self.world.is_watched() {
                self.world.publish(event, &self.symbols);
            }
        }
        Ok(())
    }

    /// What the board sent.
    fn outputs(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        while let Some((.., byte)) = self.board.take_byte(0) {
            bytes.push(byte);
        }
        if !bytes.is_empty() {
            self.uart1.send(&bytes);
        }
        bytes.clear();
        while let Some((.., byte)) = self.board.take_byte(1) {
            bytes.push(byte);
        }
        if let (Some(output), false) = (&mut self.uart2, bytes.is_empty()) {
            output.write_all(&bytes).and_then(|()| output.flush()).context("cannot write what --uart2 sends")?;
        }
        Ok(())
    }

    /// Takes what came from outside; waits for it at most `wait`. Gives false when the process shall end.
    fn inputs(&mut self, wait: Duration) -> Result<bool> {
        let mut next = match wait {
            Duration::ZERO => self.messages.try_recv().ok(),
            wait => match self.messages.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            },
        };
        if next.is_some() {
            self.catch_up();
        }
        while let Some(message) = next {
            match message {
                Message::Bytes(bytes) if self.unpaced => {
                    for byte in bytes {
                        self.board.schedule_byte(self.board.cycle(), byte);
                    }
                }
                Message::Bytes(bytes) => bytes.into_iter().for_each(|byte| self.board.send_byte(byte)),
                Message::Peer(peer) => self.uart1.connect(peer),
                Message::World(id, message) => self.world.take(id, message, &mut self.board, &mut self.symbols),
                Message::Debugger(message) => self.debugger.take(message, &mut self.board),
                Message::End => return Ok(false),
            }
            next = self.messages.try_recv().ok();
        }
        Ok(true)
    }

    /// Lets a sleeping board sleep up to now, so that what comes from outside comes now and not in the cycle in which it fell
    /// asleep. Otherwise it would wake up in the past, and live through all the time since then before anybody could answer it:
    /// a quarter of a second for the next byte would be over at once.
    fn catch_up(&mut self) {
        if self.board.sleeps() && !self.debugger.is_halted() {
            let now = self.pace.now().min(self.board.next_event()).min(self.limit);
            // Goes nowhere if that is not after the board's own time.
            self.board.run_until(now);
        }
    }
}

#[cfg(test)]
mod tests;
