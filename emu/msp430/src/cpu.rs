//! The CPU: registers, the general code for all instructions, interrupts.

use crate::alu::{self, Operation};
use crate::decode::{Instruction, Mode, Packed, operation, source_mode};

/// Cycles of every jump, taken or not.
const JUMP_CYCLES: u32 = 2;

/// The registers: 0 program counter, 1 stack pointer, 2 always zero here, 3 a register that
/// instructions see as destination and base, 4 to 15.
pub type Registers = [u16; 16];

/// What a CPU is connected to.
///
/// Cycles (`at`) count from the start of the instruction. Addresses of words may be odd: memories ignore bit 0.
pub trait Bus {
    /// The instruction at an address.
    fn instruction(&mut self, address: u16) -> Packed;
    /// Reads a word.
    fn read_word(&mut self, address: u16, at: u32) -> u16;
    /// Reads a byte.
    fn read_byte(&mut self, address: u16, at: u32) -> u8;
    /// Writes a word. Gives the cycles that this adds to the instruction.
    fn write_word(&mut self, address: u16, value: u16, at: u32) -> u32;
    /// Writes a byte. Gives the cycles that this adds to the instruction.
    fn write_byte(&mut self, address: u16, value: u8, at: u32) -> u32;
    /// An instruction that compares, or shifts in place, ended at memory `address`, whose word is `value`.
    ///
    /// `next` is the address after the instruction. The hardware's fetch may be disturbed by it.
    fn settled(&mut self, address: u16, value: u16, next: u16);
    /// The stack pointer has a new value, in the cycle `at`.
    fn stack_pointer(&mut self, value: u16, at: u32);
    /// An instruction, or RETI, wrote the status register, which was `old`. Gives the value that it has then.
    fn status(&mut self, old: u16, new: u16, returning: bool) -> u16;
    /// Executes an opcode (`word`) of the group `0x1380`-`0x13FF`; the program counter is already behind it. Gives its cycles.
    fn extension(&mut self, cpu: &mut Cpu, word: u16) -> u32;
}

/// A CPU between two instructions.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    /// The registers, without the status.
    pub registers: Registers,
    /// The status register.
    pub status: u16,
}

impl Cpu {
    /// The address of the next instruction.
    #[inline(always)]
    #[must_use]
    pub const fn pc(&self) -> u16 {
        self.registers[0]
    }

    /// Executes the next instruction and gives the cycles that it took.
    #[inline(always)]
    pub fn step<B: Bus>(&mut self, bus: &mut B) -> u32 {
        let instruction = bus.instruction(self.registers[0]);
        self.execute(bus, instruction)
    }

    /// Executes an instruction which lies at the program counter.
    #[inline(always)]
    pub fn execute<B: Bus>(&mut self, bus: &mut B, instruction: Packed) -> u32 {
        self.registers[0] = self.registers[0].wrapping_add(u16::from(instruction.length()));
        self.dispatch(bus, instruction)
    }

    #[inline(always)]
    pub(crate) fn jump<const CONDITION: u8>(&mut self, instruction: Instruction) -> u32 {
        if alu::condition(CONDITION, self.status) {
            self.registers[0] = instruction.destination_extension & !1;
        }
        JUMP_CYCLES
    }

    #[inline(always)]
    pub(crate) fn branch(&mut self, instruction: Instruction) -> u32 {
        self.registers[0] = instruction.source_extension & !1;
        instruction.cycles.into()
    }

    #[inline(always)]
    pub(crate) fn return_from_call<B: Bus>(&mut self, bus: &mut B, instruction: Instruction) -> u32 {
        self.registers[0] = bus.read_word(self.registers[1], 1) & !1;
        self.set_stack_pointer(bus, self.registers[1].wrapping_add(2), 2);
        instruction.cycles.into()
    }

    #[inline(always)]
    pub(crate) fn push_register<B: Bus>(&mut self, bus: &mut B, instruction: Instruction) -> u32 {
        let value = self.registers[usize::from(instruction.source & 15)];
        let cycles = instruction.cycles.into();
        cycles + self.push(bus, value, cycles)
    }

    #[inline(always)]
    pub(crate) fn call<B: Bus>(&mut self, bus: &mut B, instruction: Instruction) -> u32 {
        let cycles = instruction.cycles.into();
        let stalled = self.push(bus, self.registers[0], cycles);
        self.registers[0] = instruction.source_extension & !1;
        cycles + stalled
    }

    #[inline(always)]
    fn push<B: Bus>(&mut self, bus: &mut B, value: u16, cycles: u32) -> u32 {
        let pointer = self.registers[1].wrapping_sub(2);
        self.set_stack_pointer(bus, pointer, cycles - 2);
        bus.write_word(pointer, value, cycles)
    }

    /// Sets the stack pointer, as the hardware does it: always even, and seen by the bus.
    #[inline(always)]
    pub fn set_stack_pointer<B: Bus>(&mut self, bus: &mut B, value: u16, at: u32) {
        self.registers[1] = value & !1;
        bus.stack_pointer(value & !1, at);
    }

    /// Sets a register as an instruction in its last cycle does.
    fn write_register<B: Bus>(&mut self, bus: &mut B, number: u8, value: u16, at: u32) {
        match number & 15 {
            0 => self.registers[0] = value & !1,
            1 => self.set_stack_pointer(bus, value, at),
            2 => self.status = bus.status(self.status, value, false),
            other => self.registers[usize::from(other)] = value,
        }
    }

    /// The value of a register.
    #[must_use]
    pub fn register(&self, number: u8) -> u16 {
        if number == 2 { self.status } else { self.registers[usize::from(number & 15)] }
    }

    /// The source operand; its address, if it is in memory.
    fn source<B: Bus>(&mut self, bus: &mut B, instruction: Instruction, byte: bool) -> (u16, Option<u16>) {
        let read = |bus: &mut B, address: u16, at: u32| {
            if byte { u16::from(bus.read_byte(address, at)) } else { bus.read_word(address, at) }
        };
        let register = usize::from(instruction.source & 15);
        match source_mode(instruction.word) {
            Mode::Register if byte => (self.register(instruction.source) & 0xff, None),
            Mode::Register => (self.register(instruction.source), None),
            Mode::Constant => (instruction.source_extension, None),
            Mode::Indexed => {
                let address = self.registers[register].wrapping_add(instruction.source_extension);
                (read(bus, address, 2), Some(address))
            }
            Mode::Indirect => {
                // Through the program counter: the word after the first one.
                let skipped = if register == 0 { u16::from(instruction.length) - 2 } else { 0 };
                let address = self.registers[register].wrapping_sub(skipped);
                (read(bus, address, 1), Some(address))
            }
            Mode::Increment => {
                let address = self.registers[register];
                (read(bus, address, 1), Some(address))
            }
        }
    }

    /// Autoincrement. It comes last: the destination still sees the old value, and wins over it.
    #[inline(always)]
    pub(crate) fn increment<B: Bus>(&mut self, bus: &mut B, instruction: Instruction, byte: bool) {
        let register = usize::from(instruction.source & 15);
        let size = if byte && register != 1 { 1 } else { 2 };
        let value = self.registers[register].wrapping_add(size);
        if register == 1 { self.set_stack_pointer(bus, value, 2) } else { self.registers[register] = value }
    }

    /// The general code for two operands.
    #[inline(never)]
    pub(crate) fn two_operands<B: Bus>(&mut self, bus: &mut B, packed: Packed) -> u32 {
        let instruction = packed.unpack();
        let word = instruction.word;
        let (operation, byte) = (operation(word), word & 0x40 != 0);
        let cycles = u32::from(instruction.cycles);
        let (source, _) = self.source(bus, instruction, byte);
        let increments = source_mode(word) == Mode::Increment;
        let status = self.status;
        if word & 0x80 == 0 {
            let destination = self.register(instruction.destination);
            let destination = if byte { destination & 0xff } else { destination };
            let (result, flags) = alu::operate(operation, byte, source, destination, status);
            self.set_flags(flags);
            if increments && (operation.is_comparison() || instruction.source != instruction.destination) {
                self.increment(bus, instruction, byte);
            }
            match flags {
                // What an operation says about flags is stronger than its result.
                Some(flags) if instruction.destination == 2 && !operation.is_comparison() => {
                    self.status = bus.status(status, result & !alu::FLAGS | flags, false);
                }
                _ if operation.is_comparison() => {}
                _ => self.write_register(bus, instruction.destination, result, cycles),
            }
            return cycles;
        }
        let address =
            self.registers[usize::from(instruction.destination & 15)].wrapping_add(instruction.destination_extension);
        let destination = match operation {
            Operation::Mov => 0,
            _ if byte => bus.read_byte(address, cycles - 2).into(),
            _ => bus.read_word(address, cycles - 2),
        };
        let (result, flags) = alu::operate(operation, byte, source, destination, status);
        self.set_flags(flags);
        if increments {
            self.increment(bus, instruction, byte);
        }
        if operation.is_comparison() {
            bus.settled(address, destination, self.registers[0]);
            return cycles;
        }
        cycles + write(bus, address, result, byte, cycles)
    }

    #[inline(always)]
    pub(crate) fn set_flags(&mut self, flags: Option<u16>) {
        if let Some(flags) = flags {
            self.status = self.status & !alu::FLAGS | flags;
        }
    }

    /// The general code for one operand.
    #[inline(never)]
    pub(crate) fn one_operand<B: Bus>(&mut self, bus: &mut B, packed: Packed) -> u32 {
        let instruction = packed.unpack();
        let (word, cycles) = (instruction.word, u32::from(instruction.cycles));
        let byte = word & 0x40 != 0;
        match word >> 7 & 7 {
            number @ (4 | 5) => cycles + self.push_or_call(bus, instruction, number == 5),
            6 => {
                self.return_from_interrupt(bus);
                cycles
            }
            number => cycles + self.shift(bus, instruction, number, byte),
        }
    }

    /// PUSH and CALL: the stack pointer is decremented before the source is looked at, even if that is the stack pointer.
    fn push_or_call<B: Bus>(&mut self, bus: &mut B, instruction: Instruction, calls: bool) -> u32 {
        let byte = instruction.word & 0x40 != 0;
        let pointer = self.registers[1].wrapping_sub(2);
        let at = u32::from(instruction.cycles);
        self.set_stack_pointer(bus, pointer, at - 2);
        let (value, _) = self.source(bus, instruction, byte);
        let stall = if calls {
            let next = core::mem::replace(&mut self.registers[0], value & !1);
            bus.write_word(pointer, next, at)
        } else {
            write(bus, pointer, value, byte, at)
        };
        self.increment_if(bus, instruction, byte);
        stall
    }

    fn increment_if<B: Bus>(&mut self, bus: &mut B, instruction: Instruction, byte: bool) {
        if source_mode(instruction.word) == Mode::Increment {
            self.increment(bus, instruction, byte);
        }
    }

    fn return_from_interrupt<B: Bus>(&mut self, bus: &mut B) {
        let pointer = self.registers[1];
        let status = bus.read_word(pointer, 1);
        self.set_stack_pointer(bus, pointer.wrapping_add(2), 2);
        self.status = bus.status(self.status, status, true);
        let pointer = self.registers[1];
        self.registers[0] = bus.read_word(pointer, 3) & !1;
        self.set_stack_pointer(bus, pointer.wrapping_add(2), 4);
    }

    /// RRC, SWPB, RRA, SXT. Of a constant they only set the flags.
    fn shift<B: Bus>(&mut self, bus: &mut B, instruction: Instruction, number: u16, byte: bool) -> u32 {
        let (value, address) = self.source(bus, instruction, byte);
        let (result, flags) = match number {
            0 => alu::rotate_through_carry(byte, value, self.status),
            1 => (value.swap_bytes(), self.status & alu::FLAGS),
            2 => alu::shift_arithmetically(byte, value),
            _ => alu::extend_sign(value),
        };
        let (old, cycles) = (self.status, u32::from(instruction.cycles));
        self.set_flags(Some(flags));
        self.increment_if(bus, instruction, byte);
        match address {
            Some(address) => {
                write(bus, address, result, byte, cycles);
                bus.settled(address, result, self.registers[0]);
            }
            // There is nowhere to write to.
            None if source_mode(instruction.word) == Mode::Constant => {}
            // What an operation says about flags is stronger than its result; SWPB says nothing.
            None if instruction.source == 2 && number != 1 => {
                self.status = bus.status(old, result & !alu::FLAGS | flags, false);
            }
            None => self.write_register(bus, instruction.source, result, cycles),
        }
        0
    }
}

#[inline(always)]
fn write<B: Bus>(bus: &mut B, address: u16, value: u16, byte: bool, at: u32) -> u32 {
    if byte { bus.write_byte(address, value.to_le_bytes()[0], at) } else { bus.write_word(address, value, at) }
}
