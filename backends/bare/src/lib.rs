//! What images without operating system share: memory functions, the processor's randomness, the end.
#![no_std]

mod memory;

/// Fills `bytes` from the processor's random number generator. False when it is exhausted, or there is none.
#[must_use]
pub fn fill_random(bytes: &mut [u8]) -> bool {
    for chunk in bytes.chunks_mut(8) {
        let Some(word) = random_word() else { return false };
        chunk.iter_mut().zip(word.to_le_bytes()).for_each(|(place, byte)| *place = byte);
    }
    true
}

/// A word from the processor's random number generator, which may be exhausted for a moment.
#[cfg(target_arch = "x86_64")]
fn random_word() -> Option<u64> {
    (0..16).find_map(|_| {
        let (word, drawn): (u64, u8);
        // SAFETY: RDRAND writes two registers and flags; every x86-64 processor since 2012 has it, others fault and die.
        unsafe { core::arch::asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) drawn) };
        (drawn == 1).then_some(word)
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn random_word() -> Option<u64> {
    None
}

/// Ends the module at once: what a panic comes to. The keys go with it.
pub fn die() -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an undefined instruction ends the module; it returns to nothing.
    unsafe {
        core::arch::asm!("ud2", options(noreturn))
    };
    #[cfg(not(target_arch = "x86_64"))]
    loop {}
}
