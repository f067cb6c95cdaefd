//! An entry by a host that prepared every register, and what it finds in them afterwards.

use super::*;
use std::arch::naked_asm;
use std::mem::offset_of;

/// What a register holds that the host chose.
const CHOSEN: u64 = 0x5a5a_5a5a_5a5a_5a5a;
/// Rounds to zero, and traps whatever can trap.
const BAD_MXCSR: u32 = 0x6000;
const GOOD_MXCSR: u32 = 0x1f80;
/// Direction and alignment check.
const BAD_FLAGS: u64 = 0x4_0400;

/// Where the host finds things afterwards.
#[repr(C)]
struct Left {
    /// RCX, RDX, RSI, RDI, R8, R9.
    own: [u64; 6],
    /// R12 to R15: the host's.
    kept: [u64; 4],
    flags: u64,
    /// The x87 environment: control word, status word, tags, each with two bytes behind it.
    x87: [u32; 7],
    mxcsr: u32,
    /// YMM0 to YMM15.
    vectors: [[u64; 4]; 16],
}

#[repr(C)]
struct Chosen {
    vector: [u64; 4],
    mxcsr: u32,
    good: u32,
}

static CHOICE: Chosen = Chosen { vector: [CHOSEN; 4], mxcsr: BAD_MXCSR, good: GOOD_MXCSR };
static mut LEFT: Left =
    Left { own: [CHOSEN; 6], kept: [0; 4], flags: 0, x87: [0; 7], mxcsr: 0, vectors: [[CHOSEN; 4]; 16] };

/// In the place of the vDSO's function: the same in a hostile state.
///
/// # Safety
/// As [`vdso::software`]; one entry at a time.
#[unsafe(naked)]
unsafe extern "C" fn poisoned(_: u64, _: u64, _: u64, _: u32, _: u64, _: u64, _: *mut Run) -> i32 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push qword ptr [rbp + 16]",
        "lea rax, [rip + {choice}]",
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "vmovdqu ymm\\n, [rax]",
        ".endr",
        "mov rsi, [rax]",
        ".irp register, rdx, r8, r9, r12, r13, r14, r15",
        "mov \\register, rsi",
        ".endr",
        "fninit",
        ".rept 8",
        "fld1",
        ".endr",
        "ldmxcsr [rax + {bad}]",
        "pushfq",
        "or dword ptr [rsp], {flags_set}",
        "popfq",
        "call {software}",
        "lea r11, [rip + {left}]",
        "mov [r11], rcx",
        "mov [r11 + 8], rdx",
        "mov [r11 + 16], rsi",
        "mov [r11 + 24], rdi",
        "mov [r11 + 32], r8",
        "mov [r11 + 40], r9",
        "mov [r11 + {kept}], r12",
        "mov [r11 + {kept} + 8], r13",
        "mov [r11 + {kept} + 16], r14",
        "mov [r11 + {kept} + 24], r15",
        "pushfq",
        "pop r10",
        "mov [r11 + {flags}], r10",
        "fnstenv [r11 + {x87}]",
        "stmxcsr [r11 + {mxcsr}]",
        "push 2",
        "popfq",
        "lea r10, [r11 + {vectors}]",
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "vmovdqu [r10 + 32 * \\n], ymm\\n",
        ".endr",
        "vzeroall",
        "fninit",
        "lea r10, [rip + {choice}]",
        "ldmxcsr [r10 + {good}]",
        "pop r10",
        "pop rbx",
        "pop rbp",
        "ret",
        choice = sym CHOICE,
        left = sym LEFT,
        software = sym vdso::software,
        bad = const offset_of!(Chosen, mxcsr),
        good = const offset_of!(Chosen, good),
        flags_set = const BAD_FLAGS,
        kept = const offset_of!(Left, kept),
        flags = const offset_of!(Left, flags),
        x87 = const offset_of!(Left, x87),
        mxcsr = const offset_of!(Left, mxcsr),
        vectors = const offset_of!(Left, vectors),
    )
}

/// The enclave works as if nothing were, and leaves nothing.
pub(super) fn registers_are_cleaned_both_ways(host: &mut Host) {
    let mut order = host.order(ENTER, &call(Op::Attest.code(), &[7; 16]));
    let mut run = Run::new(host.loaded.tcs);
    // SAFETY: as in `Host::enter_at`; this is the only thread that enters.
    assert_eq!(unsafe { entry::call(poisoned, order.as_mut_ptr(), &raw mut run) }, 0);
    assert_eq!((run.function, order[5], order[7]), (EEXIT, DONE, 1), "vector {}", run.vector);
    // SAFETY: the entry is over, and nobody else knows the place.
    let left = unsafe { (&raw const LEFT).read() };
    assert_eq!(left.own, [0; 6], "RCX, RDX, RSI, RDI, R8, R9");
    assert_eq!(left.kept, [CHOSEN; 4], "R12 to R15 are the host's");
    assert_eq!(left.flags & BAD_FLAGS, 0, "direction and alignment check: {:#x}", left.flags);
    assert_eq!(left.mxcsr, GOOD_MXCSR);
    let [control, _, tags] = [left.x87[0], left.x87[1], left.x87[2]].map(|word| word & 0xffff);
    assert_eq!((control, tags), (0x37f, 0xffff), "the x87 stack is empty");
    assert_eq!(left.vectors, [[0; 4]; 16]);
    // And it is as well as before.
    host.attest();
}
