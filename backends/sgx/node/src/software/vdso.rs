//! EENTER and EEXIT in software, behind the interface of the kernel's `__vdso_sgx_enter_enclave`.

use crate::entry::{Run, leave};
use crate::pages::Loaded;
use std::arch::naked_asm;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the processor would know of the enclave and of the thread in it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct State {
    /// 1 while an entry goes on, and for ever after one that faulted.
    pub(crate) busy: AtomicU64,
    pub(crate) base: AtomicU64,
    pub(crate) size: AtomicU64,
    tcs: AtomicU64,
    entry: AtomicU64,
    /// Suspended entries, as the enclave is told. Nothing is ever suspended here; tests claim otherwise.
    pub(crate) suspended: AtomicU64,
    fs: AtomicU64,
    gs: AtomicU64,
    host_fs: AtomicU64,
    host_gs: AtomicU64,
    host_rsp: AtomicU64,
    host_rbp: AtomicU64,
}

/// The one enclave of this process.
pub(crate) static STATE: State = State {
    busy: AtomicU64::new(0),
    base: AtomicU64::new(0),
    size: AtomicU64::new(0),
    tcs: AtomicU64::new(0),
    entry: AtomicU64::new(0),
    suspended: AtomicU64::new(0),
    fs: AtomicU64::new(0),
    gs: AtomicU64::new(0),
    host_fs: AtomicU64::new(0),
    host_gs: AtomicU64::new(0),
    host_rsp: AtomicU64::new(0),
    host_rbp: AtomicU64::new(0),
};

impl State {
    pub(crate) fn set(&self, loaded: &Loaded, entry: u64, (fs, gs): (u64, u64)) {
        let values = [
            (&self.base, loaded.base),
            (&self.size, loaded.size),
            (&self.entry, entry),
            (&self.fs, fs),
            (&self.gs, gs),
            (&self.tcs, loaded.tcs),
        ];
        values.into_iter().for_each(|(place, value)| place.store(value, Ordering::SeqCst));
    }
}

/// EENTER as the kernel offers it. Gives 0 when the instruction was executed, -22 for what it is not for.
///
/// # Safety
/// 1. `run` is writable; [`super::load`] has set the enclave up.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn software(
    rdi: u64, rsi: u64, rdx: u64, function: u32, r8: u64, r9: u64, run: *mut Run,
) -> i32 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "cmp ecx, 2",
        "jne 8f",
        "mov r11, [rbp + 16]",
        "mov rbx, [r11]",
        "lea r10, [rip + {state}]",
        "cmp rbx, [r10 + {tcs}]",
        "jne 8f",
        "mov ecx, 1",
        "xor eax, eax",
        "lock cmpxchg [r10 + {busy}], rcx",
        "jne 7f",
        "mov [r10 + {host_rsp}], rsp",
        "mov [r10 + {host_rbp}], rbp",
        "rdfsbase rax",
        "mov [r10 + {host_fs}], rax",
        "rdgsbase rax",
        "mov [r10 + {host_gs}], rax",
        "mov rax, [r10 + {fs}]",
        "wrfsbase rax",
        "mov rax, [r10 + {gs}]",
        "wrgsbase rax",
        "lea rcx, [rip + 2f]",
        "mov r11, [r10 + {entry}]",
        "mov rax, [r10 + {suspended}]",
        "jmp r11",
        "2:",
        "mov r11, [rbp + 16]",
        "mov dword ptr [r11 + {function}], 4",
        "xor eax, eax",
        "jmp 9f",
        // The thread is busy, or broken: the instruction faults.
        "7:",
        "mov dword ptr [r11 + {function}], 2",
        "mov word ptr [r11 + {vector}], 13",
        "mov word ptr [r11 + {code}], 0",
        "mov qword ptr [r11 + {address}], 0",
        "xor eax, eax",
        "jmp 9f",
        "8:",
        "mov eax, -22",
        "9:",
        "pop rbx",
        "pop rbp",
        "ret",
        state = sym STATE,
        busy = const offset_of!(State, busy),
        tcs = const offset_of!(State, tcs),
        entry = const offset_of!(State, entry),
        suspended = const offset_of!(State, suspended),
        fs = const offset_of!(State, fs),
        gs = const offset_of!(State, gs),
        host_fs = const offset_of!(State, host_fs),
        host_gs = const offset_of!(State, host_gs),
        host_rsp = const offset_of!(State, host_rsp),
        host_rbp = const offset_of!(State, host_rbp),
        function = const offset_of!(Run, function),
        vector = const offset_of!(Run, vector),
        code = const offset_of!(Run, error_code),
        address = const offset_of!(Run, address),
    )
}

/// EEXIT: the enclave jumps here, with the leaf in RAX and its target in RBX. The stack is not the enclave's to say.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exit() {
    naked_asm!(
        "cmp rax, 4",
        "jne 3f",
        "lea r10, [rip + {state}]",
        "mov r11, rbx",
        "sub r11, [r10 + {base}]",
        "cmp r11, [r10 + {size}]",
        "jb 3f",
        "mov r11, [r10 + {host_fs}]",
        "wrfsbase r11",
        "mov r11, [r10 + {host_gs}]",
        "wrgsbase r11",
        "mov rsp, [r10 + {host_rsp}]",
        "mov rbp, [r10 + {host_rbp}]",
        "mov qword ptr [r10 + {busy}], 0",
        "jmp rbx",
        "3:",
        "ud2",
        state = sym STATE,
        busy = const offset_of!(State, busy),
        base = const offset_of!(State, base),
        size = const offset_of!(State, size),
        host_fs = const offset_of!(State, host_fs),
        host_gs = const offset_of!(State, host_gs),
        host_rsp = const offset_of!(State, host_rsp),
        host_rbp = const offset_of!(State, host_rbp),
    )
}

/// Where an entry ends that faulted. The thread stays busy for ever.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn abort() {
    naked_asm!(
        "lea r10, [rip + {state}]",
        "mov r11, [r10 + {host_fs}]",
        "wrfsbase r11",
        "mov r11, [r10 + {host_gs}]",
        "wrgsbase r11",
        "jmp {leave}",
        state = sym STATE,
        host_fs = const offset_of!(State, host_fs),
        host_gs = const offset_of!(State, host_gs),
        leave = sym leave,
    )
}

/// In front of the handler of signals: gives it the host's thread data, if the enclave's were in place.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn shim() {
    naked_asm!(
        "push rbx",
        "rdfsbase rbx",
        "lea rax, [rip + {state}]",
        "cmp rbx, [rax + {fs}]",
        "jne 2f",
        "mov rax, [rax + {host_fs}]",
        "wrfsbase rax",
        "2:",
        "call {handler}",
        "wrfsbase rbx",
        "pop rbx",
        "ret",
        state = sym STATE,
        fs = const offset_of!(State, fs),
        host_fs = const offset_of!(State, host_fs),
        handler = sym crate::signals::handle,
    )
}
