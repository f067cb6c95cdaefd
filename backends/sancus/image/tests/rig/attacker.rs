//! Whoever owns the firmware: stage 0 has run, and then every instruction is his.

use super::{board, image};
use object::{Object, ObjectSection, ObjectSymbol};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;
use veritee_machine::{Board, Profile, Stop};
use veritee_sancus_image::{BoardImage, Linked};

/// Where the attacker's code is: in the firmware's place.
pub(crate) const CODE: u16 = 0x5c00;
/// Memory for what he gives to modules, and for what they give back.
pub(crate) const INPUT: u16 = 0x3800;
pub(crate) const OUTPUT: u16 = 0x3a00;
/// His stack.
pub(crate) const STACK: u16 = 0x3e00;
/// The most cycles that one of his programs takes.
const PATIENCE: u64 = 5_000_000;

/// How a program of the attacker ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It came to its end.
    Done,
    /// The board was reset.
    Reset,
    /// Interrupt 13: a violation, on a bare part.
    Violation,
    /// Neither: it ran in circles.
    Lost,
}

/// An attacker on a board.
#[derive(Clone)]
pub(crate) struct Attacker {
    pub(crate) board: Board,
    program: Program,
    /// The first instruction after a reset.
    reset: u16,
    /// Entry of the freshness module.
    pub(crate) freshness: u16,
    /// The most cycles that a program takes.
    pub(crate) patience: u64,
}

/// Assembly for all programs: what he has.
const PRELUDE: &str = "
        .macro  ENABLE vendor, text, text_end, secret, secret_end
        mov     #\\vendor, r11
        mov     #\\text, r12
        mov     #\\text_end, r13
        mov     #\\secret, r14
        mov     #\\secret_end, r15
        clr     r9
        clr     r10
        .word   0x1381
        .endm
";

/// A branch into a module, or elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) target: u16,
    pub(crate) op: u16,
    pub(crate) input: u16,
    pub(crate) input_bytes: u16,
    pub(crate) output: u16,
    pub(crate) room: u16,
    /// r6: 0xffff is a return.
    pub(crate) mark: u16,
    /// r7; the end of the program if nothing is said.
    pub(crate) back: Option<u16>,
    pub(crate) stack: u16,
}

impl Entry {
    /// As honest firmware would, with two bytes of input.
    pub(crate) const fn new(target: u16) -> Self {
        Self {
            target,
            op: 0,
            input: INPUT,
            input_bytes: 2,
            output: OUTPUT,
            room: 64,
            mark: 0,
            back: None,
            stack: STACK,
        }
    }
}

/// A program of the attacker.
#[derive(Clone, Debug)]
struct Program {
    bytes: Vec<u8>,
    /// Where it ends.
    end: u16,
    /// Where interrupt 13 goes.
    violation: u16,
}

/// The bytes of a program that is to lie elsewhere.
pub(crate) fn program_at(address: u16, program: &str) -> Vec<u8> {
    link(address, program).bytes
}

fn assemble(program: &str) -> Program {
    link(CODE, program)
}

fn link(address: u16, program: &str) -> Program {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = format!("{PRELUDE}\n.text\nstart:\n{program}\nend: jmp end\nviolation: jmp violation\n");
    fs::write(path("a.s"), source).unwrap();
    let script = format!("SECTIONS {{ . = {address:#x}; .text : {{ *(.text) }} }}");
    fs::write(path("a.ld"), script).unwrap();
    run(&path(""), "clang", &["--target=msp430", "-c", "a.s", "-o", "a.o"]);
    run(&path(""), "ld.lld", &["-T", "a.ld", "-e", "start", "-o", "a.elf", "a.o"]);
    let elf = fs::read(path("a.elf")).unwrap();
    let file = object::File::parse(&*elf).unwrap();
    let symbol = |name: &str| {
        let found = file.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap();
        u16::try_from(found.address()).unwrap()
    };
    let bytes = file.section_by_name(".text").unwrap().data().unwrap().to_vec();
    Program { bytes, end: symbol("end"), violation: symbol("violation") }
}

fn run(folder: &Path, tool: &str, arguments: &[&str]) {
    let output = Command::new(tool).current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Attacker {
    /// After stage 0, before the first instruction of the firmware.
    pub(crate) fn new(profile: Profile) -> Self {
        static IMAGE: OnceLock<BoardImage> = OnceLock::new();
        Self::on(profile, IMAGE.get_or_init(|| image(&[])))
    }

    /// The same on a board of one's own.
    pub(crate) fn on(profile: Profile, image: &BoardImage) -> Self {
        let program = Program { bytes: Vec::new(), end: 0, violation: 0 };
        let symbol = |name| image.symbol(name).unwrap();
        let (reset, freshness) = (symbol("vt_stage0"), symbol("vt_freshness"));
        let mut attacker = Self { board: board(profile, image), program, reset, freshness, patience: PATIENCE };
        attacker.boot();
        attacker
    }

    /// Lets stage 0 run.
    pub(crate) fn boot(&mut self) {
        self.board.add_breakpoint(CODE);
        assert_eq!(self.board.run_until(self.board.cycle() + PATIENCE), Stop::Breakpoint, "stage 0 ends");
        self.board.remove_breakpoint(CODE);
    }

    /// Runs a program to its end.
    pub(crate) fn run(&mut self, program: &str) -> End {
        self.start(program);
        self.finish()
    }

    /// Puts a program into memory and goes to its first instruction.
    pub(crate) fn start(&mut self, program: &str) {
        self.begin(assemble(program));
    }

    fn begin(&mut self, program: Program) {
        self.program = program;
        self.board.load(CODE, &self.program.bytes);
        self.board.load(0xfffa, &self.program.violation.to_le_bytes());
        self.board.set_register(0, CODE);
        self.board.set_register(2, 0);
    }

    /// Runs on to one of the ends.
    pub(crate) fn finish(&mut self) -> End {
        self.finish_somewhere().expect("no other breakpoint is set")
    }

    fn finish_somewhere(&mut self) -> Option<End> {
        let ends = [self.program.end, self.program.violation, self.reset];
        ends.iter().for_each(|end| self.board.add_breakpoint(*end));
        let stop = self.board.run_until(self.board.cycle() + self.patience);
        ends.iter().for_each(|end| self.board.remove_breakpoint(*end));
        let ends = [End::Done, End::Violation, End::Reset].into_iter().zip(ends);
        let at = self.board.registers()[0];
        if stop == Stop::Breakpoint {
            return ends.into_iter().find(|(_, place)| *place == at).map(|(end, _)| end);
        }
        Some(End::Lost)
    }

    /// Runs on to one of the ends, or to another place: then nothing.
    pub(crate) fn finish_or(&mut self, place: u16) -> Option<End> {
        self.board.add_breakpoint(place);
        let end = self.finish_somewhere();
        self.board.remove_breakpoint(place);
        end
    }

    /// Clears a module's secret section, as honest firmware does.
    pub(crate) fn zero(&mut self, module: &Linked) {
        (module.secret_address..module.secret_end()).for_each(|address| self.board.set_memory(address, 0));
    }

    /// Loads a module and enables it; the hardware's id.
    pub(crate) fn enable(&mut self, module: &Linked, vendor: u16) -> u16 {
        self.board.load(module.text_address, &module.text);
        let program = enable(module, vendor);
        assert_eq!(self.run(&program), End::Done);
        self.board.registers()[15]
    }

    /// Enters a module as the firmware would; what it gives back.
    pub(crate) fn enter(&mut self, module: &Linked, op: u16, input: &[u8]) -> Vec<u8> {
        self.board.load(INPUT, input);
        let length = u16::try_from(input.len()).unwrap();
        let (end, length) = self.branch(&Entry { op, input_bytes: length, ..Entry::new(module.text_address) });
        assert_eq!(end, End::Done);
        (OUTPUT..OUTPUT + length).map(|address| self.board.memory(address)).collect()
    }

    /// Branches somewhere with these registers; how it ended, and r12.
    pub(crate) fn branch(&mut self, entry: &Entry) -> (End, u16) {
        self.prepare(entry);
        let end = self.finish();
        (end, self.board.registers()[12])
    }

    /// As [`branch`](Self::branch), before the branch.
    pub(crate) fn prepare(&mut self, entry: &Entry) {
        static BRANCH: OnceLock<Program> = OnceLock::new();
        self.begin(BRANCH.get_or_init(|| assemble("br r10")).clone());
        let end = self.program.end;
        let registers = [
            (1, entry.stack),
            (6, entry.mark),
            (7, entry.back.unwrap_or(end)),
            (10, entry.target),
            (11, entry.room),
            (12, entry.op),
            (13, entry.input),
            (14, entry.input_bytes),
            (15, entry.output),
        ];
        registers.iter().for_each(|(register, value)| self.board.set_register(*register, *value));
    }

    /// A word of memory.
    pub(crate) fn word(&self, address: u16) -> u16 {
        u16::from_le_bytes([self.board.memory(address), self.board.memory(address + 1)])
    }

    /// Are any four bytes of a secret in a register, or in memory outside the modules' secret sections?
    pub(crate) fn knows(&self, secret: &[u8]) -> bool {
        let mut seen: Vec<u8> = self.board.registers().iter().flat_map(|word| word.to_le_bytes()).collect();
        let kept = |address: u16| self.board.modules().iter().flatten().any(|slot| slot.secret.contains(address));
        seen.extend((0x200..0x4200).map(|address| if kept(address) { 0 } else { self.board.memory(address) }));
        secret.windows(4).any(|part| seen.windows(4).any(|window| window == part))
    }
}

/// A program that enables a module.
pub(crate) fn enable(module: &Linked, vendor: u16) -> String {
    format!(
        "ENABLE {vendor}, {:#x}, {:#x}, {:#x}, {:#x}\n",
        module.text_address,
        module.text_end(),
        module.secret_address,
        module.secret_end(),
    )
}
