//! A test of the machine: runs a program and compares everything that was recorded.

use crate::bytes;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use veritee_machine::{Board, Config, Event, Generation, Kinds, RESET_CYCLES, Stop};

/// A test.
#[derive(Deserialize, Debug)]
#[expect(missing_docs, reason = "the names of the format")]
pub struct Test {
    pub name: String,
    pub core: String,
    pub mem: BTreeMap<String, String>,
    pub stop: StopAt,
    pub max_cycles: u64,
    #[serde(default)]
    pub p1in: Vec<(u64, u8)>,
    #[serde(default)]
    pub p2in: Vec<(u64, u8)>,
    #[serde(default)]
    pub uart1_rx: Vec<(u64, u8)>,
    pub expect: Expect,
}

/// Where a test ends.
#[derive(Deserialize, Debug)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum StopAt {
    /// When this instruction starts.
    Pc {
        /// Its address.
        addr: String,
    },
    /// When the CPU sleeps for good.
    CpuOff,
}

/// What the hardware did.
#[derive(Deserialize, Debug)]
#[expect(missing_docs, reason = "the names of the format")]
pub struct Expect {
    pub cycles: u64,
    pub regs: [u16; 16],
    pub mem: BTreeMap<String, String>,
    pub violations: Vec<u64>,
    pub irqs: Vec<(u64, u16)>,
    pub p1out: Vec<(u64, u8)>,
    pub sm: Modules,
    #[serde(default)]
    pub sancus: Vec<(u64, u16, u16, u64)>,
    #[serde(default)]
    pub uart1_tx: Vec<(u64, u8)>,
    #[serde(default)]
    pub resets: Vec<(u64, u64)>,
    pub trace: Option<Vec<(u64, i32, u16)>>,
}

/// The protection unit.
#[derive(Deserialize, Debug)]
#[expect(missing_docs, reason = "the names of the format")]
pub struct Modules {
    pub current: u16,
    pub previous: u16,
    pub next: u16,
    pub table: Vec<(usize, u16, u16, u16, u16, u16, String)>,
}

/// What the emulator did.
#[derive(Default)]
struct Seen {
    violations: Vec<u64>,
    irqs: Vec<(u64, u16)>,
    p1out: Vec<(u64, u8)>,
    sancus: Vec<(u64, u16, u16, u64)>,
    uart1_tx: Vec<(u64, u8)>,
    resets: Vec<(u64, u64)>,
    trace: Vec<(u64, i32, u16)>,
}

/// Runs a test; gives how the emulator differs, nothing if it does not.
///
/// # Errors
/// When the test itself makes no sense.
pub fn run(test: &Test) -> Result<Vec<String>> {
    let (image, mut board) = start(test)?;
    let mut complaints = Vec::new();
    let ended = match &test.stop {
        StopAt::Pc { addr } => {
            board.add_breakpoint(address(addr)?);
            let stop = board.run_until(test.max_cycles + RESET_CYCLES);
            if stop != Stop::Breakpoint {
                complaints.push(format!("stopped with {stop:?} at cycle {}", board.cycle()));
            }
            board.cycle() - RESET_CYCLES
        }
        StopAt::CpuOff => {
            let stop = board.run_until(test.max_cycles + RESET_CYCLES);
            if stop != Stop::Asleep && !board.sleeps() {
                complaints.push(format!("stopped with {stop:?} at cycle {}", board.cycle()));
            }
            board.last_start() - RESET_CYCLES
        }
    };
    let mut stopped = board.clone();
    board.step();
    let mut seen = seen(&board.take_events(), ended);
    while let Some((start, end, byte)) = stopped.take_byte(0) {
        // A byte counts from the middle of its stop bit on.
        if end - RESET_CYCLES <= ended {
            seen.uart1_tx.push((start - RESET_CYCLES, byte));
        }
    }
    if ended != test.expect.cycles {
        complaints.push(format!("cycles: {ended}, expected {}", test.expect.cycles));
    }
    compare(test, &seen, &mut complaints);
    registers(test, &stopped, &mut complaints);
    memory(test, image, &stopped, &mut complaints)?;
    modules(test, &board, &mut complaints);
    Ok(complaints)
}

fn address(text: &str) -> Result<u16> {
    u16::from_str_radix(text, 16).with_context(|| format!("{text:?} is no address"))
}

/// The initial memory, and a board with it.
fn start(test: &Test) -> Result<(Vec<u8>, Board)> {
    let generation = match test.core.as_str() {
        "legacy" => Generation::Legacy,
        "master" => Generation::Master,
        other => anyhow::bail!("unknown core {other:?}"),
    };
    let mut board = Board::new(Config { generation, ..Config::default() });
    let mut image = vec![0; 1 << 16];
    for (start, contents) in &test.mem {
        let (start, contents) = (address(start)?, bytes(contents)?);
        board.load(start, &contents);
        let start = usize::from(start);
        image[start..start + contents.len()].copy_from_slice(&contents);
    }
    board.record(Kinds { instructions: test.expect.trace.is_some(), control: true, outputs: true, bytes: true });
    board.power_up();
    for (port, changes) in [(1, &test.p1in), (2, &test.p2in)] {
        changes.iter().for_each(|(cycle, value)| board.schedule_pins(port, cycle + RESET_CYCLES, *value));
    }
    test.uart1_rx.iter().for_each(|(cycle, byte)| board.schedule_byte(cycle + RESET_CYCLES, *byte));
    Ok((image, board))
}

/// Sorts events; `ended` is the cycle in which the test ends.
fn seen(events: &[Event], ended: u64) -> Seen {
    let mut seen = Seen::default();
    let time = |cycle: u64| cycle - RESET_CYCLES;
    for event in events {
        match *event {
            Event::Violation(violation) if time(violation.cycle) <= ended => {
                seen.violations.push(time(violation.cycle));
            }
            Event::Interrupt { cycle, number } => {
                seen.irqs.push((time(cycle), number));
                seen.trace.push((time(cycle), -1, 0xfff0 + number));
            }
            Event::Port { cycle, port: 1, value } if time(cycle) <= ended => seen.p1out.push((time(cycle), value)),
            Event::Command { cycle, number, result, end } => seen.sancus.push((time(cycle), number, result, time(end))),
            Event::Reset { cycle, released, .. } => seen.resets.push((time(cycle), time(released))),
            Event::Instruction { cycle, address, module, .. } => seen.trace.push((time(cycle), address.into(), module)),
            _ => {}
        }
    }
    seen
}

fn compare(test: &Test, seen: &Seen, complaints: &mut Vec<String>) {
    let expect = &test.expect;
    list("violations", &seen.violations, &expect.violations, complaints);
    list("irqs", &seen.irqs, &expect.irqs, complaints);
    list("p1out", &seen.p1out, &expect.p1out, complaints);
    list("sancus", &seen.sancus, &expect.sancus, complaints);
    list("uart1_tx", &seen.uart1_tx, &expect.uart1_tx, complaints);
    list("resets", &seen.resets, &expect.resets, complaints);
    if let Some(trace) = &expect.trace {
        list("trace", &seen.trace, trace, complaints);
    }
}

/// Complains about the first difference of two lists.
fn list<T: PartialEq + core::fmt::Debug>(what: &str, seen: &[T], expected: &[T], complaints: &mut Vec<String>) {
    let shared = seen.iter().zip(expected).take_while(|(seen, expected)| seen == expected).count();
    if shared < seen.len() || shared < expected.len() {
        let (seen, expected) = (seen.get(shared), expected.get(shared));
        complaints.push(format!("{what}, number {shared}: {seen:?}, expected {expected:?}"));
    }
}

fn registers(test: &Test, board: &Board, complaints: &mut Vec<String>) {
    for (number, (seen, expected)) in board.registers().iter().zip(test.expect.regs).enumerate() {
        if *seen != expected && number != 3 {
            complaints.push(format!("r{number}: {seen:04x}, expected {expected:04x}"));
        }
    }
}

fn memory(test: &Test, mut image: Vec<u8>, board: &Board, complaints: &mut Vec<String>) -> Result<()> {
    for (start, contents) in &test.expect.mem {
        let (start, contents) = (usize::from(address(start)?), bytes(contents)?);
        image[start..start + contents.len()].copy_from_slice(&contents);
    }
    let differs = |at: &u16| board.memory(*at) != image[usize::from(*at)];
    if let Some(at) = (0x200..=0xffff).find(differs) {
        let (seen, expected) = (board.memory(at), image[usize::from(at)]);
        complaints.push(format!("memory {at:04x}: {seen:02x}, expected {expected:02x}"));
    }
    Ok(())
}

fn modules(test: &Test, board: &Board, complaints: &mut Vec<String>) {
    let expect = &test.expect.sm;
    let expected = [expect.current, expect.previous, expect.next];
    if board.module_ids() != expected {
        complaints.push(format!("module ids: {:?}, expected {expected:?}", board.module_ids()));
    }
    let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let slots = board.modules().iter().enumerate().filter_map(|(number, slot)| Some((number, slot.as_ref()?)));
    let table: Vec<_> = slots
        .map(|(number, slot)| {
            let (text, secret) = (slot.text, slot.secret);
            (number, slot.id, text.start, text.end, secret.start, secret.end, hex(&slot.key))
        })
        .collect();
    list("modules", &table, &expect.table, complaints);
}
