//! Devices of the published board, register by register, where recordings of the hardware do not look.

use veritee_machine::{Board, Config, Event, Generation, Kinds, RESET_CYCLES};
use veritee_msp430::alu::Operation::{Add, Bis, Mov};
use veritee_msp430::assembler::Assembler;
use veritee_msp430::assembler::Operand::{Absolute, Immediate, Indexed, Register};

const START: u16 = 0x5c00;
const HANDLER: u16 = 0x7000;
const ENABLE_INTERRUPTS: u16 = 0x0008;

/// A board whose program is what `body` appends between switching the watchdog off and an endless loop. Interrupt handlers count in r15.
fn board(core: Generation, body: impl FnOnce(&mut Assembler)) -> Board {
    let mut code = Assembler::new(START);
    code.two(Mov, Immediate(0x5a80), Absolute(0x120)).two(Mov, Immediate(0x4000), Register(1));
    body(&mut code);
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    let mut handler = Assembler::new(HANDLER);
    handler.two(Add, Immediate(1), Register(15)).reti();
    let mut board = Board::new(Config { generation: core, ..Config::default() });
    board.load(START, &code.bytes());
    board.load(HANDLER, &handler.bytes());
    for number in 0..15 {
        board.load(0xffe0 + 2 * number, &HANDLER.to_le_bytes());
    }
    board.load(0xfffe, &START.to_le_bytes());
    board.record(Kinds { control: true, outputs: true, bytes: true, ..Kinds::default() });
    board.power_up();
    board
}

/// Numbers and cycles of the interrupts so far.
fn interrupts(board: &mut Board) -> Vec<(u16, u64)> {
    let taken = |event: Event| match event {
        Event::Interrupt { cycle, number } => Some((number, cycle - RESET_CYCLES)),
        _ => None,
    };
    board.take_events().into_iter().filter_map(taken).collect()
}

/// Appends as many cycles of doing nothing.
fn wait(code: &mut Assembler, cycles: u16) {
    for _ in 0..cycles {
        code.two(Mov, Immediate(0), Register(3));
    }
}

/// What a program left in a register.
fn result(register: usize, body: impl FnOnce(&mut Assembler)) -> u16 {
    let mut board = board(Generation::Legacy, body);
    board.run_until(4_000);
    board.registers()[register]
}

#[test]
fn interrupt_that_software_enables_over_a_set_flag_comes_after_the_next_instruction() {
    // Each writes a byte or word twice: the flag, then what enables it.
    for (number, writes) in [
        (2, [(0x23, 1), (0x25, 1)]),
        (3, [(0x2b, 0x80), (0x2d, 0x80)]),
        (9, [(0x162, 1), (0x162, 0x11)]),
        (8, [(0x160, 1), (0x160, 3)]),
    ] {
        let mut board = board(Generation::Legacy, |code| {
            code.two(Bis, Immediate(ENABLE_INTERRUPTS), Register(2));
            for (address, value) in writes {
                let write = if address < 0x100 { Assembler::two_bytes } else { Assembler::two };
                write(code, Mov, Immediate(value), Absolute(address));
            }
            for _ in 0..3 {
                code.two(Add, Immediate(1), Register(4));
            }
        });
        while board.registers()[0] != HANDLER && board.cycle() < 100 {
            board.step();
        }
        assert_eq!(interrupts(&mut board).first().map(|(taken, _)| *taken), Some(number));
        assert_eq!(board.registers()[4], 1, "interrupt {number}");
        // The same in one go: the fast path must end there, too.
        let mut board = board_again(&board);
        board.run_until(60);
        assert_eq!(interrupts(&mut board).first().map(|(taken, _)| *taken), Some(number));
    }
}

/// The same board, switched on again.
fn board_again(board: &Board) -> Board {
    let mut again = board.clone();
    again.take_events();
    again.power_up();
    again
}

#[test]
fn interrupt_that_cannot_be_masked_is_on_the_older_core_and_switches_itself_off() {
    let run = |core| {
        let mut board = board(core, |code| {
            code.two_bytes(Mov, Immediate(0x10), Absolute(0x02)).two_bytes(Mov, Absolute(0x02), Register(4));
            code.two_bytes(Mov, Immediate(0x10), Absolute(0x00));
            wait(code, 3);
            code.two_bytes(Mov, Absolute(0x00), Register(5));
        });
        board.run_until(200);
        (board.registers()[4], board.registers()[5], board.registers()[15], interrupts(&mut board).len())
    };
    assert_eq!(run(Generation::Legacy), (0x10, 0, 1, 1), "flag, enable after it, handler");
    assert_eq!(run(Generation::Master), (0, 0, 0, 0));
}

#[test]
fn choosing_the_other_edge_of_the_pin_nmi_raises_its_flag() {
    let flags = |core| {
        let mut board = board(core, |code| {
            code.two(Mov, Immediate(0x5ac0), Absolute(0x120));
            wait(code, 4);
            code.two_bytes(Mov, Absolute(0x02), Register(4)).two_bytes(Mov, Immediate(0), Absolute(0x02));
            code.two(Mov, Immediate(0x5ac0), Absolute(0x120));
            wait(code, 4);
            code.two_bytes(Mov, Absolute(0x02), Register(5));
        });
        board.run_until(200);
        (board.registers()[4], board.registers()[5])
    };
    assert_eq!(flags(Generation::Legacy), (0x10, 0), "an edge, and none");
    assert_eq!(flags(Generation::Master), (0, 0));
}

#[test]
fn clock_registers_keep_the_bits_that_exist() {
    let read = |address: u16| {
        result(4, |code| {
            code.two_bytes(Mov, Immediate(0xff), Absolute(address)).two_bytes(Mov, Absolute(address), Register(4));
        })
    };
    assert_eq!((read(0x57), read(0x58)), (0x30, 0x0e));
}

#[test]
fn timer_stands_while_its_clock_is_off() {
    let counted = |off: &dyn Fn(&mut Assembler)| {
        result(4, |code| {
            code.two(Mov, Immediate(0x0224), Absolute(0x160));
            off(code);
            wait(code, 100);
            code.two(Mov, Absolute(0x170), Register(4));
        })
    };
    let runs = counted(&|_| {});
    assert!(runs > 100, "{runs}");
    let status = counted(&|code| {
        code.two(Bis, Immediate(0x80), Register(2));
    });
    assert!(status < 8, "SCG1: {status}");
    let crystal = counted(&|code| {
        code.two_bytes(Mov, Immediate(8), Absolute(0x58));
    });
    assert!(crystal < 12, "SMCLK from a crystal that is not there: {crystal}");
    let again = counted(&|code| {
        code.two(Bis, Immediate(0x80), Register(2)).two(Mov, Immediate(0), Register(2));
    });
    assert!(again > 95, "it goes on: {again}");
}

#[test]
fn reading_taiv_clears_the_flag_that_it_names_and_loses_none() {
    let mut named = 0;
    for delay in 0..120 {
        let mut seen = board(Generation::Legacy, |code| {
            code.two(Mov, Immediate(90), Absolute(0x174)).two(Mov, Immediate(0x10), Absolute(0x164));
            code.two(Mov, Immediate(0x0224), Absolute(0x160));
            wait(code, delay);
            code.two(Mov, Absolute(0x12e), Register(4));
            wait(code, 120);
            code.two(Mov, Absolute(0x164), Register(5));
        });
        seen.run_until(400);
        let (vector, control) = (seen.registers()[4], seen.registers()[5]);
        assert!([0, 2].contains(&vector));
        assert_eq!(control & 1 == 0, vector == 2, "after {delay} cycles");
        named += vector;
    }
    assert!(named > 0, "the flag rises within these cycles");
}

#[test]
fn writing_taiv_clears_the_most_urgent_flag_too() {
    let left = |writes: u16| {
        result(4, |code| {
            code.two(Mov, Immediate(0x11), Absolute(0x164)).two(Mov, Immediate(0x11), Absolute(0x166));
            for _ in 0..writes {
                code.two(Mov, Immediate(0), Absolute(0x12e));
            }
            code.two(Mov, Absolute(0x12e), Register(4));
        })
    };
    assert_eq!([left(0), left(1), left(2)], [2, 4, 0]);
}

#[test]
fn flag_that_rises_in_the_cycle_in_which_it_is_cleared_stays() {
    // The flag rises every ten cycles. Two cycles lie between the write that clears it and the read.
    let kept = (0..10).filter(|delay| {
        result(4, |code| {
            code.two(Mov, Immediate(9), Absolute(0x172)).two(Mov, Immediate(0x0214), Absolute(0x160));
            wait(code, 20 + delay);
            code.two(Mov, Immediate(0), Absolute(0x162)).two(Mov, Absolute(0x162), Register(4));
        }) & 1
            != 0
    });
    assert_eq!(kept.count(), 2);
}

#[test]
fn expiry_of_the_interval_timer_in_the_cycle_in_which_its_flag_is_cleared_stays() {
    // It expires every 64 cycles. Two cycles lie between the write that clears the flag and the read.
    let kept = (0..64).filter(|delay| {
        result(4, |code| {
            code.two(Mov, Immediate(0x5a1b), Absolute(0x120));
            wait(code, 100 + delay);
            code.two_bytes(Mov, Immediate(0), Absolute(2)).two_bytes(Mov, Absolute(2), Register(4));
        }) & 1
            != 0
    });
    assert_eq!(kept.count(), 2);
}

#[test]
fn interrupt_of_ccr0_wipes_what_rises_while_it_is_taken() {
    const PERIOD: u64 = 40;
    let taken = |delay| {
        let mut board = board(Generation::Legacy, |code| {
            code.two(Mov, Immediate(39), Absolute(0x172)).two(Mov, Immediate(0x10), Absolute(0x162));
            code.two(Mov, Immediate(0x0214), Absolute(0x160));
            wait(code, delay);
            code.two(Bis, Immediate(ENABLE_INTERRUPTS), Register(2));
            wait(code, 300);
        });
        board.run_until(400);
        interrupts(&mut board).into_iter().map(|(_, cycle)| cycle).collect::<Vec<u64>>()
    };
    // With nothing in the way each is taken as soon as its flag is up.
    let up = taken(0)[0] % PERIOD;
    let mut wiped = 0;
    for delay in 60..100 {
        let [first, second, ..] = taken(delay)[..] else { panic!("two interrupts") };
        let next = (PERIOD + up - first % PERIOD - 1) % PERIOD + 1;
        assert_eq!(second - first > PERIOD, next <= 2, "taken in {first} and {second}, up {next} cycles after");
        wiped += u64::from(next <= 2);
    }
    assert_eq!(wiped, 2);
}

#[test]
fn timer_that_is_stopped_forgets_a_prescaler_that_was_about_to_overflow() {
    // The hardware's prescaler, cycle by cycle.
    let expected = |first: u16, stopped: u16, second: u16| {
        let (mut prescaler, mut counter) = (0, 0);
        for cycle in 0..first + stopped + second {
            let runs = !(first..first + stopped).contains(&cycle);
            let overflows = prescaler == 7;
            counter += u16::from(overflows && runs);
            prescaler = if overflows { 0 } else { prescaler + u16::from(runs) };
        }
        counter
    };
    let mut differences = 0;
    for delay in 0..16 {
        let seen = result(4, |code| {
            code.two(Mov, Immediate(0x02e4), Absolute(0x160));
            wait(code, delay);
            code.two(Mov, Immediate(0x02c0), Absolute(0x160));
            wait(code, 30);
            code.two(Mov, Immediate(0x02e0), Absolute(0x160));
            wait(code, 60);
            code.two(Mov, Absolute(0x170), Register(4));
        });
        // Five cycles a write; the value that is read is that of the second cycle.
        assert_eq!(seen, expected(delay + 5, 35, 62 - 1), "{delay}");
        differences += u16::from(seen != (delay + 5 + 61) / 8);
    }
    assert!(differences > 0);
}

#[test]
fn direction_of_the_timer_follows_ccr0_in_every_cycle() {
    // Up and down to 0 the direction is down; a CCR0 that comes later finds it so.
    let counter = result(4, |code| {
        code.two(Mov, Immediate(0x0234), Absolute(0x160)).two(Mov, Immediate(100), Absolute(0x172));
        code.two(Mov, Absolute(0x170), Register(4));
    });
    assert!(counter > 0xfff0, "{counter:#x}");
    // With a divider: CCR0 falls below the counter and rises again between two ticks.
    let counter = result(4, |code| {
        code.two(Mov, Immediate(1000), Absolute(0x172)).two(Mov, Immediate(0x02f4), Absolute(0x160));
        wait(code, 8 * 20 - 5);
        code.two(Mov, Immediate(1), Absolute(0x172)).two(Mov, Immediate(0x3e8), Absolute(0x172));
        wait(code, 8 * 10);
        code.two(Mov, Absolute(0x170), Register(4));
    });
    assert!((8..12).contains(&counter), "{counter}");
}

#[test]
fn capture_unit_does_not_compare() {
    let flag = |control: u16| {
        result(4, |code| {
            code.two(Mov, Immediate(20), Absolute(0x174)).two(Mov, Immediate(control), Absolute(0x164));
            code.two(Mov, Immediate(0x0224), Absolute(0x160));
            wait(code, 50);
            code.two(Mov, Absolute(0x164), Register(4));
        })
    };
    assert_eq!((flag(0) & 1, flag(0x100) & 1), (1, 0));
}

#[test]
fn divisor_of_a_line_is_taken_when_its_low_byte_is_written() {
    let read = |address: u16, value: u16| {
        result(4, |code| {
            code.two(Mov, Immediate(0x0102), Absolute(0x82)).two_bytes(Mov, Immediate(value), Absolute(address));
            code.two(Mov, Absolute(0x82), Register(4));
        })
    };
    assert_eq!(read(0x83, 7), 0x0102, "the high byte alone is no write");
    assert_eq!(read(0x82, 7), 0x0707, "a byte stands on both halves of the bus");
}

/// The bytes that a line sent.
fn sent(board: &mut Board, line: usize) -> Vec<u8> {
    core::iter::from_fn(|| board.take_byte(line)).map(|(.., byte)| byte).collect()
}

#[test]
fn line_on_smclk_is_as_slow_as_its_divider_makes_it() {
    let cycles = |control: u16| {
        let mut board = board(Generation::Legacy, |code| {
            code.two_bytes(Mov, Immediate(4), Absolute(0x58)).two(Mov, Immediate(9), Absolute(0x82));
            code.two_bytes(Mov, Immediate(control), Absolute(0x80));
            code.two_bytes(Mov, Immediate(b'x'.into()), Absolute(0x84));
        });
        board.run_until(2_000);
        let (start, end, _) = board.take_byte(0).unwrap();
        (end - start) / 10
    };
    assert_eq!((cycles(1), cycles(3)), (10, 40), "a bit");
}

#[test]
fn address_behind_the_registers_of_a_line_sends_nothing() {
    let mut board = board(Generation::Legacy, |code| {
        code.two(Mov, Immediate(15), Absolute(0x82)).two_bytes(Mov, Immediate(1), Absolute(0x80));
        code.two_bytes(Mov, Immediate(b'x'.into()), Absolute(0x86));
        code.two_bytes(Mov, Immediate(b'y'.into()), Absolute(0x84));
    });
    board.run_until(1_000);
    assert_eq!(sent(&mut board, 0), b"y");
}

#[test]
fn line_that_is_switched_off_drops_what_it_sends_and_receives() {
    let mut board = board(Generation::Legacy, |code| {
        code.two(Mov, Immediate(99), Absolute(0x82)).two_bytes(Mov, Immediate(1), Absolute(0x80));
        code.two_bytes(Mov, Immediate(b'a'.into()), Absolute(0x84));
        code.two_bytes(Mov, Immediate(b'b'.into()), Absolute(0x84));
        wait(code, 300);
        code.two_bytes(Mov, Immediate(0), Absolute(0x80)).two_bytes(Mov, Absolute(0x81), Register(4));
        code.two_bytes(Mov, Immediate(1), Absolute(0x80));
        code.two_bytes(Mov, Immediate(b'c'.into()), Absolute(0x84));
        wait(code, 1_200);
        code.two_bytes(Mov, Absolute(0x81), Register(5));
    });
    board.schedule_byte(30, b'r');
    board.run_until(4_000);
    assert_eq!(sent(&mut board, 0), b"c");
    assert_eq!(board.registers()[4], 0, "neither busy nor done");
    assert_eq!(board.registers()[5], 0xc0, "one byte done, none received");
}

#[test]
fn flags_of_a_line_that_rise_while_they_are_cleared_stay() {
    // A second byte arrives before, in, or after the cycle in which the flag of the first one is cleared.
    let status = |start: u64| {
        let mut board = board(Generation::Legacy, |code| {
            code.two(Mov, Immediate(9), Absolute(0x82)).two_bytes(Mov, Immediate(1), Absolute(0x80));
            wait(code, 300);
            code.two_bytes(Mov, Immediate(0x10), Absolute(0x81));
            wait(code, 100);
            code.two_bytes(Mov, Absolute(0x81), Register(4));
        });
        board.schedule_byte(40, b'1');
        board.schedule_byte(start, b'2');
        board.run_until(1_000);
        board.registers()[4] & 0x30
    };
    let mut seen: Vec<u16> = (200..300).map(status).collect();
    let once = seen.iter().filter(|status| **status == 0x30).count();
    seen.dedup();
    assert_eq!((seen, once), (vec![0x20, 0x30, 0x10], 1));
}

#[test]
fn bytes_for_a_busy_line_come_one_after_another() {
    let mut board = board(Generation::Legacy, |code| {
        code.two(Mov, Immediate(99), Absolute(0x82)).two_bytes(Mov, Immediate(0x11), Absolute(0x80));
        code.two(Mov, Immediate(0x300), Register(6)).two(Bis, Immediate(ENABLE_INTERRUPTS), Register(2));
    });
    let mut handler = Assembler::new(HANDLER);
    handler.two_bytes(Mov, Absolute(0x85), Indexed(0, 6)).two(Add, Immediate(1), Register(6));
    handler.two_bytes(Mov, Immediate(0x10), Absolute(0x81)).reti();
    board.load(HANDLER, &handler.bytes());
    for byte in *b"hello" {
        board.schedule_byte(100, byte);
    }
    board.run_until(10_000);
    let received: Vec<u8> = (0x300..0x305).map(|address| board.memory(address)).collect();
    assert_eq!(received, b"hello");
    let taken = interrupts(&mut board);
    assert!(taken.windows(2).all(|pair| pair[1].1 - pair[0].1 == 1_000), "{taken:?}");
}

#[test]
fn core_without_ids_left_only_violates() {
    let run = |reset_on_violation| {
        let mut code = Assembler::new(START);
        code.two(Mov, Immediate(0x5a80), Absolute(0x120)).two(Mov, Immediate(0x4000), Register(1));
        // Invalid, but the older core gives ids away for it.
        code.two(Mov, Immediate(0x7000), Register(12)).two(Mov, Immediate(0x7000), Register(13));
        let again = code.label();
        code.sancus(1).two(Add, Immediate(1), Register(5)).jump(Assembler::ALWAYS, again);
        let mut board = Board::new(Config { reset_on_violation, ..Config::default() });
        board.load(START, &code.bytes());
        board.load(0xfffe, &START.to_le_bytes());
        board.record(Kinds { control: true, ..Kinds::default() });
        board.power_up();
        // Seven cycles a round.
        board.run_until(7 * 0xfff0 + 1_000);
        board
    };
    let mut board = run(false);
    assert_eq!((board.module_ids()[2], board.registers()[5]), (0xfff0, 0xffee), "the last one ends it");
    let taken = interrupts(&mut board);
    assert!(taken.len() > 10 && taken.iter().all(|(number, _)| *number == 13));
    let mut board = run(true);
    assert!(board.take_events().iter().any(|event| matches!(event, Event::Reset { .. })));
    assert!(board.module_ids()[2] < 0xfff0, "a reset begins with 1 again");
}
