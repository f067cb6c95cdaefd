//! Entering an enclave: through one function pointer with the form of the kernel's vDSO, on hardware and in software.
//!
//! # Source
//! Linux, `arch/x86/include/uapi/asm/sgx.h`.

use std::arch::naked_asm;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// ENCLU leaves as they appear in [`Run::function`].
pub(crate) const EENTER: u32 = 2;
pub(crate) const ERESUME: u32 = 3;
pub(crate) const EEXIT: u32 = 4;

/// `struct sgx_enclave_run`: how an entry went.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Run {
    pub(crate) tcs: u64,
    /// EEXIT: the enclave left by itself; anything else: a fault.
    pub(crate) function: u32,
    pub(crate) vector: u16,
    pub(crate) error_code: u16,
    pub(crate) address: u64,
    user_handler: u64,
    user_data: u64,
    reserved: [u8; 216],
}

impl Run {
    pub(crate) const fn new(tcs: u64) -> Self {
        Self {
            tcs,
            function: 0,
            vector: 0,
            error_code: 0,
            address: 0,
            user_handler: 0,
            user_data: 0,
            reserved: [0; 216],
        }
    }
}

// The kernel refuses another length, and reads these places.
const _: () = assert!(size_of::<Run>() == 256 && offset_of!(Run, function) == 8 && offset_of!(Run, vector) == 12);
const _: () = assert!(offset_of!(Run, address) == 16 && offset_of!(Run, user_handler) == 24);

/// `vdso_sgx_enter_enclave_t`.
pub(crate) type Enter = unsafe extern "C" fn(u64, u64, u64, u32, u64, u64, *mut Run) -> i32;

/// The entry that is going on.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Entry {
    /// Entries so far.
    pub(crate) count: AtomicU64,
    /// Where its caller wants to be told how it went.
    run: AtomicPtr<Run>,
    /// The stack just in front of the return to [`call`].
    stack: AtomicU64,
    /// Code that runs only while an entry goes on: start and length.
    window: (AtomicU64, AtomicU64),
}

/// The one of this process.
pub(crate) static ENTRY: Entry = Entry {
    count: AtomicU64::new(0),
    run: AtomicPtr::new(std::ptr::null_mut()),
    stack: AtomicU64::new(0),
    window: (AtomicU64::new(0), AtomicU64::new(0)),
};

impl Entry {
    /// Says which code runs only while an entry goes on: the enclave's, or the vDSO's function, to which hardware leaves.
    pub(crate) fn set_window(&self, window: &Range<u64>) {
        self.window.0.store(window.start, Ordering::SeqCst);
        self.window.1.store(window.end - window.start, Ordering::SeqCst);
    }

    /// Whether code at an address runs only while an entry goes on.
    pub(crate) fn covers(&self, address: u64) -> bool {
        address.wrapping_sub(self.window.0.load(Ordering::Relaxed)) < self.window.1.load(Ordering::Relaxed)
    }

    /// Tells the caller of the entry that is going on of an exception.
    ///
    /// # Safety
    /// 1. An entry is going on, in this thread, which is interrupted.
    pub(crate) unsafe fn tell(&self, vector: u16, address: u64) {
        let run = self.run.load(Ordering::Relaxed);
        // SAFETY: the entry's caller waits (duty 1) for `run`, which is writable (duty 2 of `call`).
        unsafe {
            (*run).function = ERESUME;
            (*run).vector = vector;
            (*run).address = address;
        }
    }
}

/// Enters an enclave through a function of the vDSO's form, keeping the registers that only the caller can keep.
///
/// # Safety
/// 1. `enter` is the kernel's function, or the software's after its enclave was loaded.
/// 2. `block` is what the enclave takes for its order, `run` is writable.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call(enter: Enter, block: *mut u64, run: *mut Run) -> i32 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdx",
        "lea r11, [rip + {entry}]",
        "inc qword ptr [r11 + {count}]",
        "mov [r11 + {run}], rdx",
        "lea r10, [rsp - 8]",
        "mov [r11 + {stack}], r10",
        "mov rax, rdi",
        "mov rdi, rsi",
        "xor esi, esi",
        "xor edx, edx",
        "mov ecx, 2",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "call rax",
        "pop rdx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        entry = sym ENTRY,
        count = const offset_of!(Entry, count),
        run = const offset_of!(Entry, run),
        stack = const offset_of!(Entry, stack),
    )
}

/// Where an entry ends that was interrupted for good: returns to [`call`]. Its thread is not to be entered again.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn leave() {
    naked_asm!(
        "mov rsp, [rip + {entry} + {stack}]",
        "push 2",
        "popfq",
        "push 0x1f80",
        "ldmxcsr [rsp]",
        "pop rax",
        "fninit",
        "vzeroall",
        "xor eax, eax",
        "ret",
        entry = sym ENTRY,
        stack = const offset_of!(Entry, stack),
    )
}
