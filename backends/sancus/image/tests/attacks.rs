//! What whoever owns the firmware may try: under the profile nothing leaks, nothing is accepted, nothing moves; on the bare
//! part the same tests show what succeeds (docs/board-profile.md).
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::attacker::{Attacker, CODE, End, Entry, INPUT, OUTPUT, enable, program_at};
use rig::{module_key, probe_at};
use std::sync::OnceLock;
use veritee_machine::Profile::{self, Bare, Veritee};
use veritee_sancus_image::Linked;

/// Operations of the probe.
const ECHO: u16 = 1;
const DERIVE: u16 = 2;
const TELL: u16 = 3;
const FRESH: u16 = 4;
const HALT: u16 = 5;
const COUNT: u16 = 6;
const SEAL: u16 = 7;
const DEEP: u16 = 8;
const DISABLE: u16 = 0x102;

const VENDOR: u16 = 7;
const LABEL: &[u8] = b"secret";

fn module() -> &'static Linked {
    static MODULE: OnceLock<Linked> = OnceLock::new();
    MODULE.get_or_init(|| probe_at(0x8000, 0x2000))
}

/// The same module elsewhere: the attacker's own.
fn other() -> &'static Linked {
    static MODULE: OnceLock<Linked> = OnceLock::new();
    MODULE.get_or_init(|| probe_at(0x9000, 0x2800))
}

/// What the module derived in [`victim`].
fn secret() -> [u8; 16] {
    let config = Attacker::new(Bare).board.config().clone();
    veritee_spongent::Key::new(&module_key(&config.node_key, VENDOR, module())).mac(LABEL)
}

/// A module that has a secret, and has counted to one.
fn victim(profile: Profile) -> Attacker {
    let mut attacker = Attacker::new(profile);
    assert_eq!(attacker.enable(module(), VENDOR), 2, "id 1 is the freshness module's");
    assert_eq!(attacker.enter(module(), DERIVE, LABEL), b"ok");
    assert_eq!(attacker.enter(module(), COUNT, b"--"), [1, 0]);
    assert!(!attacker.knows(&secret()));
    attacker
}

/// The module is as it was: same secret, one higher count.
fn assert_untouched(attacker: &mut Attacker) {
    assert!(!attacker.knows(&secret()));
    assert_eq!(attacker.enter(module(), COUNT, b"--"), [2, 0]);
    assert_eq!(attacker.enter(module(), TELL, b"--"), secret());
}

/// The board was reset and nothing of the module is left.
fn assert_gone(attacker: &Attacker, end: End) {
    assert_eq!(end, End::Reset);
    assert!(attacker.board.modules().iter().flatten().next().is_none());
    let mut after = attacker.clone();
    after.boot();
    assert!(!after.knows(&secret()));
}

/// A violation: a reset under the profile, an interrupt on a bare part; the secret is nowhere.
fn assert_stopped(attacker: &Attacker, profile: Profile, end: End) {
    match profile {
        Veritee => assert_gone(attacker, end),
        Bare => {
            assert_eq!(end, End::Violation);
            assert!(!attacker.knows(&secret()));
        }
    }
}

#[test]
fn a_module_has_the_key_of_its_identity() {
    let mut attacker = victim(Veritee);
    assert_eq!(attacker.enter(module(), TELL, b"--"), secret());
}

#[test]
fn returns_with_clean_registers_and_the_stack_of_the_caller() {
    let mut attacker = victim(Veritee);
    attacker.prepare(&Entry { op: SEAL, ..Entry::new(module().text_address) });
    for register in [4, 5, 8, 9] {
        attacker.board.set_register(register, 0x1234);
    }
    assert_eq!(attacker.finish(), End::Done);
    let registers = attacker.board.registers();
    let mut expected = [0; 16];
    expected[0] = registers[0];
    expected[1] = rig::attacker::STACK;
    expected[6] = 0xffff;
    expected[7] = registers[0];
    expected[12] = 19;
    assert_eq!(registers, expected);
}

#[test]
fn reads_no_secret_and_no_text() {
    for profile in [Veritee, Bare] {
        for address in
            [module().secret_address, module().secret_end() - 2, module().text_address, module().text_end() - 2]
        {
            let mut attacker = victim(profile);
            let end = attacker.run(&format!("mov &{address:#x}, r4\n mov.b &{:#x}, r5", address + 1));
            assert_eq!(attacker.board.registers()[4], 0);
            match profile {
                Veritee => assert_gone(&attacker, end),
                Bare => {
                    assert_eq!(end, End::Violation);
                    assert_untouched(&mut attacker);
                }
            }
        }
    }
}

#[test]
fn writes_no_secret_and_no_text() {
    for profile in [Veritee, Bare] {
        for address in (module().secret_address..module().secret_end()).step_by(54).chain([module().text_address + 8]) {
            let mut attacker = victim(profile);
            let before = attacker.word(address);
            let end = attacker.run(&format!("mov #0x5a5a, &{address:#x}"));
            assert_eq!(attacker.word(address), before);
            match profile {
                Veritee => assert_gone(&attacker, end),
                Bare => {
                    assert_eq!(end, End::Violation);
                    assert_untouched(&mut attacker);
                }
            }
        }
    }
}

#[test]
fn enters_nowhere_but_at_the_entry() {
    let disable = module().symbol("disable").unwrap() + 4;
    for profile in [Veritee, Bare] {
        let victim = victim(profile);
        for target in (module().text_address + 2..module().text_end()).step_by(2) {
            let mut attacker = victim.clone();
            // Registers with which the instructions of the hardware's cryptography write nowhere else.
            let (end, _) = attacker.branch(&Entry { op: INPUT, input_bytes: OUTPUT, ..Entry::new(target) });
            if profile == Bare && target == disable {
                // The forbidden `disable` frees the slot, but its writes are dropped: the memory stays, without protection.
                assert_eq!(end, End::Violation);
                assert!(attacker.knows(&secret()));
                continue;
            }
            assert_stopped(&attacker, profile, end);
        }
    }
}

/// Instructions of the attacker's that fall through into a module, with the word that the bare part then takes for the second one
/// of the module: the first has one word and takes one cycle.
fn falls_into_the_module(profile: Profile, disturbing: &str, word: u16) -> Attacker {
    const WORD: u16 = CODE + 0x100;
    let mut attacker = victim(profile);
    let at = module().text_address - 4;
    let code = program_at(at, &disturbing.replace("WORD", &format!("&{WORD:#x}")));
    attacker.prepare(&Entry { op: COUNT, ..Entry::new(at) });
    attacker.board.load(INPUT, b"--");
    attacker.board.load(at, &code[..4]);
    attacker.board.load(WORD, &word.to_le_bytes());
    attacker
}

#[test]
fn an_instruction_before_a_module_puts_none_into_it() {
    // `mov @r5, r4`; `bis @r5, r4`. What changes the word leaves the instruction there.
    const STEALS: u16 = 0x4524;
    const TAKES: u16 = 0xd524;
    let before = [
        ("cmp r4, WORD", STEALS),
        ("bit r4, WORD", STEALS),
        ("swpb WORD", STEALS.swap_bytes()),
        ("rrc WORD", STEALS << 1),
        ("rra WORD", TAKES << 1),
    ];
    let behind = module().text_address + 4;
    for (disturbing, word) in before {
        for profile in [Veritee, Bare] {
            let mut attacker = falls_into_the_module(profile, disturbing, word);
            let held = (module().secret_address..module().secret_end()).step_by(2);
            let place = held.into_iter().find(|place| attacker.word(*place) > 0xff).unwrap();
            let wanted = attacker.word(place);
            attacker.board.set_register(5, place);
            if profile == Bare {
                // The instruction has run with the rights of the module.
                assert_eq!(attacker.finish_or(behind), None, "{disturbing}");
                assert_eq!(attacker.board.registers()[4], wanted, "{disturbing}");
                continue;
            }
            assert_eq!(attacker.finish(), End::Done, "{disturbing}");
            assert_ne!(attacker.board.registers()[4], wanted);
            assert_eq!(attacker.word(OUTPUT), 2, "{disturbing}: it was entered as usual");
            assert!(!attacker.knows(&secret()));
            assert_eq!(attacker.enter(module(), TELL, b"--"), secret());
        }
    }
}

#[test]
fn a_jump_to_the_instruction_of_a_module_that_seals_shows_no_secret() {
    let label = "mov #0x6573, &0x3800\n mov #0x7263, &0x3802\n mov #0x7465, &0x3804";
    let seals = module().symbol("vt_hw_wrap").unwrap();
    let seals = (seals..).step_by(2).find(|address| {
        let offset = usize::from(address - module().text_address);
        module().text[offset..offset + 2] == [0x84, 0x13]
    });
    let seals = seals.unwrap();
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        let end = attacker.run(&format!(
            "{label}\n clr r9\n mov #0x3800, r10\n mov #0x3806, r11\n clr r12\n clr r13\n mov #0x3a00, r14
            mov #0x3a00, r15\n br #{seals:#x}"
        ));
        assert_stopped(&attacker, profile, end);
    }
}

/// Entries whose pointers a module must not follow.
fn bad_pointers() -> Vec<Entry> {
    let (text, secret) = (module().text_address, module().secret_address);
    let (text_end, secret_end) = (module().text_end(), module().secret_end());
    let entry = Entry { op: ECHO, input_bytes: 64, ..Entry::new(text) };
    let mut entries = Vec::new();
    for (start, end) in [(text, text_end), (secret, secret_end)] {
        for place in [start, start + 2, start - 62, end - 2, end - 64] {
            entries.push(Entry { input: place, ..entry });
            entries.push(Entry { output: place, ..entry });
        }
        // All around the section.
        entries.push(Entry { input: start - 32, input_bytes: end - start + 64, ..entry });
        entries.push(Entry { output: start - 32, room: end - start + 64, ..entry });
    }
    for place in [0, 0x20, 0x1c0, 0x1fe, 0xffc2, 0xfffe] {
        entries.push(Entry { input: place, ..entry });
        entries.push(Entry { output: place, ..entry });
    }
    // Lengths that wrap round to a harmless end.
    entries.push(Entry { input_bytes: 0xffff, ..entry });
    entries.push(Entry { room: 0xffff, ..entry });
    entries.push(Entry { input: INPUT + 1, ..entry });
    entries.push(Entry { output: OUTPUT + 1, ..entry });
    // Output over input.
    entries.push(Entry { output: INPUT, ..entry });
    entries.push(Entry { output: INPUT + 62, ..entry });
    entries.push(Entry { output: INPUT - 62, ..entry });
    entries
}

#[test]
fn follows_no_pointer_into_itself_or_into_a_device() {
    for profile in [Veritee, Bare] {
        let victim = victim(profile);
        for entry in bad_pointers() {
            let mut attacker = victim.clone();
            assert_eq!(attacker.branch(&entry), (End::Done, 0), "{entry:x?}");
            assert_untouched(&mut attacker);
        }
    }
}

#[test]
fn takes_memory_beside_itself() {
    let victim = victim(Veritee);
    let (secret, secret_end) = (module().secret_address, module().secret_end());
    for (input, output) in [(secret - 64, OUTPUT), (INPUT, secret - 64), (secret_end, OUTPUT), (INPUT, secret_end)] {
        let mut attacker = victim.clone();
        let entry = Entry { op: ECHO, input, output, input_bytes: 64, ..Entry::new(module().text_address) };
        assert_eq!(attacker.branch(&entry), (End::Done, 64));
    }
}

#[test]
fn pointers_into_another_module_are_violations() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        assert_eq!(attacker.enable(other(), 8), 3);
        let before = attacker.clone();
        for place in [other().secret_address, other().text_address] {
            for entry in [
                Entry { op: ECHO, input: place, ..Entry::new(module().text_address) },
                Entry { op: ECHO, output: place, ..Entry::new(module().text_address) },
            ] {
                let mut attacker = before.clone();
                let (end, _) = attacker.branch(&entry);
                assert_stopped(&attacker, profile, end);
            }
        }
    }
}

#[test]
fn believes_no_return_without_a_call() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        for op in [ECHO, COUNT, TELL, DISABLE] {
            let entry = Entry { op, mark: 0xffff, ..Entry::new(module().text_address) };
            assert_eq!(attacker.branch(&entry), (End::Done, 0));
        }
        assert_untouched(&mut attacker);
    }
}

#[test]
fn a_return_that_the_freshness_module_is_made_to_send_is_not_believed() {
    for profile in [Veritee, Bare] {
        for back in [0, 2, 0x1a] {
            let mut attacker = victim(profile);
            let target = attacker.freshness;
            let back = Some(module().text_address + back);
            let (end, _) = attacker.branch(&Entry { op: TELL, back, ..Entry::new(target) });
            assert_stopped(&attacker, profile, end);
        }
    }
}

#[test]
fn leaves_to_no_address_inside_itself() {
    for profile in [Veritee, Bare] {
        let victim = victim(profile);
        for back in (module().text_address..module().text_end()).step_by(2) {
            let mut attacker = victim.clone();
            let entry = Entry { op: COUNT, back: Some(back), ..Entry::new(module().text_address) };
            let (end, _) = attacker.branch(&entry);
            assert_stopped(&attacker, profile, end);
        }
    }
}

#[test]
fn draws_freshness_once_each_time() {
    let mut attacker = victim(Veritee);
    let mut seen = vec![attacker.enter(module(), FRESH, b"--")];
    for _ in 0..20 {
        let value = attacker.enter(module(), FRESH, b"--");
        assert!(!seen.contains(&value));
        seen.push(value);
    }
    assert!(seen.iter().all(|value| value.len() == 18 && matches!(value[..2], [1 | 2, 0])));
    assert_untouched(&mut attacker);
}

#[test]
fn a_halted_module_is_wiped_and_refuses_everything_but_to_go() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        assert!(attacker.enter(module(), HALT, b"--").is_empty());
        let kept: Vec<u16> =
            (module().secret_address..module().secret_end()).step_by(2).map(|address| attacker.word(address)).collect();
        assert_eq!(kept.iter().filter(|word| **word != 0).count(), 1, "only that it is halted: {kept:x?}");
        for op in [ECHO, COUNT, TELL, DERIVE, FRESH] {
            assert!(attacker.enter(module(), op, LABEL).is_empty());
        }
        assert!(attacker.enter(module(), DISABLE, b"--").is_empty());
        assert_eq!(attacker.enable(module(), VENDOR), 3);
    }
}

#[test]
fn a_disabled_module_leaves_nothing_behind() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        let (end, _) = attacker.branch(&Entry { op: DISABLE, ..Entry::new(module().text_address) });
        assert_eq!(end, End::Done);
        let sections = [(module().text_address, module().text_end()), (module().secret_address, module().secret_end())];
        for (start, end) in sections {
            assert!((start..end).all(|address| attacker.board.memory(address) == 0));
        }
        assert!(!attacker.knows(&secret()));
        let registers = attacker.board.registers();
        assert_eq!(registers[4..7], [0, 0, 0]);
    }
}

#[test]
fn a_stack_that_is_too_deep_is_a_violation() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        let below = module().secret_address - 256..module().secret_address;
        let before: Vec<u8> = below.clone().map(|address| attacker.board.memory(address)).collect();
        let entry = Entry { op: DEEP, input_bytes: 40, ..Entry::new(module().text_address) };
        let (end, _) = attacker.branch(&entry);
        let after: Vec<u8> = below.map(|address| attacker.board.memory(address)).collect();
        assert_eq!(before, after, "nothing of the stack leaves the section");
        assert_stopped(&attacker, profile, end);
    }
}

/// Where the attacker would like a module of his own: text and secret section.
fn overlaps() -> Vec<[u16; 4]> {
    let (text, text_end) = (module().text_address, module().text_end());
    let (secret, secret_end) = (module().secret_address, module().secret_end());
    vec![
        [text, text_end, secret, secret_end],
        [text, text_end, 0x3000, 0x3100],
        [text - 2, text + 2, 0x3000, 0x3100],
        [text_end - 2, text_end + 100, 0x3000, 0x3100],
        [text + 20, text + 40, 0x3000, 0x3100],
        [text - 20, text_end + 20, 0x3000, 0x3100],
        [0xa000, 0xa010, secret, secret_end],
        [0xa000, 0xa010, secret - 2, secret + 2],
        [0xa000, 0xa010, secret_end - 2, secret_end + 2],
        [0xa000, 0xa010, secret + 20, secret + 40],
        [0xa000, 0xa010, secret - 20, secret_end + 20],
        [0xa000, 0xa010, 0x1a0, 0x1c0],
        [0xa000, 0xa010, 0x1ae, 0x1b2],
        // Text over a secret section, secret section over a text, both over each other.
        [secret, secret_end, 0x3000, 0x3100],
        [0xa000, 0xa010, text, text_end],
        [0xa000, 0xa010, 0xa000, 0xa010],
        // Ranges that are none.
        [0xa000, 0xa000, 0x3000, 0x3100],
        [0xa010, 0xa000, 0x3000, 0x3100],
        [0xa000, 0xa010, 0x3100, 0x3000],
        [0xa001, 0xa010, 0x3000, 0x3100],
        [0xa000, 0xa010, 0x3001, 0x3100],
        [0xa000, 0xa010, 0x1f0, 0x210],
        [0x2fc0, 0x2ff0, 0x3000, 0x3100],
    ]
}

#[test]
fn the_profile_enables_nothing_that_overlaps_or_makes_no_sense() {
    let victim = victim(Veritee);
    for [text, text_end, secret, secret_end] in overlaps() {
        let mut attacker = victim.clone();
        let program = format!("ENABLE 7, {text:#x}, {text_end:#x}, {secret:#x}, {secret_end:#x}");
        assert_eq!(attacker.run(&program), End::Done);
        assert_eq!(attacker.board.registers()[15], 0, "{program}");
        assert_eq!(attacker.board.module_ids()[2], 3, "no id is used up");
        assert_eq!(attacker.board.modules().iter().flatten().count(), 2);
        assert_untouched(&mut attacker);
        assert_eq!(attacker.enter(module(), DERIVE, LABEL), b"ok");
        assert_eq!(attacker.enter(module(), TELL, LABEL), self::secret(), "its key is the same");
    }
}

#[test]
fn a_bare_part_lets_a_second_module_take_a_secret_section_away_from_the_first() {
    let mut attacker = victim(Bare);
    let (secret, secret_end) = (module().secret_address, module().secret_end());
    assert_eq!(attacker.run(&format!("ENABLE 7, 0xa000, 0xa006, {secret:#x}, {secret_end:#x}")), End::Done);
    assert_eq!(attacker.board.registers()[15], 3);
    // From now on neither of both may use it: the module is dead, but tells nothing.
    let (end, _) = attacker.branch(&Entry { op: COUNT, ..Entry::new(module().text_address) });
    assert_eq!(end, End::Violation);
    assert!(!attacker.knows(&self::secret()));
}

#[test]
fn a_second_enable_changes_a_running_modules_key_on_a_bare_part_only() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        attacker.run(&enable(module(), VENDOR + 1));
        attacker.enter(module(), DERIVE, LABEL);
        let derived = attacker.enter(module(), TELL, LABEL);
        assert_eq!(derived == secret(), profile == Veritee);
    }
}

#[test]
fn what_is_planted_in_a_secret_section_is_gone_before_the_first_entry() {
    for profile in [Veritee, Bare] {
        let mut attacker = Attacker::new(profile);
        let count = module().symbol("count").unwrap();
        attacker.board.load(count, &0x1234u16.to_le_bytes());
        attacker.enable(module(), VENDOR);
        let counted = attacker.enter(module(), COUNT, b"--");
        assert_eq!(counted, if profile == Veritee { [1, 0] } else { [0x35, 0x12] });
    }
}

#[test]
fn a_planted_stack_pointer_leads_a_module_astray_on_a_bare_part_only() {
    for profile in [Veritee, Bare] {
        let mut attacker = Attacker::new(profile);
        let symbol = |name| module().symbol(name).unwrap();
        // An open call of nobody (id 0): its return pops seven registers and goes where the attacker wants.
        let stack = module().secret_address + 64;
        let gadget = symbol("vt_enter");
        for (place, value) in [("wall_state", 3), ("wall_callee", 0), ("wall_sp", stack)] {
            attacker.board.load(symbol(place), &value.to_le_bytes());
        }
        attacker.board.load(stack, &(stack + 32).to_le_bytes());
        attacker.board.load(stack + 16, &gadget.to_le_bytes());
        attacker.enable(module(), VENDOR);
        let entry = Entry { op: ECHO, mark: 0xffff, ..Entry::new(module().text_address) };
        attacker.prepare(&entry);
        attacker.board.add_breakpoint(gadget);
        let reached = attacker.board.run_until(attacker.board.cycle() + 1000) == veritee_machine::Stop::Breakpoint
            && attacker.board.registers()[0] == gadget;
        assert_eq!(reached, profile == Bare);
    }
}

#[test]
fn nobody_but_the_freshness_module_has_id_one() {
    let mut attacker = Attacker::new(Veritee);
    let slot = attacker.board.modules().iter().flatten().next().unwrap();
    assert_eq!((slot.id, slot.text.start), (1, attacker.freshness));
    assert_eq!(attacker.enable(other(), 8), 2);
    // A write to stage 0 or to the reset vector is a violation, and drops nothing in its place.
    for address in [0xfc00u16, 0xfc4a, 0xfdfe, 0xffde, 0xfffe] {
        let mut attacker = attacker.clone();
        let before = attacker.word(address);
        assert_eq!(attacker.run(&format!("mov #0x4303, &{address:#x}")), End::Reset);
        assert_eq!(attacker.word(address), before);
    }
}

#[test]
fn another_module_disables_only_itself() {
    for profile in [Veritee, Bare] {
        let mut attacker = victim(profile);
        attacker.run("mov #0x5c00, r15\n .word 0x1380");
        assert_eq!(attacker.enable(other(), 8), 3);
        let (end, _) = attacker.branch(&Entry { op: DISABLE, ..Entry::new(other().text_address) });
        assert_eq!(end, End::Done);
        assert_untouched(&mut attacker);
    }
}

#[test]
fn a_reset_in_any_cycle_leaves_no_secret() {
    let mut victim = victim(Veritee);
    victim.board.load(INPUT, b"plaintext of the");
    let entry = Entry { op: SEAL, input_bytes: 16, ..Entry::new(module().text_address) };
    victim.prepare(&entry);
    let start = victim.board.cycle();
    let mut whole = victim.clone();
    assert_eq!(whole.finish(), End::Done);
    let cycles = whole.board.cycle() - start;
    // Every cycle outside the cryptography, and now and then inside of it.
    let mut cycle = 0;
    while cycle < cycles {
        let mut attacker = victim.clone();
        attacker.board.run_until(start + cycle);
        attacker.board.power_up();
        attacker.boot();
        assert!(!attacker.knows(&secret()), "after a reset in cycle {cycle}");
        cycle += if (900..cycles - 900).contains(&cycle) { 997 } else { 7 };
    }
}

#[test]
fn a_bare_part_shows_its_memory_after_a_reset() {
    let mut attacker = victim(Bare);
    // Its program memory can be written: without stage 0 nobody clears the memory.
    attacker.board.load(0xfffe, &CODE.to_le_bytes());
    attacker.board.power_up();
    attacker.boot();
    assert!(attacker.knows(&secret()));
}

/// A bare part on which the attacker's module has id 1 in the freshness module's place; it calls `then`, which must come
/// back to r7. Its helper, which has another id, sends a return to the victim.
fn false_freshness(code: &str) -> Attacker {
    let mut attacker = Attacker::new(Bare);
    attacker.board.load(0xfffe, &CODE.to_le_bytes());
    attacker.board.power_up();
    attacker.boot();
    attacker.run("mov #0x5a80, &0x120");
    let text = program_at(attacker.freshness, code);
    attacker.board.load(attacker.freshness, &text);
    let start = attacker.freshness;
    let end = start + u16::try_from(text.len()).unwrap();
    attacker.run(&format!("ENABLE 9, {start:#x}, {end:#x}, 0x3000, 0x3010"));
    assert_eq!(attacker.board.registers()[15], 1);
    // The helper, with id 2: mov #-1, r6; br r7.
    let helper: Vec<u8> = [0xc232u16, 0x4336, 0x4700].iter().flat_map(|word| word.to_le_bytes()).collect();
    attacker.board.load(0xa000, &helper);
    attacker.run("ENABLE 9, 0xa000, 0xa006, 0x3010, 0x3020");
    assert_eq!(attacker.board.registers()[15], 2);
    attacker.zero(module());
    assert_eq!(attacker.enable(module(), VENDOR), 3);
    assert_eq!(attacker.enter(module(), DERIVE, LABEL), b"ok");
    assert_eq!(attacker.enter(module(), COUNT, b"--"), [1, 0]);
    attacker
}

#[test]
fn halts_when_a_return_comes_from_somebody_else() {
    let mut attacker = false_freshness("dint\n br #0xa000");
    assert!(attacker.enter(module(), FRESH, b"--").is_empty());
    for op in [ECHO, COUNT, TELL] {
        assert!(attacker.enter(module(), op, b"--").is_empty(), "halted");
    }
    let place = module().symbol("secret").unwrap();
    assert!((place..place + 16).all(|address| attacker.board.memory(address) == 0));
}

#[test]
fn refuses_every_entry_while_a_call_is_open() {
    // At the first entry: remembers where to return, and enters the victim with some operation. At the second one, which is
    // the refusal, it returns a value, as the victim expects.
    for op in [COUNT, TELL, ECHO, DISABLE] {
        let victim_entry = module().text_address;
        let mut attacker = false_freshness(&format!(
            "here: dint
            cmp #-1, r6
            jeq 1f
            mov r7, &0x3000
            mov #{op:#x}, r12
            mov #0x3800, r13
            mov #2, r14
            mov #0x3a00, r15
            mov #64, r11
            clr r6
            mov #0xfc00, r7
            br #{victim_entry:#x}
            1: mov r12, &0x3002
            mov &0x3000, r7
            mov #5, r8
            mov #4, r5
            mov #-1, r6
            br r7"
        ));
        let fresh = attacker.enter(module(), FRESH, b"--");
        assert_eq!(fresh.len(), 18, "the open call goes on");
        assert_eq!(fresh[..4], [4, 0, 5, 0]);
        assert_eq!(attacker.word(0x3002), 0, "the other entry was refused");
        assert_untouched(&mut attacker);
    }
}

/// A prepared entry, with the attacker's interrupt on pin 0 of port 1 switched on and his interrupt function in place: it
/// counts in r4 of the interrupted code what nobody else changes, and switches the interrupt off.
fn interruptible(op: u16) -> Attacker {
    let mut attacker = victim(Veritee);
    attacker.board.load(INPUT, b"plaintext of the");
    attacker.prepare(&Entry { op, input_bytes: 16, ..Entry::new(module().text_address) });
    // inc &0x3e20; clr.b &0x25; reti: P1IE
    let service: Vec<u8> =
        [0x5392u16, 0x3e20, 0x43c2, 0x0025, 0x1300].iter().flat_map(|word| word.to_le_bytes()).collect();
    attacker.board.load(0x5d00, &service);
    attacker.board.load(0xffe4, &0x5d00u16.to_le_bytes());
    // bis.b #1, &0x25; eint; br r10, before the branch.
    let code: Vec<u8> =
        [0x43d2u16, 0x0025, 0xd232, 0x4303, 0x4a00].iter().flat_map(|word| word.to_le_bytes()).collect();
    attacker.board.load(0x5d20, &code);
    attacker.board.set_register(0, 0x5d20);
    attacker
}

/// The interrupt in every so many cycles of an entry: it is served before or after, never inside, and nothing changes.
fn interrupt_everywhere(op: u16, edges: u64, stride: u64, expected: &[u8]) {
    let before = interruptible(op);
    let start = before.board.cycle();
    let mut whole = before.clone();
    assert_eq!(whole.finish(), End::Done);
    let cycles = whole.board.cycle() - start;
    let (mut cycle, mut served) = (0, 0);
    while cycle < cycles {
        let mut attacker = before.clone();
        attacker.board.schedule_pins(1, start + cycle, 1);
        attacker.board.add_breakpoint(0x5d00);
        let mut end = attacker.finish_or(0x5d00);
        if end.is_none() {
            served += 1;
            let [current, previous, _] = attacker.board.module_ids();
            assert_eq!((current, previous), (0xfff2, 0), "in cycle {cycle}: interrupted in a module");
            assert!(!attacker.knows(&secret()), "in cycle {cycle}");
            attacker.board.remove_breakpoint(0x5d00);
            end = Some(attacker.finish());
        }
        assert_eq!(end, Some(End::Done), "in cycle {cycle}");
        let length = attacker.board.registers()[12];
        let output: Vec<u8> = (OUTPUT..OUTPUT + length).map(|address| attacker.board.memory(address)).collect();
        assert_eq!(output, expected, "in cycle {cycle}");
        cycle += if (edges..cycles.saturating_sub(edges)).contains(&cycle) { stride } else { 1 };
    }
    assert!(served >= 5, "some interrupts came before the entry: {served}");
}

#[test]
fn an_interrupt_in_any_cycle_of_an_entry_finds_no_module() {
    interrupt_everywhere(COUNT, u64::MAX, 1, &[2, 0]);
}

#[test]
fn an_interrupt_in_any_cycle_of_an_entry_with_cryptography_finds_no_module() {
    let expected = {
        let mut attacker = interruptible(SEAL);
        assert_eq!(attacker.finish(), End::Done);
        let length = attacker.board.registers()[12];
        (OUTPUT..OUTPUT + length).map(|address| attacker.board.memory(address)).collect::<Vec<_>>()
    };
    assert_eq!(expected.len(), 33);
    assert_eq!(expected[32], 1, "it opens what it sealed");
    interrupt_everywhere(SEAL, 600, 23, &expected);
}

#[test]
fn the_core_is_of_the_generation_that_the_file_names() {
    let newer = module_path!().contains("_master");
    assert_eq!(Attacker::new(Veritee).board.config().generation == veritee_machine::Generation::Master, newer);
}
