//! What arrives by signal: an entry that does not end; in software also instructions that are emulated, and faults.

use crate::entry::{ENTRY, leave};
use crate::platform::identity::{FAULT, REPORT_BYTES, TARGET_BYTES};
use crate::service::Client;
use crate::software::vdso::{self, STATE};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of the stack that signals are handled on.
const STACK_BYTES: usize = 128 * 1024;
/// How often an entry that lasts is looked at.
const TICK_MS: u64 = 100;
/// Length of ENCLU.
const ENCLU_BYTES: u64 = 3;
/// Vectors of exceptions.
pub(crate) const DIVIDE: u16 = 0;
pub(crate) const BREAKPOINT: u16 = 3;
pub(crate) const ILLEGAL: u16 = 6;
pub(crate) const PROTECTION: u16 = 13;
pub(crate) const PAGE_FAULT: u16 = 14;
/// No exception of a processor: the entry did not end in time.
pub(crate) const TOO_LONG: u16 = 0x100;
/// No exception of a processor: the platform does not answer.
pub(crate) const NO_PLATFORM: u16 = 0x101;

/// The platform, as the processor would know it.
static PLATFORM: OnceLock<Arc<Client>> = OnceLock::new();
/// Signals that arrived, but for ticks: ordinary calls cause none.
pub(crate) static TRAPS: AtomicU64 = AtomicU64::new(0);
/// Ticks that an entry may last.
static PATIENCE: AtomicU64 = AtomicU64::new(u64::MAX);
/// The entry that was seen at the last tick, and how many ticks ago it was first seen.
static SEEN: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

/// Ends entries that take longer of the processor's time, from now on.
pub(crate) fn watch(patience: Duration) -> Result<(), String> {
    let ticks = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).div_ceil(TICK_MS).max(1);
    PATIENCE.store(ticks, Ordering::Relaxed);
    let stack = Vec::leak(vec![0_u8; STACK_BYTES]);
    let alternate = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the stack is this thread's alone and never freed.
    if unsafe { libc::sigaltstack(&raw const alternate, std::ptr::null_mut()) } != 0 {
        return Err("no stack for signals".to_owned());
    }
    take(libc::SIGVTALRM)?;
    let every = libc::timeval { tv_sec: 0, tv_usec: 1000 * TICK_MS.cast_signed() };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the timer is valid. It counts the processor's time, so a sleeping runner gets no signals.
    if unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()) } != 0 {
        return Err("no timer".to_owned());
    }
    Ok(())
}

/// Emulates the enclave's instructions and takes its faults, from now on. After [`watch`].
pub(crate) fn emulate(platform: Arc<Client>) -> Result<(), String> {
    _ = PLATFORM.set(platform);
    [libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGTRAP].into_iter().try_for_each(take)
}

/// Has a signal handled here.
fn take(signal: i32) -> Result<(), String> {
    // SAFETY: an all-zero action is one without handler; it is filled below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = vdso::shim as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: both calls get valid pointers; the shim has the form of a handler.
    let set = unsafe {
        libc::sigfillset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    if set == 0 { Ok(()) } else { Err("a signal cannot be handled".to_owned()) }
}

/// Registers of what was interrupted.
struct Registers<'a>(&'a mut [i64; 23]);

impl Registers<'_> {
    fn read(&self, register: i32) -> u64 {
        usize::try_from(register).ok().and_then(|at| self.0.get(at)).map_or(0, |value| value.cast_unsigned())
    }

    fn write(&mut self, register: i32, value: u64) {
        if let Some(place) = usize::try_from(register).ok().and_then(|at| self.0.get_mut(at)) {
            *place = value.cast_signed();
        }
    }

    /// The entry ends here: its caller is told of an exception.
    fn abort(&mut self, vector: u16, address: u64) {
        // SAFETY: only what interrupts an entry calls this.
        unsafe { ENTRY.tell(vector, address) };
        // Only the software's EENTER took the thread's data away.
        let software = STATE.busy.load(Ordering::Relaxed) != 0;
        let target = if software { vdso::abort as *const () } else { leave as *const () };
        self.write(libc::REG_RIP, target as u64);
    }
}

/// Handles a signal; called by [`vdso::shim`] with the host's thread data in place.
pub(crate) unsafe extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes a context that is this handler's while it runs.
    let mut registers = Registers(unsafe { &mut (*context).uc_mcontext.gregs });
    if signal == libc::SIGVTALRM {
        return tick(&mut registers);
    }
    TRAPS.fetch_add(1, Ordering::Relaxed);
    if STATE.busy.load(Ordering::Relaxed) == 0 {
        // This program's own fault. Nothing can be cleaned up.
        // SAFETY: ends the process.
        unsafe { libc::_exit(5) };
    }
    let at = registers.read(libc::REG_RIP);
    if is_inside(at, ENCLU_BYTES) && (signal == libc::SIGILL || signal == libc::SIGSEGV) && is_enclu(at) {
        return execute(&mut registers, at);
    }
    let vector = match signal {
        libc::SIGFPE => DIVIDE,
        libc::SIGILL => ILLEGAL,
        libc::SIGTRAP => BREAKPOINT,
        _ => PAGE_FAULT,
    };
    // SAFETY: the kernel passes what it knows of the signal.
    let address = if vector == PAGE_FAULT { unsafe { (*info).si_addr() as u64 } } else { at };
    registers.abort(vector, address);
}

fn is_inside(address: u64, length: u64) -> bool {
    let (base, size) = (STATE.base.load(Ordering::Relaxed), STATE.size.load(Ordering::Relaxed));
    address.checked_sub(base).and_then(|offset| offset.checked_add(length)).is_some_and(|end| end <= size)
}

fn is_enclu(at: u64) -> bool {
    // SAFETY: the processor has just fetched an instruction here, inside the enclave; its code cannot change.
    unsafe { (at as *const [u8; 3]).read_unaligned() == [0x0f, 0x01, 0xd7] }
}

/// Executes ENCLU inside the enclave: the leaf is in RAX, operands in RBX, RCX, RDX.
fn execute(registers: &mut Registers<'_>, at: u64) {
    let [leaf, rbx, rcx, rdx] =
        [libc::REG_RAX, libc::REG_RBX, libc::REG_RCX, libc::REG_RDX].map(|register| registers.read(register));
    let fits =
        |address: u64, length: u64, alignment: u64| address.is_multiple_of(alignment) && is_inside(address, length);
    let Some(platform) = PLATFORM.get() else { return registers.abort(NO_PLATFORM, at) };
    let done = match leaf {
        0 if fits(rbx, 512, 512) && fits(rcx, 64, 128) && fits(rdx, 432, 512) => {
            // SAFETY: both operands lie inside the enclave; the only thread in it waits here.
            let (target, data) =
                unsafe { ((rbx as *const [u8; TARGET_BYTES]).read(), (rcx as *const [u8; 64]).read()) };
            platform.report(&target, &data).map(|report| {
                // SAFETY: as above; a page that cannot be written ends the process.
                unsafe { (rdx as *mut [u8; REPORT_BYTES]).write(report) };
                0
            })
        }
        1 if fits(rbx, 512, 512) && fits(rcx, 16, 16) => {
            // SAFETY: as above.
            let request = unsafe { (rbx as *const [u8; 512]).read() };
            match platform.key(&request) {
                Some(Err(FAULT)) => return registers.abort(PROTECTION, at),
                Some(Ok(key)) => {
                    // SAFETY: as above.
                    unsafe { (rcx as *mut [u8; 16]).write(key) };
                    Some(0)
                }
                Some(Err(code)) => Some(code),
                None => None,
            }
        }
        4 => return registers.write(libc::REG_RIP, vdso::exit as *const () as u64),
        _ => return registers.abort(PROTECTION, at),
    };
    let Some(code) = done else { return registers.abort(NO_PLATFORM, at) };
    registers.write(libc::REG_RAX, code.into());
    let zero = u64::from(code != 0) << 6;
    let flags = registers.read(libc::REG_EFL) & !(1 << 6) | zero;
    registers.write(libc::REG_EFL, flags);
    registers.write(libc::REG_RIP, at + ENCLU_BYTES);
}

/// Ends an entry that was already going on so many ticks ago.
fn tick(registers: &mut Registers<'_>) {
    let entry = ENTRY.count.load(Ordering::Relaxed);
    let at = registers.read(libc::REG_RIP);
    if SEEN.0.swap(entry, Ordering::Relaxed) != entry {
        SEEN.1.store(0, Ordering::Relaxed);
    } else if SEEN.1.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE.load(Ordering::Relaxed) && ENTRY.covers(at) {
        registers.abort(TOO_LONG, at);
    }
}
