//! What root of the normal world sees of the secure world's memory: nothing. He maps it from the kernel, as `/dev/mem` lets him, and
//! touches it; the bus refuses, and the process that touched it ends by a signal.
//!
//! A process each, for none survives; `touch` is what it does.

use crate::subject::{Image, Instance};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

/// Secure RAM of the emulated board, with its length; modules live in it (QEMU's `hw/arm/virt.c`).
const SECURE_RAM: (u64, u64) = (0x0e00_0000, 16 << 20);
/// Steps in which it is searched: no hole of this size is missed.
const STEP: usize = 256 << 10;
/// What else only the secure world reaches: the boot flash with the monitor and the core, and a serial port.
const SECURE_DEVICES: [(&str, u64); 2] = [("secure flash", 0), ("secure serial port", 0x0904_0000)];
/// Memory that both worlds share: touching it works, so that a refusal elsewhere says something.
const SHARED: u64 = 0x4200_0000;
const PAGE: usize = 4096;
const SIGBUS: i32 = 7;

/// Touches secure memory while a module lives in it.
pub(crate) fn secure_memory() {
    let module = Instance::start(&Image::read("probe"));
    assert!(touch("read", SHARED).success(), "memory of both worlds can be read");
    println!("ok what both worlds share is read");
    let (start, length) = SECURE_RAM;
    for address in (start..start + length).step_by(STEP) {
        refused("read", address);
    }
    println!("ok secure RAM is not read in any of its {} parts of 256 KiB", length / STEP as u64);
    for address in [start, start + length / 2, start + length - PAGE as u64] {
        refused("write", address);
    }
    println!("ok secure RAM is not written");
    for (name, address) in SECURE_DEVICES {
        refused("read", address);
        refused("write", address);
        println!("ok {name}: neither read nor written");
    }
    drop(module);
}

fn refused(how: &str, address: u64) {
    let ended = touch(how, address);
    assert_eq!(ended.signal(), Some(SIGBUS), "{how} at {address:#x}: {ended}");
}

/// Starts a process of this program that touches an address.
fn touch(how: &str, address: u64) -> ExitStatus {
    let program = std::env::current_exe().expect("the visitor has a path");
    Command::new(program).args(["touch", how, &address.to_string()]).status().expect("the visitor starts again")
}

/// Reads or writes the word at a physical address.
pub(crate) fn touch_here(how: &str, address: u64) {
    let memory = File::options().read(true).write(true).open("/dev/mem").expect("root opens /dev/mem");
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
    let page = unsafe { mmap(std::ptr::null_mut(), PAGE, access, MapFlags::SHARED, &memory, address) };
    let word = page.unwrap_or_else(|error| panic!("cannot map {address:#x}: {error}")).cast::<u32>();
    match how {
        // SAFETY: the page is mapped for reading, and a word at its start is aligned.
        "read" => drop(std::hint::black_box(unsafe { word.read_volatile() })),
        // SAFETY: the same for writing; what the page holds is not this program's.
        _ => unsafe { word.write_volatile(0) },
    }
}
