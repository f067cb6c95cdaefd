//! A small assembler for tests and benchmarks: functions that append instructions.
//!
//! ```
//! use veritee_msp430::alu::Operation::{Add, Mov};
//! use veritee_msp430::assembler::{Assembler, Operand::{Absolute, Immediate, Register}};
//!
//! let mut code = Assembler::new(0x5c00);
//! code.two(Mov, Immediate(21), Register(4));
//! code.two(Add, Register(4), Register(4));
//! code.two(Mov, Register(4), Absolute(0x200));
//! let end = code.label();
//! code.jump(Assembler::ALWAYS, end);
//! assert_eq!(code.words()[..3], [0x4034, 21, 0x5404]);
//! ```

use crate::alu::Operation;
use alloc::vec::Vec;

/// An operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// `Rn`.
    Register(u8),
    /// `#N`; from the constant generator where possible.
    Immediate(u16),
    /// `&EDE`.
    Absolute(u16),
    /// `X(Rn)`.
    Indexed(u16, u8),
    /// `@Rn`.
    Indirect(u8),
    /// `@Rn+`.
    Increment(u8),
}

/// A place in the code: an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(pub u16);

/// A jump whose target is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Forward(usize);

/// A one-operand instruction; the discriminant is its number in the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names of the manual")]
pub enum Unary {
    Rrc,
    Swpb,
    Rra,
    Sxt,
    Push,
    Call,
}

/// Code that grows.
#[derive(Clone, Debug)]
pub struct Assembler {
    base: u16,
    words: Vec<u16>,
}

impl Assembler {
    /// Condition "not equal".
    pub const NOT_EQUAL: u16 = 0;
    /// Condition "equal".
    pub const EQUAL: u16 = 1;
    /// Condition "always".
    pub const ALWAYS: u16 = 7;

    /// Begins at an address.
    #[must_use]
    pub const fn new(base: u16) -> Self {
        Self { base, words: Vec::new() }
    }

    /// The address of what comes next.
    #[must_use]
    pub fn here(&self) -> u16 {
        self.base.wrapping_add(u16::try_from(self.words.len() * 2).unwrap_or(0))
    }

    /// The place of what comes next.
    #[must_use]
    pub fn label(&self) -> Label {
        Label(self.here())
    }

    /// The words so far.
    #[must_use]
    pub fn words(&self) -> &[u16] {
        &self.words
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Appends a word.
    pub fn word(&mut self, word: u16) -> &mut Self {
        self.words.push(word);
        self
    }

    /// Appends a two-operand instruction on words.
    pub fn two(&mut self, operation: Operation, source: Operand, destination: Operand) -> &mut Self {
        self.append(operation, 0, source, destination)
    }

    /// Appends a two-operand instruction on bytes.
    pub fn two_bytes(&mut self, operation: Operation, source: Operand, destination: Operand) -> &mut Self {
        self.append(operation, 0x40, source, destination)
    }

    fn append(&mut self, operation: Operation, byte: u16, source: Operand, destination: Operand) -> &mut Self {
        let (mode, register, extension) = encode(source);
        let (target, target_mode, offset) = match destination {
            Operand::Absolute(address) => (2, 0x80, Some(address)),
            Operand::Indexed(offset, register) => (register.into(), 0x80, Some(offset)),
            // Other modes do not exist for destinations; `@Rn` is `0(Rn)`.
            Operand::Indirect(register) | Operand::Increment(register) => (u16::from(register), 0x80, Some(0)),
            Operand::Register(register) => (register.into(), 0, None),
            Operand::Immediate(address) => (2, 0x80, Some(address)),
        };
        let opcode = (operation as u16 + 4) << 12;
        self.words.push(opcode | register << 8 | target_mode | byte | mode << 4 | target);
        self.words.extend(extension);
        self.words.extend(offset);
        self
    }

    /// Appends a one-operand instruction on words.
    pub fn one(&mut self, operation: Unary, operand: Operand) -> &mut Self {
        let (mode, register, extension) = encode(operand);
        self.words.push(0x1000 | (operation as u16) << 7 | mode << 4 | register);
        self.words.extend(extension);
        self
    }

    /// Appends a Sancus instruction.
    pub fn sancus(&mut self, number: u16) -> &mut Self {
        self.word(0x1380 | number)
    }

    /// Appends `ret`.
    pub fn ret(&mut self) -> &mut Self {
        self.word(0x4130)
    }

    /// Appends `reti`.
    pub fn reti(&mut self) -> &mut Self {
        self.word(0x1300)
    }

    /// Appends a branch.
    pub fn branch(&mut self, target: u16) -> &mut Self {
        self.word(0x4030).word(target)
    }

    /// Appends a jump to a place that is known; within 1 KiB.
    pub fn jump(&mut self, condition: u16, target: Label) -> &mut Self {
        let from = self.here();
        self.word(0x2000 | condition << 10 | offset(from, target.0))
    }

    /// Appends a jump whose target is bound later.
    pub fn jump_forward(&mut self, condition: u16) -> Forward {
        self.words.push(0x2000 | condition << 10);
        Forward(self.words.len() - 1)
    }

    /// Here is the target of a jump.
    pub fn bind(&mut self, jump: Forward) {
        let from = self.base.wrapping_add(u16::try_from(jump.0 * 2).unwrap_or(0));
        let here = self.here();
        self.words[jump.0] |= offset(from, here);
    }
}

/// The ten bits of a jump.
const fn offset(from: u16, to: u16) -> u16 {
    to.wrapping_sub(from).wrapping_sub(2) >> 1 & 0x3ff
}

/// Mode bits, register and extension of a source.
fn encode(operand: Operand) -> (u16, u16, Option<u16>) {
    match operand {
        Operand::Register(register) => (0, register.into(), None),
        Operand::Immediate(0) => (0, 3, None),
        Operand::Immediate(1) => (1, 3, None),
        Operand::Immediate(2) => (2, 3, None),
        Operand::Immediate(0xffff) => (3, 3, None),
        Operand::Immediate(4) => (2, 2, None),
        Operand::Immediate(8) => (3, 2, None),
        Operand::Immediate(value) => (3, 0, Some(value)),
        Operand::Absolute(address) => (1, 2, Some(address)),
        Operand::Indexed(offset, register) => (1, register.into(), Some(offset)),
        Operand::Indirect(register) => (2, register.into(), None),
        Operand::Increment(register) => (3, register.into(), None),
    }
}
