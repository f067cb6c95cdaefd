//! System calls of an OP-TEE core: the only way out of a trusted application.
//!
//! # Source
//! OP-TEE's `tee_syscall_numbers.h` and `utee_syscalls.h`: the number in x8, arguments in x0 to x7, the result in x0. Numbers are never used again
//! for something else, so that old applications run on new cores.

/// Numbers of system calls.
pub(crate) mod number {
    pub(crate) const RETURN: usize = 0;
    pub(crate) const PANIC: usize = 2;
    pub(crate) const GET_PROPERTY: usize = 3;
    pub(crate) const PROPERTY_INDEX: usize = 4;
    pub(crate) const OPEN_SESSION: usize = 5;
    pub(crate) const CLOSE_SESSION: usize = 6;
    pub(crate) const INVOKE: usize = 7;
    pub(crate) const RANDOM: usize = 33;
    pub(crate) const CLOSE_OBJECT: usize = 28;
    pub(crate) const OPEN_OBJECT: usize = 41;
    pub(crate) const CREATE_OBJECT: usize = 42;
    pub(crate) const READ_OBJECT: usize = 50;
}

/// Calls the core.
///
/// # Safety
/// 1. `arguments` are what the call of this number takes.
/// 2. Memory that they point to lives and is nobody else's until the call is over; what is written to may be written.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(number: usize, arguments: [usize; 8]) -> u32 {
    let [a, b, c, d, e, f, g, h] = arguments;
    let result: usize;
    // SAFETY: duties 1 and 2 of the caller; the core keeps all registers but those of the calling convention.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f, in("x6") g, in("x7") h,
            clobber_abi("C"),
        );
    }
    #[expect(clippy::cast_possible_truncation, reason = "results have 32 bits")]
    let result = result as u32;
    result
}

/// There is no core elsewhere: every call fails. For tests of what is around the calls.
///
/// # Safety
/// None.
#[cfg(not(target_arch = "aarch64"))]
pub(crate) unsafe fn call(_: usize, _: [usize; 8]) -> u32 {
    veritee_trustzone_format::result::NOT_SUPPORTED
}
