//! An MSP430 CPU that knows only a [`Bus`]: registers, instructions, cycles.
//!
//! [`decode()`] turns words into an [`Instruction`], which a bus may keep, [`Packed`]; [`Cpu::step`] executes one and says what it cost;
//! [`alu`] is the arithmetic with its flags; [`assembler`] writes instructions for tests; [`disassemble()`] writes them for people.
//!
//! 1. The CPU has no clock. Each bus access carries its cycle, counted from the start of the instruction.
//! 2. Nothing here is Sancus: the group of opcodes `0x1380` is handed to the bus.
//! 3. Common shapes of instructions have code of their own, made by one generic function; all others share a general one.
//!
//! # Source
//! MSP430x1xx family user's guide (instructions, flags); measurements on the openMSP430 core (cycles, corner cases).
#![no_std]

extern crate alloc;

pub mod alu;
pub mod assembler;
pub mod cpu;
pub mod decode;
mod disassemble;
mod fused;

pub use cpu::{Bus, Cpu, Registers};
pub use decode::{Instruction, Packed, decode};
pub use disassemble::disassemble;
