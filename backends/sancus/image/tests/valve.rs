//! A valve whose sensor falls silent closes, whatever the firmware does: the last accepted event holds it for its time, and
//! nothing that an attacker runs on the board makes that longer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::attacker::{self, CODE, INPUT, OUTPUT, STACK};
use rig::bench::Bench;
use rig::{image, line};
use std::sync::OnceLock;
use veritee_c_core::short_form;
use veritee_conformance::desk::{Line, take_apart};
use veritee_ids::{FrameKind, Op, Role, Status};
use veritee_machine::{Event, Kinds};
use veritee_sancus_image::BoardImage;

const SECOND: u64 = 8_000_000;
/// How long an accepted event holds the valve: 977 units of 8192 cycles.
const HOLD: u64 = 977 * 8192;
const OPEN: u8 = 200;
const CLOSED: u8 = 0;
/// Where hostile firmware keeps what survives a reset: program memory that no module has.
const KEPT: u16 = 0xe000;
/// Where hostile firmware counts in memory.
const COUNT: u16 = 0x3700;

fn firmware() -> &'static BoardImage {
    static IMAGE: OnceLock<BoardImage> = OnceLock::new();
    IMAGE.get_or_init(|| image(&["sensor", "valve"]))
}

/// A board whose valve is open.
struct Valve {
    bench: Bench,
    line: Line,
    /// When the last accepted event reached the pins.
    opened: u64,
}

impl Valve {
    fn open() -> Self {
        let mut bench = Bench::new(firmware(), "valve");
        bench.host.borrow_mut().board.record(Kinds { outputs: true, control: true, ..Kinds::default() });
        let line = bench.connect("command", Role::Receiver);
        bench.host.borrow_mut().board.take_events();
        assert_eq!(bench.event(&line, 0, &[OPEN, 0]), Status::Accepted);
        let mut valve = Self { bench, line, opened: 0 };
        let moved = moves(&valve.events());
        assert_eq!(moved.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [OPEN]);
        valve.opened = moved[0].0;
        valve
    }

    fn events(&mut self) -> Vec<Event> {
        self.bench.host.borrow_mut().board.take_events()
    }

    /// The event with a counter, as the firmware gives it to the driver.
    fn frame(&self, counter: u64) -> Vec<u8> {
        let frame = self.bench.desk.seal(&self.line, FrameKind::Event, 1, counter, &[OPEN, 0]);
        short_form(&[&self.line.row.0.to_le_bytes(), &*frame].concat())
    }

    /// Replaces the firmware.
    fn replace(&mut self, program: &str) {
        self.bench.host.borrow_mut().board.load(CODE, &attacker::program_at(CODE, program));
    }

    /// Replaces the firmware and lets the new one run, from its first instruction on, for three seconds.
    fn hostile(&mut self, program: &str) -> Vec<Event> {
        self.replace(program);
        {
            let board = &mut self.bench.host.borrow_mut().board;
            board.set_register(0, CODE);
            board.set_register(2, 0);
        }
        self.run()
    }

    /// Three seconds.
    fn run(&mut self) -> Vec<Event> {
        {
            let board = &mut self.bench.host.borrow_mut().board;
            board.run_until(board.cycle() + 3 * SECOND);
        }
        self.events()
    }

    fn word(&self, address: u16) -> u16 {
        let board = &self.bench.host.borrow().board;
        u16::from_le_bytes([board.memory(address), board.memory(address + 1)])
    }

    /// Code that enters the valve's driver with these, and then goes on behind it.
    fn enter(op: u16, input: u16, bytes: usize) -> String {
        let entry = firmware().drivers[1].driver.text_address;
        format!(
            "mov #{STACK:#x}, r1\n mov #{op}, r12\n mov #{input:#x}, r13\n mov #{bytes}, r14\n mov #{OUTPUT:#x}, r15\n \
             mov #512, r11\n clr r6\n mov #9f, r7\n br #{entry:#x}\n9: add #1, &{COUNT:#x}\n"
        )
    }
}

/// The changes of the valve's pins, with their cycles.
fn moves(events: &[Event]) -> Vec<(u64, u8)> {
    let moved = |event: &Event| if let Event::DeadMan { cycle, value } = event { Some((*cycle, *value)) } else { None };
    events.iter().filter_map(moved).collect()
}

fn resets(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Reset { .. })).count()
}

/// It closed when the time of the last accepted event was over, and stayed closed.
fn assert_closed_in_time(valve: &Valve, events: &[Event], attack: &str) {
    assert_eq!(moves(events), [(valve.opened + HOLD, CLOSED)], "{attack}");
}

#[test]
fn masked_interrupts_for_ever_do_not_hold_it() {
    for attack in ["dint\n nop\n1: jmp 1b", "dint\n nop\n1: add #1, &0x3700\n jmp 1b"] {
        let mut valve = Valve::open();
        let events = valve.hostile(attack);
        assert_eq!(resets(&events), 0);
        assert_closed_in_time(&valve, &events, attack);
    }
}

#[test]
fn a_processor_that_is_off_does_not_hold_it() {
    // Every mode up to all clocks off, with the timers stopped and the largest dividers.
    let stop = "clr &0x160\n mov #0x5a80, &0x120\n mov.b #0xff, &0x57\n mov.b #0xff, &0x58\n";
    for mode in [0x10, 0x50, 0x90, 0xd0, 0xf0] {
        let attack = format!("dint\n nop\n {stop} mov #{mode:#x}, sr\n nop\n1: jmp 1b");
        let mut valve = Valve::open();
        let events = valve.hostile(&attack);
        assert!(valve.bench.host.borrow().board.sleeps(), "{mode:#x}");
        assert_eq!(resets(&events), 0);
        assert_closed_in_time(&valve, &events, &attack);
    }
}

#[test]
fn reset_loops_close_it_at_once() {
    // By the watchdog's password, by its time, and by violations: of stage 0, of the device, of the driver's middle.
    let middle = firmware().drivers[1].driver.text_address + 4;
    let attacks = [
        "clr &0x120".to_owned(),
        "mov #0x5a08, &0x120\n1: jmp 1b".to_owned(),
        "mov #0, &0xfc00".to_owned(),
        "mov #0xff, &0x1c0".to_owned(),
        format!("br #{middle:#x}"),
    ];
    for attack in attacks {
        let mut valve = Valve::open();
        let before = valve.bench.host.borrow().board.cycle();
        let events = valve.hostile(&attack);
        assert!(resets(&events) > 10, "{attack}: {} resets", resets(&events));
        let [(closed, CLOSED)] = moves(&events)[..] else { panic!("{attack}: {:?}", moves(&events)) };
        assert!(closed < before + 100_000, "{attack}");
    }
}

#[test]
fn dropped_calls_close_it() {
    let mut valve = Valve::open();
    let opened = valve.opened;
    // The firmware answers everything, serves the other driver, and passes no event on to the valve.
    let sensor = valve.bench.handle - 1;
    {
        let mut host = valve.bench.host.borrow_mut();
        while host.board.cycle() < opened + 2 * HOLD {
            host.done(line::PING, b"well");
            assert_eq!(host.call(sensor, Op::Attest.code(), &[1; 16]).0, 0);
        }
    }
    let events = valve.events();
    assert_closed_in_time(&valve, &events, "dropped calls");
    // It was not broken: the next event opens it again.
    let line = valve.line;
    assert_eq!(valve.bench.event(&line, 1, &[OPEN, 0]), Status::Accepted);
    assert_eq!(moves(&valve.events()).len(), 1);
}

#[test]
fn entering_it_for_nothing_does_not_hold_it() {
    for (op, bytes) in [(0x101, 2), (Op::Attest.code(), 16), (Op::Control.code(), 80), (Op::Late.code(), 2), (77, 2)] {
        let mut valve = Valve::open();
        let attack = format!("clr &{COUNT:#x}\n1: {} jmp 1b", Valve::enter(op, INPUT, bytes));
        let events = valve.hostile(&attack);
        assert!(valve.word(COUNT) > 10, "op {op:#x}: {} entries", valve.word(COUNT));
        assert_eq!(resets(&events), 0);
        assert_closed_in_time(&valve, &events, &attack);
    }
}

#[test]
fn replayed_events_do_not_hold_it() {
    let mut valve = Valve::open();
    let frame = valve.frame(0);
    valve.bench.host.borrow_mut().board.load(INPUT, &frame);
    let attack = format!("clr &{COUNT:#x}\n1: {} jmp 1b", Valve::enter(Op::Event.code(), INPUT, frame.len()));
    let events = valve.hostile(&attack);
    assert!(valve.word(COUNT) > 10);
    let answer: Vec<u8> =
        (OUTPUT..OUTPUT + 20).map(|address| valve.bench.host.borrow().board.memory(address)).collect();
    assert_eq!(take_apart(&answer).result.status, Status::Duplicate, "the replays arrived, and were judged");
    assert_closed_in_time(&valve, &events, &attack);
}

#[test]
fn a_future_event_does_not_hold_it() {
    let mut valve = Valve::open();
    let mut frame = valve.frame(1);
    // Its counter was changed, as if it were the one after.
    frame[2] ^= 3;
    valve.bench.host.borrow_mut().board.load(INPUT, &frame);
    let attack = format!("1: {} jmp 1b", Valve::enter(Op::Event.code(), INPUT, frame.len()));
    let events = valve.hostile(&attack);
    assert_closed_in_time(&valve, &events, &attack);
}

#[test]
fn events_replayed_after_resets_do_not_open_it() {
    let mut valve = Valve::open();
    // One that was accepted, and one that the firmware kept back: the new activation knows neither's key.
    let frames = [valve.frame(0), valve.frame(1)];
    let bytes = frames[0].len();
    let mut program = String::new();
    for (frame, place) in frames.iter().zip([KEPT, KEPT + 0x100]) {
        valve.bench.host.borrow_mut().board.load(place, frame);
        program.push_str(&Valve::enter(Op::Event.code(), place, bytes));
    }
    // How often, where stage 0 does not clear it.
    let count = KEPT + 0x200;
    valve.bench.host.borrow_mut().board.load(count, &[0, 0]);
    let attack = format!("dint\n nop\n {program} add #1, &{count:#x}\n clr &0x120");
    let before = valve.bench.host.borrow().board.cycle();
    valve.replace(&attack);
    valve.bench.host.borrow_mut().board.reset();
    let events = valve.run();
    assert!(valve.word(count) > 10 && resets(&events) > 10, "{} rounds", valve.word(count));
    let [(closed, CLOSED)] = moves(&events)[..] else { panic!("{:?}", moves(&events)) };
    assert!(closed <= before + 10);
}

#[test]
fn events_that_are_kept_back_hold_it_once_each_and_no_longer() {
    // The limit of a part without a clock: what is authentic and next is accepted whenever it comes.
    let mut valve = Valve::open();
    for counter in 1..=3 {
        let opened = valve.opened;
        let limit = opened + HOLD - SECOND / 10;
        valve.bench.host.borrow_mut().board.run_until(limit);
        let line = valve.line;
        assert_eq!(valve.bench.event(&line, counter, &[OPEN + u8::try_from(counter).unwrap(), 0]), Status::Accepted);
        let moved = moves(&valve.events());
        assert_eq!(moved.len(), 1);
        valve.opened = moved[0].0;
    }
    let events = valve.hostile("dint\n nop\n1: jmp 1b");
    assert_closed_in_time(&valve, &events, "the store is empty");
}
