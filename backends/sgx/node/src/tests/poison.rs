//! Registers across the wall: what a host leaves in them must not matter inside, and what was inside must not be left in them.
//!
//! [`poisoned`] enters in place of the software's EENTER and spoils every register first; [`watched`] stands where the enclave
//! leaves to and writes down what it left; [`look`] sees the enclave's registers when it executes EREPORT.

use super::{CANARY, ENTER, Host, UNTOUCHED, call};
use crate::platform::identity::REPORT_BYTES;
use crate::service::Client;
use crate::software::{lay_trampoline, vdso};
use crate::{entry::Run, software::vdso::STATE};
use std::arch::naked_asm;
use std::sync::atomic::{AtomicU64, Ordering};
use veritee_ids::Op;

/// Flags: string instructions run backwards, and what is not aligned faults.
const DIRECTION: u64 = 1 << 10;
const ALIGNMENT: u64 = 1 << 18;
/// Carry, parity, adjust, zero, sign, overflow; and the bit that is always set.
const ARITHMETIC: u64 = 0x8d7;
/// MXCSR as the ABI has it: all exceptions masked, round to nearest; and its sticky flags, which computations set.
const MXCSR: u64 = 0x1f80;
const STICKY: u32 = 0x3f;
/// Control word and tags of an x87 that was just initialised.
const CONTROL: u64 = 0x37f;
const EMPTY: u64 = 0xffff;

/// Places in what is written down, in words.
const GENERAL: usize = 0;
const FLAGS: usize = 8;
const CONTROLS: usize = 9;
const X87: usize = 10;
const KEPT: usize = 14;
const VECTORS: usize = 20;
const WORDS: usize = VECTORS + 64;

/// Aligned, so that a host whose flags were not given back faults nowhere but in the test's own words.
#[derive(Debug)]
#[repr(align(64))]
struct Words<const COUNT: usize>([AtomicU64; COUNT]);

impl<const COUNT: usize> Words<COUNT> {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; COUNT])
    }

    fn read(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::SeqCst)
    }
}

/// What the enclave left: RCX, RDX, RSI, RDI, R8 to R11, flags, MXCSR, the x87 environment; RBX, RBP, R12 to R15 once the host
/// has them back; the vector registers.
static LEFT: Words<WORDS> = Words::new();
/// What the enclave had when it executed EREPORT: flags, MXCSR, x87 control, status, and a bit for each register in use.
static INSIDE: Words<5> = Words::new();
/// The flags to enter with, and the pattern for all vector registers.
static POISON: Words<2> = Words::new();

/// Spoils all registers that the interface leaves to the caller, then enters. Flags, MXCSR, x87 and vector registers are put
/// right afterwards, so that only the assertions speak of what came back.
#[unsafe(naked)]
unsafe extern "C" fn poisoned(_: u64, _: u64, _: u64, _: u32, _: u64, _: u64, _: *mut Run) -> i32 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push qword ptr [rsp + 56]",
        ".irp at, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "vbroadcastsd ymm\\at, [rip + {poison} + 8]",
        ".endr",
        ".rept 8",
        "fld1",
        ".endr",
        // Round towards zero, and fault at every exception; the same for the x87.
        "push 0x6000",
        "ldmxcsr [rsp]",
        "push 0x0c00",
        "fldcw [rsp]",
        "add rsp, 16",
        "mov rdx, 0x0d0d0d0d0d0d0d0d",
        "mov rsi, 0x0505050505050505",
        "mov r8, 0x0808080808080808",
        "mov r9, 0x0909090909090909",
        "mov rbx, 1",
        "mov rbp, 2",
        "mov r12, 3",
        "mov r13, 4",
        "mov r14, 5",
        "mov r15, 6",
        "push qword ptr [rip + {poison}]",
        "popfq",
        "call {software}",
        "push 2",
        "popfq",
        "push 0x1f80",
        "ldmxcsr [rsp]",
        "pop rcx",
        "fninit",
        "vzeroall",
        "mov [rip + {left} + 8 * {kept}], rbx",
        "mov [rip + {left} + 8 * {kept} + 8], rbp",
        "mov [rip + {left} + 8 * {kept} + 16], r12",
        "mov [rip + {left} + 8 * {kept} + 24], r13",
        "mov [rip + {left} + 8 * {kept} + 32], r14",
        "mov [rip + {left} + 8 * {kept} + 40], r15",
        "pop rcx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        poison = sym POISON,
        left = sym LEFT,
        kept = const KEPT,
        software = sym vdso::software,
    )
}

/// Where the enclave leaves to: writes its registers down before anything of the host's touches them, and goes on to EEXIT.
#[unsafe(naked)]
unsafe extern "C" fn watched() {
    naked_asm!(
        "mov [rip + {left}], rcx",
        "mov [rip + {left} + 8], rdx",
        "mov [rip + {left} + 16], rsi",
        "mov [rip + {left} + 24], rdi",
        "mov [rip + {left} + 32], r8",
        "mov [rip + {left} + 40], r9",
        "mov [rip + {left} + 48], r10",
        "mov [rip + {left} + 56], r11",
        "pushfq",
        "pop qword ptr [rip + {left} + 8 * {flags}]",
        "stmxcsr [rip + {left} + 8 * {controls}]",
        "fnstenv [rip + {left} + 8 * {x87}]",
        ".irp at, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "vmovdqu [rip + {left} + 8 * {vectors} + 32 * \\at], ymm\\at",
        ".endr",
        "jmp {exit}",
        left = sym LEFT,
        flags = const FLAGS,
        controls = const CONTROLS,
        x87 = const X87,
        vectors = const VECTORS,
        exit = sym vdso::exit,
    )
}

/// Handles an illegal instruction as before, but looks first, and leaves flags of a computation in MXCSR. The thread's data are
/// the enclave's: nothing here may need them.
extern "C" fn look(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    type Handler = unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::ucontext_t);
    // SAFETY: the kernel passes a context that is this handler's while it runs, with the state of all units in it.
    let (registers, state) = unsafe { (&(*context).uc_mcontext.gregs, &mut *(*context).uc_mcontext.fpregs) };
    let flags = registers[libc::REG_EFL as usize].cast_unsigned();
    let words = [flags, state.mxcsr.into(), state.cwd.into(), state.swd.into(), state.ftw.into()];
    for (place, word) in INSIDE.0.iter().zip(words) {
        place.store(word, Ordering::SeqCst);
    }
    state.mxcsr |= STICKY;
    // SAFETY: the function has the form of a handler, which its type, that of bare code, does not say.
    let handle = unsafe { std::mem::transmute::<unsafe extern "C" fn(), Handler>(vdso::shim) };
    // SAFETY: it gets what the kernel passed.
    unsafe { handle(signal, info, context) };
}

/// Has illegal instructions handled by a function, without ticks of the clock in between; gives what was there before.
fn handle_by(handler: usize) -> usize {
    // SAFETY: both calls get valid pointers; an action that was read is set again with another handler of the same form. The
    // clock's signal is blocked, as no handler is made for a host that entered with these flags.
    unsafe {
        let mut clock: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut clock);
        libc::sigaddset(&raw mut clock, libc::SIGVTALRM);
        let how = if handler == vdso::shim as *const () as usize { libc::SIG_UNBLOCK } else { libc::SIG_BLOCK };
        assert_eq!(libc::pthread_sigmask(how, &raw const clock, std::ptr::null_mut()), 0);
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGILL, std::ptr::null(), &raw mut action), 0);
        let before = std::mem::replace(&mut action.sa_sigaction, handler);
        assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
        before
    }
}

/// The whole story: each flag alone and both together, then the way out of an entry that goes nowhere.
pub(super) fn registers_carry_nothing_across(host: &mut Host, platform: &Client) {
    let trampoline = host.loaded.base + host.loaded.size;
    lay_trampoline(trampoline, watched).unwrap();
    assert_eq!(handle_by(look as *const () as usize), vdso::shim as *const () as usize);
    host.door = poisoned;
    for flags in [DIRECTION, ALIGNMENT, DIRECTION | ALIGNMENT] {
        spoil(flags);
        let report = host.attest();
        is_sound(host, platform, &report);
        assert_eq!(INSIDE.read(0) & (DIRECTION | ALIGNMENT), 0, "flags inside, entered with {flags:#x}");
        assert_eq!(INSIDE.read(1), MXCSR, "MXCSR inside");
        assert_eq!([2, 3, 4].map(|at| INSIDE.read(at)), [CONTROL, 0, 0], "x87 control, status and registers inside");
        nothing_is_left();
        assert_eq!(LEFT.read(FLAGS) & (DIRECTION | ALIGNMENT), 0, "flags that are left");
        assert_eq!(LEFT.read(CONTROLS) & 0xffff_ffff, MXCSR, "MXCSR that is left: its flags tell of computations");
        let x87 = [LEFT.read(X87), LEFT.read(X87) >> 32, LEFT.read(X87 + 1)].map(|word| word & 0xffff);
        assert_eq!(x87, [CONTROL, 0, EMPTY], "x87 control, status and tags that are left");
        let vectors: Vec<u64> = (VECTORS..WORDS).map(|at| LEFT.read(at)).collect();
        assert!(vectors.iter().all(|word| *word == 0), "vector registers that are left: {vectors:x?}");
    }
    STATE.suspended.store(1, Ordering::SeqCst);
    spoil(0);
    let mut order = host.order(ENTER, &call(Op::Attest.code(), &[7; 16]));
    assert_eq!(host.enter(&mut order), Ok([UNTOUCHED, 0, 0]), "while another entry is suspended");
    nothing_is_left();
    STATE.suspended.store(0, Ordering::SeqCst);
    host.door = vdso::software;
    handle_by(vdso::shim as *const () as usize);
    lay_trampoline(trampoline, vdso::exit).unwrap();
}

/// What the next entry is made with; what an earlier one left is forgotten.
fn spoil(flags: u64) {
    POISON.0[0].store(ARITHMETIC | flags, Ordering::SeqCst);
    POISON.0[1].store(CANARY, Ordering::SeqCst);
    LEFT.0.iter().chain(&INSIDE.0).for_each(|place| place.store(u64::MAX, Ordering::SeqCst));
}

/// Its tag is the platform's: what was computed inside is right.
fn is_sound(host: &Host, platform: &Client, report: &[u8; REPORT_BYTES]) {
    assert_eq!(report[64..96], host.image.measurement);
    let mut evidence = vec![0; 32 * 1024];
    assert!(platform.quote(report, &mut evidence).unwrap() > 4000, "a report with a wrong tag gets no quote");
}

/// No register that the host does not get back has anything in it, and those that it gets back are its own.
fn nothing_is_left() {
    let names = ["rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"];
    for (name, at) in names.into_iter().zip(GENERAL..) {
        assert_eq!(LEFT.read(at), 0, "{name}, in which the enclave must leave nothing");
    }
    let kept: [u64; 6] = std::array::from_fn(|at| LEFT.read(KEPT + at));
    assert_eq!(kept, [1, 2, 3, 4, 5, 6], "rbx, rbp, r12 to r15 are the host's");
}
