//! Access to registers of the core and of devices.

/// Reads a system register.
macro_rules! read {
    ($name:ident) => {{
        let value: u64;
        // SAFETY: reading a system register has no effect on memory.
        unsafe { core::arch::asm!(concat!("mrs {}, ", stringify!($name)), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// Writes a system register. It counts from the next [`synchronize`] or return to a lower level on.
macro_rules! write {
    ($name:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: EL3 runs without translation on memory of its own: no register written here changes what its
        // instructions, stack or data are.
        unsafe { core::arch::asm!(concat!("msr ", stringify!($name), ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}

pub(crate) use {read, write};

/// What was written before counts from now on (Arm ARM B2.3.12: context synchronization).
pub(crate) fn synchronize() {
    // SAFETY: a barrier only.
    unsafe { core::arch::asm!("isb") };
}

/// Reads a 32-bit device register.
pub(crate) fn device_read(address: u64) -> u32 {
    // SAFETY: callers name device registers of this machine, which are not memory of this program.
    unsafe { (address as *const u32).read_volatile() }
}

/// Writes a 32-bit device register.
pub(crate) fn device_write(address: u64, value: u32) {
    // SAFETY: callers name device registers of this machine, which are not memory of this program.
    unsafe { (address as *mut u32).write_volatile(value) };
}
