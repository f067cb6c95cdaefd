//! The path of a boot, and of an exception.

use crate::console::{say, say_hex};
use crate::interrupts;
use crate::registers::{device_write, read, write};
use crate::world::{Frame, SCR_NORMAL, SCR_SECURE, System, World};
use core::cell::UnsafeCell;
use monitor::calls::{self, Entry, NormalCall, SecureCall};
use monitor::manifest::{MANIFEST, MANIFEST_BYTES, Manifest};
use monitor::memory::{FLASH, SECURE_GPIO};

/// What the monitor remembers.
struct Monitor {
    secure: World,
    normal: World,
    /// The world that the exception came from.
    running: Side,
    /// The secure payload's table of entries; zero until it has started.
    entries: u64,
    manifest: Manifest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Secure,
    Normal,
}

/// The only instance, in secure RAM.
struct Only(UnsafeCell<Monitor>);

// SAFETY: there is one core, and EL3 masks all interrupts while it runs: nothing else is ever inside.
unsafe impl Sync for Only {}

static MONITOR: Only = Only(UnsafeCell::new(Monitor {
    secure: World::ZERO,
    normal: World::ZERO,
    running: Side::Secure,
    entries: 0,
    manifest: Manifest { payload_offset: 0, payload_bytes: 0, payload_address: 0, device_tree: 0, normal_entry: 0 },
}));

/// The first Rust code: sets EL3 up, copies the secure payload, and leaves its first frame.
///
/// Called once, by `monitor_start`, with a stack and zeroed data; the frame is then returned into.
#[unsafe(no_mangle)]
extern "C" fn monitor_boot(frame: &mut Frame) {
    // SAFETY: first call, one core: nobody else holds a reference.
    let monitor = unsafe { &mut *MONITOR.0.get() };
    set_up_el3();
    interrupts::set_up();
    // SAFETY: flash is readable memory of this length, and nothing writes it.
    let page = unsafe { &*((FLASH + MANIFEST) as *const [u8; MANIFEST_BYTES]) };
    let Ok(manifest) = Manifest::read(page) else { stop("the flash image has no sound manifest", &[]) };
    monitor.manifest = manifest;
    copy_payload(&manifest);
    say("monitor: starting the secure world\n");
    *frame = Frame::entered_at(manifest.payload_address);
    // OP-TEE's entry: x0 pageable part (none), x2 device tree (core/arch/arm/kernel/entry_a64.S).
    frame.x[2] = manifest.device_tree;
    write!(scr_el3, SCR_SECURE);
}

/// Registers of EL3 itself. Field values: Arm ARM (DDI 0487), chapter D19.
fn set_up_el3() {
    // Nothing of floating point or trace traps to EL3: the payload switches floating point itself, lazily.
    write!(cptr_el3, 0_u64);
    // SDD (16): no self-hosted debugging of the secure world. Counting (SPME) stays prohibited there.
    write!(mdcr_el3, 1_u64 << 16);
    // Both worlds find EL1 as after a reset: no translation, no caches, what must be one is one.
    System::RESET.load();
}

/// Copies the payload from flash to the secure RAM that it is linked for.
fn copy_payload(manifest: &Manifest) {
    let source = (FLASH + manifest.payload_offset) as *const u8;
    let target = manifest.payload_address as *mut u8;
    let length = manifest.payload_bytes as usize;
    // SAFETY: both ranges were checked: the source lies in flash behind the manifest, the target in secure RAM behind this
    // program's part of it.
    unsafe { core::ptr::copy_nonoverlapping(source, target, length) };
    // What is executed next was data until now (Arm ARM B2.7.4).
    // SAFETY: cache maintenance and barriers only.
    unsafe { core::arch::asm!("dsb sy", "ic iallu", "dsb sy", "isb") };
}

/// An SMC or another synchronous exception of a lower level.
#[unsafe(no_mangle)]
extern "C" fn monitor_synchronous(frame: &mut Frame) {
    // SAFETY: one core with interrupts masked: the only reference while this exception is handled.
    let monitor = unsafe { &mut *MONITOR.0.get() };
    let syndrome = read!(esr_el3);
    // EC (31:26) 0x17: SMC in AArch64 state.
    if (syndrome >> 26) & 0x3f != 0x17 {
        stop("an exception that nothing may cause", &[syndrome, frame.elr, read!(far_el3)]);
    }
    match monitor.running {
        Side::Normal => normal_called(monitor, frame),
        Side::Secure => secure_called(monitor, frame),
    }
}

fn normal_called(monitor: &mut Monitor, frame: &mut Frame) {
    let [x0, x1, x2, x3, ..] = frame.x;
    match calls::from_normal([x0, x1, x2, x3]) {
        NormalCall::Answer(value) => frame.x[0] = value,
        NormalCall::Enter(entry) => {
            let mut arguments = [0; 8];
            arguments.copy_from_slice(&frame.x[..8]);
            enter_secure(monitor, frame, entry, &arguments);
        }
        NormalCall::PowerOff => power(POWER_OFF),
        NormalCall::Reset => power(RESET),
    }
}

fn secure_called(monitor: &mut Monitor, frame: &mut Frame) {
    let [x0, x1, x2, x3, x4, ..] = frame.x;
    match calls::from_secure([x0, x1]) {
        SecureCall::Started if monitor.entries == 0 && x1 != 0 => {
            monitor.entries = x1;
            monitor.normal.frame = Frame::entered_at(monitor.manifest.normal_entry);
            // Linux' boot protocol (Documentation/arm64/booting.rst): x0 device tree, the others zero.
            monitor.normal.frame.x[0] = monitor.manifest.device_tree;
            monitor.normal.system = System::RESET;
            say("monitor: starting the normal world\n");
            switch(monitor, frame, Side::Normal);
        }
        SecureCall::Started => stop("the secure world does not start", &[x1]),
        SecureCall::Done => {
            switch(monitor, frame, Side::Normal);
            frame.x[..4].copy_from_slice(&[x1, x2, x3, x4]);
        }
        SecureCall::InterruptDone => switch(monitor, frame, Side::Normal),
        SecureCall::Answer(value) => frame.x[0] = value,
    }
}

/// A group 1 secure interrupt while the normal world ran: it is the payload's (GICv3 signals it as FIQ there).
#[unsafe(no_mangle)]
extern "C" fn monitor_interrupt(frame: &mut Frame) {
    // SAFETY: one core with interrupts masked: the only reference while this exception is handled.
    let monitor = unsafe { &mut *MONITOR.0.get() };
    if monitor.running == Side::Secure {
        stop("an interrupt of the secure world at EL3", &[frame.elr]);
    }
    let interrupted = frame.elr;
    enter_secure(monitor, frame, Entry::Interrupt, &[interrupted, 0, 0, 0, 0, 0, 0, 0]);
}

/// Goes into the secure payload. Only its program counter is set: it goes on in the state that it left in, on the stack
/// pointer that it chose; a level forced onto it would be another stack.
fn enter_secure(monitor: &mut Monitor, frame: &mut Frame, entry: Entry, arguments: &[u64; 8]) {
    switch(monitor, frame, Side::Secure);
    frame.elr = monitor.entries + entry as u64;
    frame.x[..8].copy_from_slice(arguments);
}

/// Exchanges what the core holds of one world for what it held of the other.
fn switch(monitor: &mut Monitor, frame: &mut Frame, to: Side) {
    let (from, to_world, scr) = match to {
        Side::Secure => (&mut monitor.normal, &monitor.secure, SCR_SECURE),
        Side::Normal => (&mut monitor.secure, &monitor.normal, SCR_NORMAL),
    };
    from.frame = *frame;
    from.system = System::save();
    *frame = to_world.frame;
    to_world.system.load();
    write!(scr_el3, scr);
    monitor.running = to;
}

/// Anything that cannot happen: says so and stops the machine. Nothing of it is worth going on.
#[unsafe(no_mangle)]
extern "C" fn monitor_unexpected(kind: u64, frame: &Frame) -> ! {
    stop("an unexpected exception", &[kind, read!(esr_el3), frame.elr, read!(far_el3)]);
}

fn stop(reason: &str, values: &[u64]) -> ! {
    say("monitor: stopped: ");
    say(reason);
    for value in values {
        say(" ");
        say_hex(*value);
    }
    say("\n");
    power(POWER_OFF)
}

/// Raises a pin of the secure GPIO (PL061, Arm DDI 0190): QEMU powers off at pin 0 and resets at pin 1.
fn power(pin: u8) -> ! {
    // GPIODIR: both are outputs.
    device_write(SECURE_GPIO + 0x400, 0b11);
    // GPIODATA: address bits 9:2 choose the pins that the write changes.
    device_write(SECURE_GPIO + (u64::from(pin) << 2), u32::from(pin));
    loop {
        // SAFETY: waits; no memory or state is touched.
        unsafe { core::arch::asm!("wfi") };
    }
}

const POWER_OFF: u8 = 0b01;
const RESET: u8 = 0b10;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    stop("a fault of the monitor itself", &[])
}
