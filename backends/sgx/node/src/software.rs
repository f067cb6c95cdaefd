//! Software SGX: runs the very image that hardware would, in this process.
//!
//! [`load`] maps the pages at their places, after measurement and signature were checked, and puts a jump where the image
//! leaves; [`vdso`] is entered as the kernel's `__vdso_sgx_enter_enclave` is, and costs no trap; everything else arrives by
//! signal (`signals`): EREPORT, EGETKEY, faults, time that ran out.
//!
//! What differs from hardware: memory is not encrypted; a fault ends the thread for good instead of saving its state; an
//! enclave can read and jump outside freely, which is why the process is a sandbox without keys. One enclave a process.

pub(crate) mod vdso;

use crate::entry::ENTRY;
use crate::pages::{Loaded, adjacent, reserve};
use rustix::mm::MprotectFlags;
use std::ptr;
use vdso::STATE;
use veritee_sgx_format::{PAGE, Page, PageKind, SgxImage};

/// What the image leaves with: ENCLU, and five bytes that do nothing.
const EXIT: [u8; 8] = [0x0f, 0x01, 0xd7, 0x0f, 0x1f, 0x44, 0x00, 0x00];

/// Maps a checked image. Only once in a process.
pub(crate) fn load(image: &SgxImage) -> Result<Loaded, String> {
    supported()?;
    let size = usize::try_from(image.contents.size).map_err(|_| "the enclave is too large")?;
    let base = reserve(size)?;
    let trampoline = base + size as u64;
    let mut exits = 0;
    for run in image.contents.pages.chunk_by(adjacent) {
        exits += place(base, run, trampoline)?;
    }
    if exits != 1 {
        return Err(format!("the enclave has {exits} exits instead of one"));
    }
    lay_trampoline(trampoline, vdso::exit)?;
    let tcs = image.contents.page(image.layout.tcs).and_then(|page| page.measured.as_deref());
    let tcs = tcs.ok_or("the enclave has no thread")?;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| tcs[at + byte]));
    let window = base..trampoline;
    let loaded = Loaded { base, size: image.contents.size, tcs: base + image.layout.tcs, window };
    ENTRY.set_window(&loaded.window);
    STATE.set(&loaded, base + word(32), (base + word(48), base + word(56)));
    Ok(loaded)
}

/// What the software SGX needs of processor and kernel, and what images need of the processor.
pub(crate) fn supported() -> Result<(), String> {
    // SAFETY: asks for a number.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP2) };
    if capabilities & 2 == 0 {
        return Err(
            "software SGX needs the instructions for FS and GS (FSGSBASE: kernel 5.9, processors of 2013)".to_owned()
        );
    }
    let missing = [
        ("AVX", std::arch::is_x86_feature_detected!("avx")),
        ("AES", std::arch::is_x86_feature_detected!("aes")),
        ("PCLMULQDQ", std::arch::is_x86_feature_detected!("pclmulqdq")),
        ("SHA", std::arch::is_x86_feature_detected!("sha")),
        ("RDRAND", std::arch::is_x86_feature_detected!("rdrand")),
    ];
    match missing.iter().find(|(_, there)| !there) {
        Some((feature, _)) => Err(format!("SGX images need a processor with {feature}")),
        None => Ok(()),
    }
}

/// Puts pages of one kind, one behind the other, at their place. Gives the number of exits among them.
fn place(base: u64, run: &[Page], trampoline: u64) -> Result<usize, String> {
    let (Some(first), length) = (run.first(), run.len() * PAGE) else { return Ok(0) };
    let start = base + first.offset;
    protect(start, length, MprotectFlags::READ | MprotectFlags::WRITE)?;
    for page in run {
        let Some(bytes) = &page.measured else { continue };
        // SAFETY: the page lies inside the range that was reserved (the image's reader checked its offset), is writable now,
        // and nobody else knows of it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), (base + page.offset) as *mut u8, PAGE) };
    }
    let (flags, exits) = match first.kind {
        PageKind::Tcs => (MprotectFlags::empty(), 0),
        PageKind::Regular { write: true, .. } => return Ok(0),
        PageKind::Regular { execute: false, .. } => (MprotectFlags::READ, 0),
        PageKind::Regular { execute: true, .. } => {
            (MprotectFlags::READ | MprotectFlags::EXEC, patch(start, length, trampoline))
        }
    };
    protect(start, length, flags)?;
    Ok(exits)
}

/// Replaces exits by jumps, after measurement and before anything runs: an exit then costs no trap. Gives their number.
fn patch(start: u64, length: usize, trampoline: u64) -> usize {
    // SAFETY: the pages were just written and are still writable; nobody else knows of them.
    let code = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, length) };
    let mut exits = 0;
    for (place, at) in code.chunks_exact_mut(EXIT.len()).zip((start..).step_by(EXIT.len())) {
        if *place == EXIT {
            // The range is at most a gigabyte long, so the distance fits.
            let distance = i32::try_from(trampoline.cast_signed() - (at + 5).cast_signed()).unwrap_or(0);
            place[0] = 0xe9;
            place[1..5].copy_from_slice(&distance.to_le_bytes());
            exits += 1;
        }
    }
    exits
}

/// Lays a jump to what stands for EEXIT right behind the enclave's range.
pub(crate) fn lay_trampoline(place: u64, exit: unsafe extern "C" fn()) -> Result<(), String> {
    protect(place, PAGE, MprotectFlags::READ | MprotectFlags::WRITE)?;
    let mut code = [0xff, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    code[6..].copy_from_slice(&(exit as *const () as u64).to_le_bytes());
    // SAFETY: the page was reserved with the enclave's range and is writable now; nobody is inside the enclave.
    unsafe { ptr::copy_nonoverlapping(code.as_ptr(), place as *mut u8, code.len()) };
    protect(place, PAGE, MprotectFlags::READ | MprotectFlags::EXEC)
}

fn protect(start: u64, length: usize, flags: MprotectFlags) -> Result<(), String> {
    // SAFETY: the pages lie inside the range that was reserved for the enclave; nothing has a reference into them.
    let protected = unsafe { rustix::mm::mprotect(start as *mut _, length, flags) };
    protected.map_err(|error| format!("the enclave's pages cannot be protected: {error}"))
}
