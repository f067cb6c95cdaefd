//! System calls of an OP-TEE core: the only way out of a trusted application.
//!
//! # Source
//! OP-TEE's `tee_syscall_numbers.h` and `utee_syscalls.h`: the number in x8, arguments in x0 to x7, the result in x0. Numbers are never used again
//! for something else, so that old applications run on new cores.

/// Calls the core.
///
/// # Safety
/// 1. `arguments` are what the call of this number takes.
/// 2. Memory that they point to lives and is nobody else's until the call is over; what is written to may be written.
///
/// # Errors
/// The result of a call that failed, as the GlobalPlatform API numbers it.
pub unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> Result<(), u32> {
    const { assert!(N <= 8) };
    let mut registers = [0; 8];
    registers.iter_mut().zip(arguments).for_each(|(register, argument)| *register = argument);
    // SAFETY: duties 1 and 2 of the caller.
    match unsafe { supervisor(number, registers) } {
        veritee_trustzone_format::result::SUCCESS => Ok(()),
        failed => Err(failed),
    }
}

#[cfg(target_arch = "aarch64")]
unsafe fn supervisor(number: usize, [a, b, c, d, e, f, g, h]: [usize; 8]) -> u32 {
    let result: usize;
    // SAFETY: the duties of `call`; the core keeps all registers but those of the calling convention.
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
#[cfg(not(target_arch = "aarch64"))]
unsafe fn supervisor(_: usize, _: [usize; 8]) -> u32 {
    veritee_trustzone_format::result::NOT_SUPPORTED
}
