//! Arithmetic with its flags: pure functions of operands and the carry.
//!
//! Operands of byte operations are at most `0xFF`; so are their results.

/// Carry.
pub const C: u16 = 0x0001;
/// Zero.
pub const Z: u16 = 0x0002;
/// Negative.
pub const N: u16 = 0x0004;
/// Interrupts are enabled.
pub const GIE: u16 = 0x0008;
/// The CPU sleeps.
pub const CPUOFF: u16 = 0x0010;
/// The clock SMCLK is off.
pub const SCG1: u16 = 0x0080;
/// Overflow.
pub const V: u16 = 0x0100;
/// All flags that arithmetic sets.
pub const FLAGS: u16 = V | N | Z | C;

/// A two-operand operation; the discriminant is the opcode's top digit less four.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names of the manual")]
pub enum Operation {
    Mov,
    Add,
    Addc,
    Subc,
    Sub,
    Cmp,
    Dadd,
    Bit,
    Bic,
    Bis,
    Xor,
    And,
}

impl Operation {
    /// All operations, in the order of their opcodes.
    pub const ALL: [Self; 12] = [
        Self::Mov,
        Self::Add,
        Self::Addc,
        Self::Subc,
        Self::Sub,
        Self::Cmp,
        Self::Dadd,
        Self::Bit,
        Self::Bic,
        Self::Bis,
        Self::Xor,
        Self::And,
    ];

    /// Does it leave its destination alone?
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Cmp | Self::Bit)
    }
}

/// Result of an operation and the new flags; `None` leaves the flags as they are.
///
/// | operation | C | V |
/// |---|---|---|
/// | ADD ADDC SUB SUBC CMP | carry out | signed overflow |
/// | DADD | decimal carry | as an ADD with these operands and this result |
/// | BIT AND | not Z | 0 |
/// | XOR | not Z | both operands negative |
/// | MOV BIC BIS | – | – |
#[inline(always)]
#[must_use]
pub const fn operate(
    operation: Operation, byte: bool, source: u16, destination: u16, status: u16,
) -> (u16, Option<u16>) {
    let mask = if byte { 0xff } else { 0xffff };
    let carry = status & C;
    let (result, flags) = match operation {
        Operation::Mov => return (source, None),
        Operation::Bic => return (destination & !source, None),
        Operation::Bis => return (destination | source, None),
        Operation::Add => add(byte, source, destination, 0),
        Operation::Addc => add(byte, source, destination, carry),
        Operation::Sub | Operation::Cmp => add(byte, !source & mask, destination, 1),
        Operation::Subc => add(byte, !source & mask, destination, carry),
        Operation::Dadd => decimal_add(byte, source, destination, carry),
        Operation::Bit | Operation::And => logical(byte, source & destination, 0),
        Operation::Xor => {
            let overflow = if source & destination & sign(byte) != 0 { V } else { 0 };
            logical(byte, source ^ destination, overflow)
        }
    };
    (result, Some(flags))
}

const fn sign(byte: bool) -> u16 {
    if byte { 0x80 } else { 0x8000 }
}

#[inline(always)]
const fn negative_or_zero(byte: bool, result: u16) -> u16 {
    (if result == 0 { Z } else { 0 }) | (if result & sign(byte) != 0 { N } else { 0 })
}

#[inline(always)]
const fn overflow(byte: bool, source: u16, destination: u16, result: u16) -> u16 {
    if !(source ^ destination) & (source ^ result) & sign(byte) != 0 { V } else { 0 }
}

#[inline(always)]
const fn add(byte: bool, source: u16, destination: u16, carry: u16) -> (u16, u16) {
    let (result, carry) = if byte {
        let sum = source + destination + carry;
        (sum & 0xff, sum > 0xff)
    } else {
        let (sum, first) = source.overflowing_add(destination);
        let (sum, second) = sum.overflowing_add(carry);
        (sum, first | second)
    };
    let carry = if carry { C } else { 0 };
    (result, carry | negative_or_zero(byte, result) | overflow(byte, source, destination, result))
}

#[inline(always)]
const fn logical(byte: bool, result: u16, overflow: u16) -> (u16, u16) {
    let carry = if result == 0 { 0 } else { C };
    (result, overflow | carry | negative_or_zero(byte, result))
}

/// Adds digit by digit. With digits above nine it does what the five-bit adders of the hardware do.
const fn decimal_add(byte: bool, source: u16, destination: u16, mut carry: u16) -> (u16, u16) {
    let mut result = 0;
    let mut shift = 0;
    while shift < if byte { 8 } else { 16 } {
        let sum = (source >> shift & 0xf) + (destination >> shift & 0xf) + carry;
        let digit = if sum < 10 { sum } else { (sum + 6) & 0x1f };
        result |= (digit & 0xf) << shift;
        carry = digit >> 4;
        shift += 4;
    }
    (result, carry | negative_or_zero(byte, result) | overflow(byte, source, destination, result))
}

/// Rotates right through the carry; clears V.
#[must_use]
pub const fn rotate_through_carry(byte: bool, value: u16, status: u16) -> (u16, u16) {
    let top = if status & C != 0 { sign(byte) } else { 0 };
    let result = value >> 1 | top;
    (result, value & C | negative_or_zero(byte, result))
}

/// Shifts right and keeps the sign; clears V.
#[must_use]
pub const fn shift_arithmetically(byte: bool, value: u16) -> (u16, u16) {
    let result = value >> 1 | value & sign(byte);
    (result, value & C | negative_or_zero(byte, result))
}

/// Extends the sign of the low byte.
#[must_use]
pub const fn extend_sign(value: u16) -> (u16, u16) {
    let result = if value & 0x80 != 0 { value | 0xff00 } else { value & 0xff };
    logical(false, result, 0)
}

/// Is a jump's condition (0 to 7: ne, eq, nc, c, n, ge, l, always) met?
#[inline(always)]
#[must_use]
pub const fn condition(code: u8, status: u16) -> bool {
    let less = (status & N != 0) != (status & V != 0);
    match code {
        0 => status & Z == 0,
        1 => status & Z != 0,
        2 => status & C == 0,
        3 => status & C != 0,
        4 => status & N != 0,
        5 => !less,
        6 => less,
        _ => true,
    }
}
