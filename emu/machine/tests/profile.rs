//! Each rule of the board profile, against firmware that breaks it; and the board's devices.

use veritee_machine::{Board, Breach, Cause, Config, Event, Generation, Kinds, Profile, Stop};
use veritee_msp430::alu::Operation::{Add, Cmp, Mov};
use veritee_msp430::assembler::Assembler;
use veritee_msp430::assembler::Operand::{Absolute, Immediate, Register};

const START: u16 = 0x5c00;
const MODULE: u16 = 0x6000;

/// Code that stops the watchdog and sets up a stack, then what `body` appends, then an endless loop.
fn firmware(body: impl FnOnce(&mut Assembler)) -> Assembler {
    let mut code = Assembler::new(START);
    code.two(Mov, Immediate(0x5a80), Absolute(0x120)).two(Mov, Immediate(0x4000), Register(1));
    body(&mut code);
    let end = code.label();
    code.jump(Assembler::ALWAYS, end);
    code
}

fn enable(code: &mut Assembler, text: (u16, u16), secret: (u16, u16)) {
    for (register, value) in [(10, 0), (11, 0x1234), (12, text.0), (13, text.1), (14, secret.0), (15, secret.1)] {
        code.two(Mov, Immediate(value), Register(register));
    }
    code.sancus(1);
}

fn board(profile: Profile, code: &Assembler) -> Board {
    let mut board = Board::new(Config { profile, dead_man_safe: 0xa5, ..Config::default() });
    board.load(START, &code.bytes());
    board.load(0xfffe, &START.to_le_bytes());
    board.record(Kinds { control: true, outputs: true, ..Kinds::default() });
    board.power_up();
    board
}

/// Runs firmware until its endless loop or a reset, at most 200,000 cycles.
fn ran(profile: Profile, code: &Assembler) -> (Board, Vec<Event>) {
    let mut board = board(profile, code);
    let mut events = Vec::new();
    while board.cycle() < 200_000 && !events.iter().any(|event| matches!(event, Event::Reset { .. })) {
        board.run_until(board.cycle() + 1);
        events.extend(board.take_events());
    }
    (board, events)
}

fn reset_by_violation(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Reset { cause: Cause::Violation, .. }))
}

#[test]
fn writes_to_stage_zero_and_the_reset_vector_are_dropped_and_reset() {
    for address in [0xfc00, 0xfd10, 0xffde, 0xfffe] {
        let code = firmware(|code| {
            code.two(Mov, Immediate(0xdead), Absolute(address));
        });
        let (board, events) = ran(Profile::Veritee, &code);
        assert!(reset_by_violation(&events), "{address:04x}");
        assert_ne!(board.memory(address), 0xad);
        let broken = events.iter().find_map(|event| match event {
            Event::Violation(violation) => Some(violation.what),
            _ => None,
        });
        assert_eq!(broken, Some(Breach::Protected(address)));
        let (board, events) = ran(Profile::Bare, &code);
        assert!(!reset_by_violation(&events));
        assert_eq!(board.memory(address), 0xad, "a bare board lets it through");
    }
}

#[test]
fn a_comparison_with_program_memory_changes_no_instruction() {
    const TABLE: u16 = 0x7000;
    for (profile, expected) in [(Profile::Veritee, 2), (Profile::Bare, 1)] {
        let mut code = firmware(|code| {
            // One word and one cycle, then the word that the bare part takes from the table.
            code.two(Cmp, Register(5), Absolute(TABLE)).two(Mov, Register(6), Register(6));
            code.two(Mov, Immediate(2), Register(4));
        });
        let end = code.label();
        code.jump(Assembler::ALWAYS, end);
        let mut board = board(profile, &code);
        let inserted = Assembler::new(TABLE).two(Mov, Immediate(1), Register(4)).bytes();
        board.load(TABLE, &inserted);
        board.run_until(10_000);
        assert_eq!(board.registers()[4], expected, "{profile:?}");
    }
}

#[test]
fn interrupt_vectors_stay_writable() {
    let code = firmware(|code| {
        code.two(Mov, Immediate(0x1234), Absolute(0xffe4));
    });
    let (board, events) = ran(Profile::Veritee, &code);
    assert!(!reset_by_violation(&events));
    assert_eq!(board.memory(0xffe4), 0x34);
}

#[test]
fn forbidden_write_never_reaches_a_peripheral() {
    let code = firmware(|code| {
        enable(code, (MODULE, MODULE + 4), (0x20, 0x28));
        code.two(Mov, Immediate(0xff), Absolute(0x20));
    });
    let p1 = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Port { port: 1, .. }));
    let write_out = firmware(|code| {
        enable(code, (MODULE, MODULE + 4), (0x20, 0x28));
        code.two_bytes(Mov, Immediate(0xff), Absolute(0x21));
    });
    for code in [code, write_out] {
        let (_, events) = ran(Profile::Veritee, &code);
        assert!(reset_by_violation(&events));
        assert!(!p1(&events));
    }
    let (_, events) = ran(
        Profile::Bare,
        &firmware(|code| {
            enable(code, (MODULE, MODULE + 4), (0x20, 0x28));
            code.two_bytes(Mov, Immediate(0xff), Absolute(0x21));
        }),
    );
    assert!(p1(&events), "a bare board lets it through");
}

#[test]
fn violation_resets_in_the_very_next_cycle_and_forgets_modules() {
    let code = firmware(|code| {
        enable(code, (MODULE, MODULE + 4), (0x1000, 0x1010));
        code.two(Mov, Absolute(0x1000), Register(5));
        code.two(Mov, Immediate(0xbad), Absolute(0x0300));
    });
    let (board, events) = ran(Profile::Veritee, &code);
    let violation = events.iter().find_map(|event| match event {
        Event::Violation(violation) => Some(violation.cycle),
        _ => None,
    });
    let reset = events.iter().find_map(|event| match event {
        Event::Reset { cycle, .. } => Some(*cycle),
        _ => None,
    });
    assert_eq!(reset, violation.map(|cycle| cycle + 1));
    assert_eq!(board.memory(0x0300), 0, "the next instruction ran");
    assert!(board.modules().iter().all(Option::is_none));
    assert!(!events.iter().any(|event| matches!(event, Event::Interrupt { .. })));
}

#[test]
fn enable_refuses_everything_that_is_not_a_plain_new_module() {
    type Range = (u16, u16);
    let refused: &[(Range, Range)] = &[
        ((MODULE, MODULE), (0x1000, 0x1010)),
        ((MODULE + 1, MODULE + 5), (0x1000, 0x1010)),
        ((MODULE, MODULE + 5), (0x1000, 0x1010)),
        ((0x0400, 0x0410), (0x1000, 0x1010)),
        ((MODULE, MODULE + 4), (0x1001, 0x1010)),
        ((MODULE, MODULE + 4), (0x1010, 0x1000)),
        ((MODULE, MODULE + 4), (0x41f0, 0x4210)),
        ((MODULE, MODULE + 4), (0x01f0, 0x0210)),
        ((MODULE, MODULE + 4), (MODULE + 0x100, MODULE + 0x110)),
        ((MODULE, MODULE + 4), (0x2000, 0x2010)),
        ((MODULE, MODULE + 4), (0x1ff8, 0x2002)),
        ((0x7000, 0x7004), (0x1000, 0x1010)),
        ((0x6fff, 0x7001), (0x1000, 0x1010)),
        ((0x6ffe, 0x7002), (0x1000, 0x1010)),
    ];
    for (text, secret) in refused {
        let code = firmware(|code| {
            enable(code, (0x7000, 0x7008), (0x2000, 0x2010));
            enable(code, *text, *secret);
            code.two(Mov, Register(15), Absolute(0x0300));
        });
        let (board, events) = ran(Profile::Veritee, &code);
        assert!(!reset_by_violation(&events), "{text:04x?} {secret:04x?}");
        assert_eq!(board.modules().iter().flatten().count(), 1, "{text:04x?} {secret:04x?}");
        assert_eq!(board.module_ids()[2], 2, "an id was consumed");
        assert_eq!(board.memory(0x0300), 0);
    }
}

#[test]
fn encrypted_enable_is_refused() {
    let code = firmware(|code| {
        enable(code, (MODULE, MODULE + 4), (0x1000, 0x1010));
        for (register, value) in [(9, 0x400), (10, 1), (12, 0x7000), (13, 0x7004), (14, 0x1100), (15, 0x1110)] {
            code.two(Mov, Immediate(value), Register(register));
        }
        code.sancus(1);
    });
    let (board, _) = ran(Profile::Veritee, &code);
    assert_eq!(board.modules().iter().flatten().count(), 1);
    assert_eq!(board.registers()[15], 0);
}

#[test]
fn enable_does_not_touch_the_key_of_a_running_module() {
    let keys = [true, false].map(|again| {
        let code = firmware(|code| {
            enable(code, (MODULE, MODULE + 8), (0x1000, 0x1010));
            if again {
                code.two(Mov, Immediate(0x4321), Register(11));
                enable(code, (MODULE, MODULE + 8), (0x1010, 0x1000));
            }
        });
        ran(Profile::Veritee, &code).0.modules()[0].as_ref().map(|slot| slot.key)
    });
    assert!(keys[0].is_some());
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn secret_section_in_ram_is_zeroed_one_cycle_a_word() {
    let cost = |profile| {
        let code = firmware(|code| {
            code.two(Mov, Immediate(0xdead), Absolute(0x1000)).two(Mov, Immediate(0xbeef), Absolute(0x100e));
            enable(code, (MODULE, MODULE + 4), (0x1000, 0x1010));
        });
        let (board, events) = ran(profile, &code);
        let cycles = events.iter().find_map(|event| match event {
            Event::Command { cycle, number: 1, end, .. } => Some(end - cycle),
            _ => None,
        });
        (board.memory(0x1000), board.memory(0x100e), cycles.unwrap())
    };
    let bare = cost(Profile::Bare);
    let profile = cost(Profile::Veritee);
    assert_eq!((bare.0, bare.1), (0xad, 0xef));
    assert_eq!((profile.0, profile.1), (0, 0));
    assert_eq!(profile.2, bare.2 + 8);
}

#[test]
fn peripherals_as_secret_section_are_not_zeroed() {
    let code = firmware(|code| {
        code.two_bytes(Mov, Immediate(0x3c), Absolute(0x21));
        enable(code, (MODULE, MODULE + 4), (0x20, 0x28));
    });
    let (board, _) = ran(Profile::Veritee, &code);
    assert_eq!(board.port_outputs()[0], 0x3c);
}

#[test]
fn comparison_of_tags_takes_the_same_time_wherever_they_differ() {
    let cost = |profile, place: u16| {
        let code = firmware(|code| {
            enable(code, (MODULE, MODULE + 4), (0x1000, 0x1010));
            code.two(Mov, Immediate(MODULE), Register(14)).two(Mov, Immediate(0x0400), Register(15));
            code.sancus(2);
        });
        // The right tag, but for one word.
        let mut tag = veritee_sancus_core::mac(
            veritee_machine::Security::Bits128,
            &[0; 16],
            &[0, 0, MODULE, MODULE + 4, 0x1000, 0x1010],
        );
        tag[usize::from(place)] ^= 1;
        let mut board = board(profile, &code);
        board.load(0x0400, &tag);
        board.run_until(100_000);
        let events = board.take_events();
        let command = events.iter().find_map(|event| match event {
            Event::Command { cycle, number: 2, end, result } => Some((end - cycle, *result)),
            _ => None,
        });
        command.unwrap()
    };
    assert_eq!(cost(Profile::Veritee, 0), cost(Profile::Veritee, 14));
    assert_eq!(cost(Profile::Veritee, 0).1, 0);
    assert!(cost(Profile::Bare, 0).0 < cost(Profile::Bare, 14).0, "a bare board tells");
}

#[test]
fn freshness_device_never_repeats_a_value_and_forgets_it_at_reset() {
    let code = firmware(|code| {
        for at in [0x300, 0x302] {
            code.two(Mov, Immediate(0), Absolute(0x1a0)).two(Mov, Absolute(0x1b0), Absolute(at));
        }
        code.two(Mov, Absolute(0x1a0), Absolute(0x304)).two(Mov, Absolute(0x1be), Absolute(0x306));
    });
    let (mut board, _) = ran(Profile::Veritee, &code);
    assert_eq!([0x300, 0x302, 0x304, 0x306].map(|at| board.memory(at)), [1, 2, 2, 0]);
    board.reset();
    board.run_until(board.cycle() + 1000);
    assert_eq!([0x300, 0x302].map(|at| board.memory(at)), [3, 4]);
    let (board, _) = ran(Profile::Bare, &code);
    assert_eq!([0x300, 0x304].map(|at| board.memory(at)), [0, 0], "a bare board has no such device");
}

#[test]
fn dead_man_pins_fall_in_the_very_cycle() {
    let code = firmware(|code| {
        code.two(Mov, Immediate(0x11), Absolute(0x1c0));
        code.two(Mov, Absolute(0x1c6), Absolute(0x300));
        code.two(Mov, Immediate(3), Absolute(0x1c4)).two(Mov, Immediate(0x42), Absolute(0x1c0));
        code.two(Mov, Absolute(0x1c6), Absolute(0x302)).two(Mov, Absolute(0x1c2), Absolute(0x304));
    });
    let mut board = board(Profile::Veritee, &code);
    assert_eq!(board.dead_man_pins(), Some(0xa5));
    board.run_until(100);
    assert_eq!(board.dead_man_pins(), Some(0x42));
    assert_eq!([0x300, 0x302, 0x304].map(|at| board.memory(at)), [1, 0, 0xa5]);
    board.run_until(100_000);
    let changes: Vec<_> = board
        .take_events()
        .iter()
        .filter_map(|event| match event {
            Event::DeadMan { cycle, value } => Some((*cycle, *value)),
            _ => None,
        })
        .collect();
    let [(set, 0x42), (fell, 0xa5)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(fell - set, 3 * 8192);
}

#[test]
fn dead_man_pins_are_safe_after_a_reset_and_without_a_time() {
    let code = firmware(|code| {
        code.two(Mov, Immediate(0x42), Absolute(0x1c0));
    });
    let (mut board, events) = ran(Profile::Veritee, &code);
    assert!(!events.iter().any(|event| matches!(event, Event::DeadMan { .. })));
    board.reset();
    assert_eq!(board.dead_man_pins(), Some(0xa5));
}

#[test]
fn analogue_inputs_are_read_and_not_written() {
    let code = firmware(|code| {
        code.two(Mov, Immediate(7), Absolute(0x1c8));
        code.two(Mov, Absolute(0x1c8), Absolute(0x300)).two(Mov, Absolute(0x1ca), Absolute(0x302));
    });
    let mut board = board(Profile::Veritee, &code);
    assert!(board.set_analogue(0, 512) && board.set_analogue(1, 60_000));
    board.run_until(200);
    let word = |at| u16::from_le_bytes([board.memory(at), board.memory(at + 1)]);
    assert_eq!([word(0x300), word(0x302)], [512, 4095]);
}

#[test]
fn both_generations_have_the_rules() {
    for generation in [Generation::Legacy, Generation::Master] {
        let code = firmware(|code| {
            code.two(Add, Immediate(1), Absolute(0xfc00));
        });
        let mut board = Board::new(Config { generation, profile: Profile::Veritee, ..Config::default() });
        board.load(START, &code.bytes());
        board.load(0xfffe, &START.to_le_bytes());
        board.record(Kinds { control: true, ..Kinds::default() });
        board.power_up();
        assert_eq!(board.run_until(200), Stop::Limit);
        assert!(reset_by_violation(&board.take_events()), "{generation:?}");
    }
}

#[test]
fn node_key_depends_on_profile_core_and_freshness() {
    use veritee_machine::FreshnessKind::{Counter, Random};
    let secret = [7; 16];
    let bare = Config::default();
    let profile = Config { profile: Profile::Veritee, ..Config::default() };
    let master = Config { generation: Generation::Master, ..bare.clone() };
    let keys = [
        bare.node_key_of(&secret, Random),
        profile.node_key_of(&secret, Random),
        profile.node_key_of(&secret, Counter),
        master.node_key_of(&secret, Random),
    ];
    for (number, key) in keys.iter().enumerate() {
        assert!(!keys[..number].contains(key));
    }
    assert_eq!(bare.node_key_of(&secret, Random), bare.node_key_of(&secret, Counter), "a bare board has no source");
}
