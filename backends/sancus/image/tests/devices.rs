//! What whoever owns the firmware may try on devices that belong to a driver.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::attacker::{Attacker, CODE, End, Entry, INPUT, program_at};
use rig::image;
use std::sync::OnceLock;
use veritee_machine::Profile::{self, Bare, Veritee};
use veritee_machine::{Event, Kinds};
use veritee_sancus_image::{BoardImage, BuiltInModule};

fn lights() -> &'static BoardImage {
    static IMAGE: OnceLock<BoardImage> = OnceLock::new();
    IMAGE.get_or_init(|| image(&["led", "button"]))
}

fn led() -> &'static BuiltInModule {
    &lights().drivers[0]
}

fn button() -> &'static BuiltInModule {
    &lights().drivers[1]
}

fn board(profile: Profile) -> Attacker {
    let mut attacker = Attacker::on(profile, lights());
    attacker.board.record(Kinds { outputs: true, ..Kinds::default() });
    attacker
}

/// What has been on the pins of port 1 since the last look.
fn lit(attacker: &mut Attacker) -> Vec<u8> {
    let value = |event| if let Event::Port { value, .. } = event { Some(value) } else { None };
    attacker.board.take_events().into_iter().filter_map(value).filter(|value| *value != 0).collect()
}

#[test]
fn a_write_to_a_drivers_device_moves_nothing() {
    for code in ["mov.b #0xff, &0x21", "mov #0xffff, &0x20", "bis.b #1, &0x21", "mov #0x21, r4\n inc.b 0(r4)"] {
        let mut attacker = board(Veritee);
        assert_eq!(attacker.run(code), End::Reset);
        assert!(lit(&mut attacker).is_empty(), "{code}");
        attacker.boot();
        assert!(lit(&mut attacker).is_empty(), "{code}");
    }
    let mut bare = board(Bare);
    assert_eq!(bare.run("mov.b #0xff, &0x21"), End::Violation);
    assert_eq!(lit(&mut bare), [0xff], "a bare part lets the write through");
}

#[test]
fn a_read_of_a_drivers_device_tells_nothing() {
    for profile in [Veritee, Bare] {
        let mut attacker = board(profile);
        attacker.board.schedule_pins(2, attacker.board.cycle(), 0xff);
        let end = attacker.run("nop\n nop\n nop\n mov.b &0x28, r4");
        assert_eq!(end, if profile == Veritee { End::Reset } else { End::Violation });
        assert_eq!(attacker.board.registers()[4], 0);
    }
}

#[test]
fn no_second_module_gets_a_device() {
    for (first, last) in [(0x20, 0x28), (0x21, 0x22), (0x1e, 0x22), (0x26, 0x2a), (0x00, 0x200), (0x2e, 0x30)] {
        for profile in [Veritee, Bare] {
            let mut attacker = board(profile);
            assert_eq!(attacker.run(&format!("ENABLE 7, 0xd000, 0xd010, {first:#x}, {last:#x}")), End::Done);
            assert_eq!(attacker.board.registers()[15] == 0, profile == Veritee, "{first:#x} to {last:#x}");
        }
    }
}

#[test]
fn the_owner_of_a_device_serves_nobody_but_its_driver() {
    for profile in [Veritee, Bare] {
        let stopped = if profile == Veritee { End::Reset } else { End::Violation };
        // Command 1: all pins on.
        let device = led().device.text_address;
        let mut attacker = board(profile);
        assert_eq!(attacker.run(&format!("mov #0xff01, r8\n mov #end, r7\n br #{device:#x}")), stopped);
        assert!(lit(&mut attacker).is_empty());
        // From a module of the attacker: dint; br #device.
        let mut attacker = board(profile);
        let module: Vec<u8> = [0xc232u16, 0x4030, device].iter().flat_map(|word| word.to_le_bytes()).collect();
        attacker.board.load(0xd000, &module);
        attacker.run("ENABLE 7, 0xd000, 0xd006, 0x3000, 0x3010");
        assert_ne!(attacker.board.registers()[15], 0);
        assert_eq!(attacker.run("mov #0xff01, r8\n mov #end, r7\n br #0xd000"), stopped);
        assert!(lit(&mut attacker).is_empty());
        // Into its middle, behind the check.
        for target in (device + 2..led().device.text_end()).step_by(2) {
            let mut attacker = board(profile);
            let end = attacker.run(&format!("mov #0xff, r8\n mov #1, r10\n mov #end, r7\n br #{target:#x}"));
            assert_eq!(end, stopped);
            if profile == Veritee {
                assert!(lit(&mut attacker).is_empty(), "from {target:#x}");
            }
        }
    }
}

#[test]
fn an_instruction_before_the_owner_of_a_device_names_no_caller() {
    // `mov r9, r15`, in the place of the instruction that says who calls.
    const NAMES: u16 = 0x490f;
    const WORD: u16 = CODE + 0x100;
    let device = led().device.text_address;
    let driver = led().id;
    for profile in [Veritee, Bare] {
        let mut attacker = board(profile);
        let code = program_at(device - 4, &format!("cmp r4, &{WORD:#x}"));
        attacker.board.load(device - 4, &code[..4]);
        attacker.board.load(WORD, &NAMES.to_le_bytes());
        let end = attacker.run(&format!("mov #{driver}, r9\n mov #0xff01, r8\n mov #end, r7\n br #{:#x}", device - 4));
        assert_eq!(lit(&mut attacker).is_empty(), profile == Veritee, "{end:?}");
    }
}

#[test]
fn a_driver_sends_no_return_to_its_device_for_others() {
    // The driver leaves to an address of the attacker's choice, with r6 = 0xffff and everything else zero.
    let mut attacker = board(Veritee);
    let back = Some(led().device.text_address);
    let (end, _) = attacker.branch(&Entry { op: 99, back, ..Entry::new(led().driver.text_address) });
    // It passes for its driver, and asks for nothing: command 0 only reads.
    assert!(matches!(end, End::Lost | End::Reset | End::Done), "{end:?}");
    assert!(lit(&mut attacker).is_empty());
}

#[test]
fn texts_of_drivers_cannot_be_written_and_are_the_first_after_every_reset() {
    let mut attacker = board(Veritee);
    let expected: Vec<_> = attacker.board.modules().iter().flatten().map(|slot| (slot.id, slot.text)).collect();
    assert_eq!(expected.len(), 5);
    for built in &lights().drivers {
        for text in [&built.driver, &built.device] {
            for address in [text.text_address, text.text_end() - 2] {
                let mut attacker = attacker.clone();
                let before = attacker.word(address);
                assert_eq!(attacker.run(&format!("mov #0x4303, &{address:#x}")), End::Reset);
                assert_eq!(attacker.word(address), before);
                attacker.boot();
                let now: Vec<_> = attacker.board.modules().iter().flatten().map(|slot| (slot.id, slot.text)).collect();
                assert_eq!(now, expected);
            }
        }
        // Nor does a driver leave: op 0x102 is unknown to it.
        let mut attacker = attacker.clone();
        attacker.board.load(INPUT, &[0; 4]);
        attacker.branch(&Entry { op: 0x102, ..Entry::new(built.driver.text_address) });
        assert_eq!(attacker.board.modules().iter().flatten().count(), 5);
    }
    attacker.board.reset();
    attacker.boot();
    assert_eq!(attacker.board.modules().iter().flatten().count(), 5);
}

/// A press of the button interrupts a sleeping program, whose stack pointer is this, into the driver.
fn interrupt(attacker: &mut Attacker, stack: u16) -> End {
    let registers = [0x4444u16, 0x5555, 0x6666, 0x7777, 0x8888, 0x9999, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd, 0xeeee, 0xf0f0];
    let values: String =
        registers.iter().zip(4..).map(|(value, register)| format!("mov #{value:#x}, r{register}\n")).collect();
    attacker.board.load(0xffe6, &button().driver.text_address.to_le_bytes());
    attacker.start(&format!("mov #{stack:#x}, r1\n{values} bis #0x18, sr\n nop"));
    attacker.board.schedule_pins(2, attacker.board.cycle() + 100, 1);
    attacker.finish()
}

/// A board whose button driver listens: it has been polled once.
fn listening(profile: Profile) -> Attacker {
    let mut attacker = board(profile);
    let (end, _) = attacker.branch(&Entry { op: 0x101, ..Entry::new(button().driver.text_address) });
    assert_eq!(end, End::Done);
    attacker
}

#[test]
fn an_interrupt_into_a_driver_gives_every_register_back_and_wakes_up() {
    for profile in [Veritee, Bare] {
        let mut attacker = listening(profile);
        assert_eq!(interrupt(&mut attacker, rig::attacker::STACK), End::Done);
        let registers = attacker.board.registers();
        let expected: [u16; 12] =
            [0x4444, 0x5555, 0x6666, 0x7777, 0x8888, 0x9999, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd, 0xeeee, 0xf0f0];
        assert_eq!(registers[4..], expected);
        assert_eq!(registers[1], rig::attacker::STACK);
        assert_eq!(registers[2] & 0x18, 0, "awake, and interrupts are masked");
    }
}

#[test]
fn an_interrupt_with_a_stack_that_is_no_memory_stops_the_driver() {
    let secret = button().driver.secret_address;
    for stack in [0x1cc, 0x1a4, 0x136, 0x200, 0x202, 4, 2, 0, secret + 2, secret + 100, button().driver.text_end()] {
        let mut attacker = listening(Veritee);
        let end = interrupt(&mut attacker, stack);
        assert_eq!(end, End::Reset, "stack at {stack:#x}");
    }
}

#[test]
fn the_core_is_of_the_generation_that_the_file_names() {
    let newer = module_path!().contains("_master");
    assert_eq!(board(Veritee).board.config().generation == veritee_machine::Generation::Master, newer);
}
