//! Memory functions that the compiler calls. An image has no C library.
//!
//! Compiled in only where nothing else provides them: not in tests, and not where the target is bare metal.
#![cfg(all(target_os = "linux", not(test), veritee_image))]

use core::arch::asm;

/// Copies forwards.
///
/// # Safety
/// As for C's `memcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the caller's contract; the instruction copies `length` bytes.
    unsafe {
        asm!("rep movsb", inout("rcx") length => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack))
    };
    to
}

/// Copies between ranges that may overlap.
///
/// # Safety
/// As for C's `memmove`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= length {
        // SAFETY: the caller's contract; `to` does not start inside `from`, so every byte is read before it is written.
        return unsafe { memcpy(to, from, length) };
    }
    let mut at = length;
    while at > 0 {
        at -= 1;
        // SAFETY: `at` is inside both ranges; backwards, because `to` starts inside `from`.
        unsafe {
            asm!("mov {0}, byte ptr [{1}]", "mov byte ptr [{2}], {0}", out(reg_byte) _, in(reg) from.add(at), in(reg) to.add(at), options(nostack))
        };
    }
    to
}

/// Fills a range.
///
/// # Safety
/// As for C's `memset`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    // SAFETY: the caller's contract; the instruction writes `length` bytes.
    unsafe { asm!("rep stosb", inout("rcx") length => _, inout("rdi") to => _, in("al") byte as u8, options(nostack)) };
    to
}

/// Compares two ranges.
///
/// # Safety
/// As for C's `memcmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    let mut at = 0;
    while at < length {
        // SAFETY: `at` is inside both ranges.
        let (left, right) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
        at += 1;
    }
    0
}

/// Compares two ranges for equality.
///
/// # Safety
/// As for C's `bcmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { memcmp(left, right, length) }
}

/// Named by the precompiled core library; never called, because panics end the process.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}
