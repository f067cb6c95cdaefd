//! The monitor: what runs at EL3, between the two worlds of the machine.
//!
//! It starts the secure payload, then the normal world, and then only carries calls and secure interrupts across.
//! [`vectors`] are the first instructions and the exception entries, in assembly; [`registers`] and [`console`] reach the
//! hardware; [`interrupts`] sets the interrupt controller up; [`world`] is what one world leaves in the core while the
//! other runs; this file is the path of a boot and of an exception.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(not(target_os = "none"), allow(dead_code, unused_imports, missing_docs))]

#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
mod vectors;
#[cfg(target_os = "none")]
mod world;

/// Built for another target there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
