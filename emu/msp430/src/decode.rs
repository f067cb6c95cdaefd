//! From words to instructions, by table.

use crate::alu::Operation;

/// How an operand is found. The number is part of [`Instruction::kind`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The register itself.
    Register,
    /// A constant: from the generator, or the extension word (`#N`).
    Constant,
    /// The register's value plus the extension word.
    Indexed,
    /// Where the register points.
    Indirect,
    /// Where the register points; then it grows by the size of the operand.
    Increment,
}

impl Mode {
    /// All modes, by number.
    pub const ALL: [Self; 5] = [Self::Register, Self::Constant, Self::Indexed, Self::Indirect, Self::Increment];
}

/// Kinds of instruction below this number are fused: `((operation * 2 + byte) * 5 + source mode) * 2 + destination in memory`.
pub const FUSED: u8 = 240;

/// Kinds from [`FUSED`] on.
pub mod kind {
    /// Jumps; the condition's number is added.
    pub const JUMP: u8 = 240;
    /// Any two-operand instruction.
    pub const TWO: u8 = 248;
    /// Any one-operand instruction.
    pub const ONE: u8 = 249;
    /// `ret`.
    pub const RETURN: u8 = 250;
    /// `br #N`.
    pub const BRANCH: u8 = 251;
    /// `call #N`.
    pub const CALL: u8 = 252;
    /// `push Rn`.
    pub const PUSH: u8 = 253;
    /// The opcodes `0x1380`-`0x13FF`.
    pub const EXTENSION: u8 = 254;
    /// Not decoded yet.
    pub const UNKNOWN: u8 = 255;
}

/// A decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Which code executes it.
    pub kind: u8,
    /// Source register, or the base of the source's address.
    pub source: u8,
    /// Destination register, or the base of the destination's address.
    pub destination: u8,
    /// Bytes: 2, 4 or 6.
    pub length: u8,
    /// Cycles, without what a write to program memory adds.
    pub cycles: u8,
    /// Free for the bus; [`decode()`] leaves it 0.
    pub owner: u8,
    /// The first word.
    pub word: u16,
    /// The source: constant, or offset to the base. A base that is the program counter is already added.
    pub source_extension: u16,
    /// The destination's offset likewise. A jump's target.
    pub destination_extension: u16,
}

/// An instruction in one number, which a processor loads at once and keeps in registers. Code for a kind of instruction takes
/// out of it what that kind needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packed(u128);

impl Packed {
    /// Which code executes it.
    #[inline(always)]
    #[must_use]
    pub const fn kind(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// What the bus left there.
    #[inline(always)]
    #[must_use]
    pub const fn owner(self) -> u8 {
        self.0.to_le_bytes()[1]
    }

    /// Bytes: 2, 4 or 6.
    #[inline(always)]
    #[must_use]
    pub const fn length(self) -> u8 {
        self.0.to_le_bytes()[2]
    }

    /// The instruction that was packed.
    #[inline(always)]
    #[must_use]
    pub const fn unpack(self) -> Instruction {
        let [kind, owner, length, cycles, source, destination, rest @ ..] = self.0.to_le_bytes();
        Instruction {
            kind,
            source,
            destination,
            length,
            cycles,
            owner,
            word: u16::from_le_bytes([rest[0], rest[1]]),
            source_extension: u16::from_le_bytes([rest[2], rest[3]]),
            destination_extension: u16::from_le_bytes([rest[4], rest[5]]),
        }
    }
}

impl Instruction {
    /// All fields in one number.
    #[must_use]
    pub const fn pack(self) -> Packed {
        let [w0, w1] = self.word.to_le_bytes();
        let [s0, s1] = self.source_extension.to_le_bytes();
        let [d0, d1] = self.destination_extension.to_le_bytes();
        let head = [self.kind, self.owner, self.length, self.cycles, self.source, self.destination];
        let [kind, owner, length, cycles, source, destination] = head;
        Packed(u128::from_le_bytes([
            kind,
            owner,
            length,
            cycles,
            source,
            destination,
            w0,
            w1,
            s0,
            s1,
            d0,
            d1,
            0,
            0,
            0,
            0,
        ]))
    }
}

/// What stands for words that were not decoded yet.
pub const UNKNOWN: Instruction = Instruction {
    kind: kind::UNKNOWN,
    source: 0,
    destination: 0,
    length: 2,
    cycles: 0,
    owner: 0,
    word: 0,
    source_extension: 0,
    destination_extension: 0,
};

/// The register number of a base that is zero: `&EDE` and `EDE` are "zero plus constant".
///
/// Its number is that of the status register, which therefore lives apart and cannot be a base.
pub const ZERO: u8 = 2;

/// The modes of an operand: the source's, by register (PC, SP, SR, CG, others) and `As`.
const MODES: [[(Mode, u16); 4]; 5] = {
    use Mode::{Constant, Increment, Indexed, Indirect, Register};
    [
        [(Register, 0), (Indexed, 0), (Indirect, 0), (Constant, 0)],
        [(Register, 0), (Indexed, 0), (Indirect, 0), (Increment, 0)],
        [(Register, 0), (Indexed, 0), (Constant, 4), (Constant, 8)],
        [(Constant, 0), (Constant, 1), (Constant, 2), (Constant, 0xffff)],
        [(Register, 0), (Indexed, 0), (Indirect, 0), (Increment, 0)],
    ]
};

/// Cycles of two-operand instructions by source mode, for destinations register, program counter, memory.
const TWO_CYCLES: [[u8; 3]; 5] = [[1, 2, 4], [1, 2, 4], [3, 4, 6], [2, 3, 5], [2, 3, 5]];
/// Cycles of RRC, SWPB, RRA and SXT by mode.
const ONE_CYCLES: [u8; 5] = [1, 1, 4, 3, 3];
/// Cycles of PUSH and CALL by mode.
const PUSH_CYCLES: [u8; 5] = [3, 3, 5, 4, 4];

/// Decodes the instruction at `address` from its first word and the two that follow.
#[must_use]
pub fn decode(address: u16, words: [u16; 3]) -> Instruction {
    match words[0] >> 13 {
        0 => one_operand(address, words),
        1 => jump(address, words[0]),
        _ => two_operands(address, words),
    }
}

fn jump(address: u16, word: u16) -> Instruction {
    // Ten bits, sign extended, in words.
    let offset = (word << 6).cast_signed() >> 5;
    let target = address.wrapping_add(2).wrapping_add_signed(offset);
    let kind = kind::JUMP + low_byte(word >> 10 & 7);
    Instruction { kind, cycles: 2, word, destination_extension: target, ..UNKNOWN }
}

/// An operand as found in the instruction.
struct Operand {
    mode: Mode,
    register: u8,
    value: u16,
    bytes: u8,
}

/// Finds the source operand; `next` is the address of the word after the first, `extension` its contents.
fn source(word: u16, next: u16, extension: u16) -> Operand {
    let register = source_register(word);
    let row = usize::from(register.min(4));
    let (mode, constant) = MODES[row][usize::from(word >> 4 & 3)];
    match (register, mode) {
        (0, Mode::Constant) => Operand { mode, register, value: extension, bytes: 2 },
        (0, Mode::Indexed) => Operand { mode, register: ZERO, value: next.wrapping_add(extension), bytes: 2 },
        (2, Mode::Indexed) => Operand { mode, register: ZERO, value: extension, bytes: 2 },
        (_, Mode::Indexed) => Operand { mode, register, value: extension, bytes: 2 },
        _ => Operand { mode, register, value: constant, bytes: 0 },
    }
}

fn two_operands(address: u16, words: [u16; 3]) -> Instruction {
    let word = words[0];
    let source = source(word, address.wrapping_add(2), words[1]);
    let after = if source.bytes == 0 { words[1] } else { words[2] };
    let in_memory = word & 0x80 != 0;
    let target = low_byte(word & 0xf);
    let length = 2 + source.bytes + if in_memory { 2 } else { 0 };
    let place = address.wrapping_add(u16::from(length) - 2);
    let (destination, offset) = match (in_memory, target) {
        (true, 0) => (ZERO, place.wrapping_add(after)),
        (true, 2) => (ZERO, after),
        (true, _) => (target, after),
        (false, _) => (target, 0),
    };
    let column = if in_memory { 2 } else { usize::from(target == 0) };
    let mut immediate_cycles = TWO_CYCLES[source.mode as usize][column];
    // An immediate word costs what `@Rn` costs; the constant generator costs nothing.
    immediate_cycles += u8::from(source.mode == Mode::Constant && source.bytes == 2);
    Instruction {
        kind: two_kind(word, &source, in_memory, target),
        source: source.register,
        destination,
        length,
        cycles: immediate_cycles,
        owner: 0,
        word,
        source_extension: mask_byte(word, &source),
        destination_extension: offset,
    }
}

/// A constant of a byte instruction is a byte.
fn mask_byte(word: u16, source: &Operand) -> u16 {
    if source.mode == Mode::Constant && word & 0x40 != 0 { source.value & 0xff } else { source.value }
}

/// Which code executes a two-operand instruction.
fn two_kind(word: u16, source: &Operand, in_memory: bool, target: u8) -> u8 {
    let reads_pc = source.register == 0 && source.mode != Mode::Constant;
    let reads_status = source.register == 2 && source.mode == Mode::Register;
    let special_target = !in_memory && target < 3;
    if word == 0x4130 {
        return kind::RETURN;
    }
    if word == 0x4030 {
        return kind::BRANCH;
    }
    if reads_pc || reads_status || special_target {
        return kind::TWO;
    }
    let operation = low_byte((word >> 12) - 4);
    let byte = u8::from(word & 0x40 != 0);
    ((operation * 2 + byte) * 5 + source.mode as u8) * 2 + u8::from(in_memory)
}

fn one_operand(address: u16, words: [u16; 3]) -> Instruction {
    let word = words[0];
    let source = source(word, address.wrapping_add(2), words[1]);
    let immediate = u8::from(source.mode == Mode::Constant && source.bytes == 2);
    let mode = source.mode as usize;
    let (kind, cycles) = match word >> 7 & 7 {
        4 if source.mode == Mode::Register && word & 0x4f >= 4 && word & 0x40 == 0 => (kind::PUSH, 3),
        5 if immediate == 1 => (kind::CALL, 4),
        4 | 5 => (kind::ONE, PUSH_CYCLES[mode] + immediate),
        6 => (kind::ONE, 5),
        7 => (kind::EXTENSION, ONE_CYCLES[mode]),
        _ => (kind::ONE, ONE_CYCLES[mode] + 2 * immediate),
    };
    let length = 2 + source.bytes;
    let (source_extension, source) = (mask_byte(word, &source), source.register);
    Instruction { kind, source, length, cycles, word, source_extension, ..UNKNOWN }
}

/// The operation of a two-operand instruction.
#[inline(always)]
#[must_use]
pub const fn operation(word: u16) -> Operation {
    let number = (word >> 12) as usize;
    Operation::ALL[number.saturating_sub(4)]
}

/// The source's mode.
#[must_use]
pub fn source_mode(word: u16) -> Mode {
    MODES[usize::from(source_register(word).min(4))][usize::from(word >> 4 & 3)].0
}

/// The register of the source: in the low digit of a one-operand instruction, else in the second one.
const fn source_register(word: u16) -> u8 {
    low_byte((if word >> 13 == 0 { word } else { word >> 8 }) & 0xf)
}

const fn low_byte(word: u16) -> u8 {
    word.to_le_bytes()[0]
}
