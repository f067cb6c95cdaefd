//! The board as a library: what tests of firmware rely on, and what published images need.

use std::thread;
use veritee_machine::elf::{Program, Section};
use veritee_machine::{Board, Breach, Config, Event, Kinds, Profile, Security, Stop};
use veritee_msp430::alu::Operation::{Add, Bis, Bit, Mov, Sub};
use veritee_msp430::assembler::Operand::{Absolute, Immediate, Increment, Register};
use veritee_msp430::assembler::{Assembler, Unary};

const START: u16 = 0x5c00;

fn board_with(config: Config, code: &Assembler, vectors: &[(u16, u16)]) -> Board {
    let mut board = Board::new(config);
    board.load(START, &code.bytes());
    for (number, handler) in vectors.iter().chain(&[(15, START)]) {
        board.load(0xffe0 + 2 * number, &handler.to_le_bytes());
    }
    board.record(Kinds { control: true, outputs: true, ..Kinds::default() });
    board.power_up();
    board
}

fn begin() -> Assembler {
    let mut code = Assembler::new(START);
    code.two(Mov, Immediate(0x5a80), Absolute(0x120)).two(Mov, Immediate(0x4000), Register(1));
    code
}

fn enable(code: &mut Assembler, text: (u16, u16), secret: (u16, u16)) {
    for (register, value) in [(10, 0), (11, 0x1234), (12, text.0), (13, text.1), (14, secret.0), (15, secret.1)] {
        code.two(Mov, Immediate(value), Register(register));
    }
    code.sancus(1);
}

/// Sets both lines up as published images do: 140 cycles a bit, the first with an interrupt on a received byte.
fn serial_lines(code: &mut Assembler) {
    code.two(Mov, Immediate(139), Absolute(0x82)).two(Mov, Immediate(139), Absolute(0x8a));
    code.two_bytes(Mov, Immediate(0x11), Absolute(0x80)).two_bytes(Mov, Immediate(1), Absolute(0x88));
}

/// Echoes each byte of the first line on the second one, from the interrupt, and sleeps between.
fn echo() -> Board {
    let mut code = begin();
    serial_lines(&mut code);
    let main = code.label();
    code.two(Bis, Immediate(0x18), Register(2));
    code.jump(Assembler::ALWAYS, main);
    let handler = code.here();
    code.two_bytes(Mov, Absolute(0x85), Absolute(0x8c));
    code.two_bytes(Mov, Immediate(0x10), Absolute(0x81));
    code.reti();
    board_with(Config::default(), &code, &[(7, handler)])
}

#[test]
fn sleeping_firmware_answers_bytes_and_costs_nothing() {
    let mut board = echo();
    assert_eq!(board.run_until(10_000_000), Stop::Asleep);
    for byte in *b"hello" {
        board.send_byte(byte);
    }
    board.run_until(board.cycle() + 20_000);
    let mut echoed = Vec::new();
    while let Some((start, end, byte)) = board.take_byte(1) {
        assert!(end - start >= 1400);
        echoed.push(byte);
    }
    assert_eq!(echoed, b"hello");
    assert_eq!(board.bytes_waiting(), 0);
}

#[test]
fn firmware_that_falls_asleep_over_a_waiting_interrupt_wakes_at_once() {
    let mut code = begin();
    serial_lines(&mut code);
    // Interrupts are masked until the byte is there.
    let wait = code.label();
    code.two_bytes(Bit, Immediate(0x10), Absolute(0x81));
    code.jump(Assembler::EQUAL, wait);
    code.two(Bis, Immediate(0x18), Register(2));
    code.two(Mov, Immediate(1), Absolute(0x0300));
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    let handler = code.here();
    code.two_bytes(Mov, Immediate(0x10), Absolute(0x81));
    // The status on the stack: it comes back awake.
    code.two(Mov, Immediate(0), Absolute(0x4000 - 4));
    code.reti();
    let mut board = board_with(Config::default(), &code, &[(7, handler)]);
    board.schedule_byte(1_000, b'x');
    while !board.sleeps() {
        board.run_until(board.cycle() + 1);
    }
    assert_eq!(board.next_event(), board.cycle() + 1, "who waits for the next event does not wait long");
    assert_eq!(board.run_until(5_000), Stop::Limit, "it does not sleep");
    let cycle = |event: &Event| if let Event::Interrupt { cycle, .. } = event { Some(*cycle) } else { None };
    let taken: Vec<u64> = board.take_events().iter().filter_map(cycle).collect();
    assert!(matches!(taken[..], [cycle] if cycle < 2_500), "{taken:?}");
    assert_eq!(board.memory(0x0300), 1);
}

#[test]
fn byte_arrives_only_while_no_module_runs() {
    let module = 0x6000;
    let mut code = begin();
    serial_lines(&mut code);
    enable(&mut code, (module, module + 14), (0x1000, 0x1010));
    code.two(Mov, Immediate(0), Register(5));
    let back = code.here() + 8;
    code.two(Mov, Immediate(back), Register(7)).branch(module);
    let end = code.label();
    code.two_bytes(Bit, Immediate(0x10), Absolute(0x81)).jump(Assembler::EQUAL, end);
    code.two(Mov, Register(5), Absolute(0x300));
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    // The module counts for a long time.
    let mut text = Assembler::new(module);
    text.two(Mov, Immediate(20_000), Register(6));
    let again = text.label();
    text.two(Add, Immediate(1), Register(5)).two(Sub, Immediate(1), Register(6));
    text.jump(Assembler::NOT_EQUAL, again).two(Mov, Register(7), Register(0));
    let mut board = board_with(Config::default(), &code, &[]);
    board.load(module, &text.bytes());
    while board.module_ids()[0] != 1 {
        board.step();
    }
    board.send_byte(b'x');
    board.run_until(board.cycle() + 40_000);
    assert_eq!((board.module_ids()[0], board.bytes_waiting()), (1, 1), "it waits while the module runs");
    board.run_until(board.cycle() + 100_000);
    assert_eq!(board.bytes_waiting(), 0);
    assert_eq!(u16::from_le_bytes([board.memory(0x300), board.memory(0x301)]), 20_000);
}

#[test]
fn image_with_initial_data_in_program_memory_and_a_long_delay_boots() {
    // Copies data to RAM as start-up code does, waits 100,000 iterations, greets on the second line.
    let mut code = begin();
    serial_lines(&mut code);
    code.two(Mov, Immediate(0x7000), Register(4)).two(Mov, Immediate(0x0400), Register(5));
    let copy = code.label();
    code.two_bytes(Mov, Increment(4), veritee_msp430::assembler::Operand::Indexed(0, 5));
    code.two(Add, Immediate(1), Register(5)).two(Sub, Immediate(0x0406), Register(5));
    let done = code.jump_forward(Assembler::EQUAL);
    code.two(Add, Immediate(0x0406), Register(5)).jump(Assembler::ALWAYS, copy);
    code.bind(done);
    code.two(Mov, Immediate(10), Register(7));
    let outer = code.label();
    code.two(Mov, Immediate(10_000), Register(6));
    let inner = code.label();
    code.two(Sub, Immediate(1), Register(6)).jump(Assembler::NOT_EQUAL, inner);
    code.two(Sub, Immediate(1), Register(7)).jump(Assembler::NOT_EQUAL, outer);
    code.two(Mov, Immediate(0x0400), Register(4)).two(Mov, Immediate(6), Register(5));
    let send = code.label();
    code.two_bytes(Bit, Immediate(8), Absolute(0x89)).jump(Assembler::NOT_EQUAL, send);
    code.two_bytes(Mov, Increment(4), Absolute(0x8c));
    code.two(Sub, Immediate(1), Register(5)).jump(Assembler::NOT_EQUAL, send);
    code.two(Bis, Immediate(0x10), Register(2));
    let section = |name: &str, address, bytes: Vec<u8>| Section { name: name.into(), address, bytes };
    let program = Program {
        entry: START,
        sections: vec![
            section(".text", START, code.bytes()),
            section(".data", 0x7000, b"hello\n".to_vec()),
            section(".vectors", 0xfffe, START.to_le_bytes().to_vec()),
        ],
        symbols: Vec::new(),
    };
    let mut board = Board::new(Config::default());
    board.load_program(&Program::parse(&program.to_elf()).unwrap());
    board.power_up();
    assert_eq!(board.run_until(2_000_000), Stop::Asleep);
    let mut said = Vec::new();
    while let Some((.., byte)) = board.take_byte(1) {
        said.push(byte);
    }
    assert_eq!(said, b"hello\n");
}

#[test]
fn same_image_and_stimulus_give_the_same_events() {
    let run = |chunk: u64| {
        let mut board = echo();
        board.record(Kinds { instructions: true, control: true, outputs: true, bytes: true });
        board.schedule_byte(3_000, b'a');
        board.schedule_pins(1, 4_000, 0x55);
        while board.cycle() < 30_000 {
            board.run_until((board.cycle() + chunk).min(30_000));
        }
        let bytes: Vec<_> = core::iter::from_fn(|| board.take_byte(1)).collect();
        (board.take_events(), bytes, board.registers())
    };
    assert_eq!(run(7), run(30_000));
    assert!(!run(100).1.is_empty());
}

#[test]
fn boards_run_side_by_side_in_threads() {
    let threads: Vec<_> = (0..4u8)
        .map(|number| {
            let mut board = echo();
            thread::spawn(move || {
                board.schedule_byte(3_000, number);
                board.run_until(30_000);
                board.take_byte(1).map(|(.., byte)| byte)
            })
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers, [Some(0), Some(1), Some(2), Some(3)]);
}

#[test]
fn injected_interrupt_in_a_module_shows_nothing_to_the_handler() {
    let module = 0x6000;
    let mut code = begin();
    enable(&mut code, (module, module + 8), (0x1000, 0x1040));
    code.two(Mov, Immediate(0x1030), Register(1)).branch(module);
    let handler = code.here();
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    let mut text = Assembler::new(module);
    text.two(Mov, Immediate(0x5ec3), Register(4));
    let again = text.label();
    text.jump(Assembler::ALWAYS, again);
    let mut board = board_with(Config::default(), &code, &[(2, handler)]);
    board.load(module, &text.bytes());
    board.load(0x103e, &0x103cu16.to_le_bytes());
    while board.registers()[4] != 0x5ec3 {
        board.step();
    }
    board.step();
    board.inject_interrupt(2);
    let registers = board.registers();
    assert_eq!(registers[4..15], [0; 11]);
    assert_eq!((registers[0], registers[1], registers[15]), (handler, 0, module));
    assert_eq!(board.module_ids()[0], 0xfff2);
    board.step();
    assert_eq!(board.module_ids(), [0, 0xfff2, 2]);
    assert_eq!(u16::from_le_bytes([board.memory(0x103c), board.memory(0x103d)]), 0x1030 - 28 + 1);
}

#[test]
fn violations_say_who_touched_what() {
    let mut code = begin();
    enable(&mut code, (0x6000, 0x6004), (0x1000, 0x1010));
    let pc = code.here();
    code.two(Mov, Absolute(0x1002), Register(4));
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    let mut board = board_with(Config::default(), &code, &[(13, end.0)]);
    board.run_until(20_000);
    let [violation] = board.violations()[..] else { panic!("one violation") };
    assert_eq!((violation.pc, violation.what, violation.module), (pc, Breach::ReadSecret(0x1002), Some(1)));
    assert_eq!(board.registers()[4], 0);
    let program = Program {
        symbols: vec![veritee_machine::elf::Symbol { name: "main".into(), address: START, size: 0, is_function: true }],
        ..Program::default()
    };
    let mut symbols = veritee_machine::Symbols::new(&program);
    symbols.name_module(0x6000, "thermostat");
    let place = pc - START;
    assert_eq!(symbols.violation(&violation), format!("module thermostat: secret read at 0x1002 from main+{place:#x}"));
}

#[test]
fn violation_resets_a_bare_board_too_if_configured() {
    let mut code = begin();
    enable(&mut code, (0x6000, 0x6004), (0x1000, 0x1010));
    code.two(Mov, Absolute(0x6000), Register(4));
    let mut board = board_with(Config { reset_on_violation: true, ..Config::default() }, &code, &[]);
    board.run_until(12_000);
    let events = board.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::Reset { .. })));
    assert!(!events.iter().any(|event| matches!(event, Event::Interrupt { .. })));
}

#[test]
fn weaker_core_has_shorter_keys_and_is_faster() {
    let cost = |security| {
        let mut code = begin();
        enable(&mut code, (0x6000, 0x6002), (0x1000, 0x1010));
        let end = code.label();
        code.jump(Assembler::ALWAYS, end);
        let node_key = 0xdead_beef_cafe_babe_u64.to_be_bytes();
        let mut config = Config { security, ..Config::default() };
        config.node_key[..8].copy_from_slice(&node_key);
        let mut board = board_with(config, &code, &[]);
        board.run_until(20_000);
        let end = board.take_events().iter().find_map(|event| match event {
            Event::Command { cycle, end, .. } => Some(end - cycle),
            _ => None,
        });
        (end.unwrap(), board.modules()[0].as_ref().unwrap().key)
    };
    let (cycles, key) = cost(Security::Bits64);
    assert_eq!(cycles, 2042);
    assert_eq!(key[8..], [0; 8]);
    assert!(cost(Security::Bits128).0 > cycles);
}

#[test]
fn pointers_of_cryptographic_instructions_wrap_around_at_the_end_of_memory() {
    let mut code = begin();
    // Key and tag lie across the end: the last words of program memory, then the first registers of devices.
    for (register, value) in
        [(9, 0xfffa), (10, 0x300), (11, 0x302), (12, 0x300), (13, 0x302), (14, 0x400), (15, 0xfff8)]
    {
        code.two(Mov, Immediate(value), Register(register));
    }
    code.sancus(4).two(Mov, Register(15), Absolute(0x500));
    code.two(Mov, Immediate(0xfff8), Register(15)).sancus(5);
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    let mut board = board_with(Config::default(), &code, &[]);
    let key = [0xa5; 6];
    board.load(0xfff8, &key);
    board.run_until(40_000);
    assert_eq!(board.memory(0x500), 1);
    let vector = u16::from_le_bytes([board.memory(0xfff8), board.memory(0xfff9)]);
    assert_ne!(vector, 0xa5a5, "the tag's first word is there");
    assert_eq!(board.registers()[15], 0, "of its last words, devices keep none");
}

#[test]
fn memory_sizes_and_slots_are_as_configured() {
    let mut code = begin();
    for number in 0..3 {
        enable(&mut code, (0xf000 + 16 * number, 0xf004 + 16 * number), (0x400, 0x400));
    }
    code.two(Mov, Absolute(6), Register(4)).two(Mov, Immediate(1), Absolute(0x0a00));
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    let config = Config { ram: 2048, rom: 41 * 1024, slots: 2, ..Config::default() };
    let mut board = board_with(config, &code, &[]);
    board.run_until(100_000);
    assert_eq!(board.modules().len(), 2);
    assert_eq!(board.registers()[15], 0, "no slot is left");
    assert_eq!(board.registers()[4], 41 << 10 | 16 << 1 | 1);
    assert_eq!(board.memory(0x0a00), 0, "there is no memory");
}

#[test]
fn breakpoints_steps_and_pokes_are_a_debuggers() {
    let mut code = begin();
    let main = code.label();
    code.two(Add, Immediate(1), Register(4)).one(Unary::Call, Immediate(0x6000)).jump(Assembler::ALWAYS, main);
    let mut board = board_with(Config::default(), &code, &[]);
    board.load(0x6000, &[0x30, 0x41]);
    board.add_breakpoint(0x6000);
    assert_eq!(board.run_until(1_000), Stop::Breakpoint);
    assert_eq!((board.registers()[0], board.registers()[4]), (0x6000, 1));
    board.set_register(4, 0x100);
    board.step();
    assert_eq!(board.run_until(1_000), Stop::Breakpoint);
    assert_eq!(board.registers()[4], 0x101);
    board.remove_breakpoint(0x6000);
    // Code that was executed already can be replaced from outside: `call` becomes `dint; nop`.
    board.load(main.0 + 2, &[0x32, 0xc2, 0x03, 0x43]);
    board.step();
    let stack = board.registers()[1];
    board.run_until(1_000);
    assert_eq!(board.registers()[1], stack);
}

#[test]
fn code_in_ram_is_never_executed() {
    let mut code = begin();
    code.branch(0x0400);
    let mut board = board_with(Config { profile: Profile::Veritee, ..Config::default() }, &code, &[]);
    // mov #0xff, &P1OUT
    board.load(0x0400, &[0xf2, 0x43, 0x21, 0x00]);
    board.run_until(1_000);
    assert_eq!(board.port_outputs()[0], 0);
}
