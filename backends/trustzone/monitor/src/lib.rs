//! The parts of the monitor that touch no hardware, so that they are tested where they are written.
//!
//! [`memory`] is the machine's map; [`manifest`] says what the flash image holds; [`calls`] decides what a call of one
//! world means for the other.
//!
//! 1. Small: one core, no memory allocation, no interrupts of its own, nothing to configure.
//! 2. The normal world chooses eight registers and nothing else.
//! 3. What is not understood is refused; what cannot happen stops the machine.

#![no_std]

pub mod calls;
pub mod manifest;
pub mod memory;
