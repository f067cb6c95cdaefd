//! A module in C as a [`Program`], for platforms whose core is the one in Rust.
//!
//! The image builder compiles the author's files with `sdk/c/core/program.c` and a generated port table, and writes a crate
//! that names this one's [`Foreign`] as its program. Calls of the core go to `vt_run` there; what a handler does comes back
//! through the `vt_wire_…` functions here, and from here to the core's [`Wires`].
//!
//! 1. The C side is trusted: it is the author's, and measured. What it is given is checked on its side, once for all languages.
//! 2. One thread enters an image, so there is one call at a time and one place for its wires.
#![no_std]

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::transmute;
use core::ptr::slice_from_raw_parts_mut;
use core::sync::atomic::{AtomicBool, Ordering};
use veritee_module::{Call, Io, Refusal, Wires};
use veritee_wire::Malformed;

pub use veritee_ids::{PortIndex, PortKind, TypeHash};
pub use veritee_module::{Program, ReplyToken};
pub use veritee_wire::ports::PortInfo;

/// What a handler is told when a request has no answer: see `veritee.h`.
const NOT_DECODED: u16 = 0xfffe;
const ABORTED: u16 = 0xffff;

/// What the generated crate knows of a module: its declarations.
pub trait Declared {
    /// The port table.
    const PORTS: &'static [PortInfo];
    /// Length of the movable state in bytes.
    const STATE_BYTES: usize;
    /// Length of `vt_in` in bytes.
    const IN_BYTES: usize;
}

/// The program of an image in C. There is one: its state is the C side's variables.
#[derive(Debug)]
pub struct Foreign<D>(PhantomData<D>);

/// A token, as C has it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Token {
    generation: u32,
    slot: u16,
}

const NO_TOKEN: Token = Token { generation: 0, slot: 0 };

// SAFETY: the signatures are those of `sdk/c/core/program.h`, and the generated source defines what is declared there.
unsafe extern "C" {
    static mut vt_in: [u8; 0];
    static vt_state: *mut u8;
    fn vt_start();
    fn vt_run(port: u16, bytes: u16, token: Token) -> bool;
    fn vt_run_refused(port: u16, refusal: u16);
    fn vt_run_late(port: u16);
    fn vt_state_means(state: *const u8) -> bool;
}

/// The wires of the call that runs.
struct Place {
    taken: AtomicBool,
    wires: UnsafeCell<Option<*mut (dyn Wires + 'static)>>,
}

// SAFETY: one thread enters an image at a time, which `taken` checks.
unsafe impl Sync for Place {}

static PLACE: Place = Place { taken: AtomicBool::new(false), wires: UnsafeCell::new(None) };

impl Place {
    /// Lends `io` to the C side while `call` runs.
    fn lend<R>(&self, io: Io<'_>, call: impl FnOnce() -> R) -> Result<R, Malformed> {
        if self.taken.swap(true, Ordering::Acquire) {
            return Err(Malformed);
        }
        // SAFETY: only the lifetime changes, and the pointer is forgotten before `io` ends.
        let wires = unsafe { transmute::<*mut (dyn Wires + '_), *mut (dyn Wires + 'static)>(io) };
        // SAFETY: `taken` was free, so nobody else reads or writes the place.
        unsafe { *self.wires.get() = Some(wires) };
        let result = call();
        // SAFETY: as above.
        unsafe { *self.wires.get() = None };
        self.taken.store(false, Ordering::Release);
        Ok(result)
    }

    /// Gives the wires of the call that runs to `then`; nothing outside of calls.
    fn with<R: Default>(&self, then: impl FnOnce(&mut dyn Wires) -> R) -> R {
        // SAFETY: only C functions that `call` of `lend` runs come here, one after another, while the pointer is good.
        unsafe { (*self.wires.get()).map(|wires| then(&mut *wires)).unwrap_or_default() }
    }
}

/// The buffer of what enters.
fn buffer<D: Declared>() -> &'static mut [u8] {
    // SAFETY: the generated source gives it `IN_BYTES` bytes; the core runs one call at a time, and each borrows it once.
    unsafe { &mut *slice_from_raw_parts_mut((&raw mut vt_in).cast::<u8>(), D::IN_BYTES) }
}

/// The movable state, which the C side's variable is.
fn state<D: Declared>() -> &'static mut [u8] {
    if D::STATE_BYTES == 0 {
        return &mut [];
    }
    // SAFETY: `vt_state` points to a variable of that many bytes, which no handler uses now.
    unsafe { &mut *slice_from_raw_parts_mut(vt_state, D::STATE_BYTES) }
}

/// Runs a port's function with a payload behind `front` bytes of the buffer, which is clean again afterwards.
fn enter<D: Declared>(
    port: PortIndex, front: usize, payload: &[u8], token: Token, io: Io<'_>,
) -> Result<(), Malformed> {
    let bytes = u16::try_from(payload.len()).map_err(|_| Malformed)?;
    let end = front + payload.len();
    buffer::<D>().get_mut(front..end).ok_or(Malformed)?.copy_from_slice(payload);
    // SAFETY: the payload of so many bytes lies in `vt_in`, where the C side looks for it.
    let ran = PLACE.lend(io, || unsafe { vt_run(port.0, bytes, token) });
    buffer::<D>().get_mut(front..end).ok_or(Malformed)?.fill(0);
    if ran? { Ok(()) } else { Err(Malformed) }
}

impl<D: Declared> Program for Foreign<D> {
    const PORTS: &'static [PortInfo] = D::PORTS;
    const STATE_BYTES: usize = D::STATE_BYTES;

    fn start() -> Self {
        // SAFETY: it sets the author's variables; nothing else runs.
        unsafe { vt_start() };
        Self(PhantomData)
    }

    fn run(&mut self, port: PortIndex, call: Call<'_>, io: Io<'_>) -> Result<(), Malformed> {
        let refusal = match call {
            Call::Input(payload) | Call::Entry(payload) => return enter::<D>(port, 0, payload, NO_TOKEN, io),
            Call::Request(payload, ReplyToken { slot, generation }) => {
                return enter::<D>(port, 0, payload, Token { generation, slot }, io);
            }
            Call::Reply(Ok(value)) => return enter::<D>(port, 2, value, NO_TOKEN, io),
            // SAFETY: the core enters `late` only where the port table says that there is one.
            Call::Late => return PLACE.lend(io, || unsafe { vt_run_late(port.0) }),
            Call::Reply(Err(Refusal::Refused(code))) => code.min(NOT_DECODED - 1),
            Call::Reply(Err(Refusal::Malformed)) => NOT_DECODED,
            Call::Reply(Err(Refusal::Aborted)) => ABORTED,
        };
        // SAFETY: the port is a request, which has a function behind it.
        PLACE.lend(io, || unsafe { vt_run_refused(port.0, refusal) })
    }

    fn save(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(state::<D>());
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let place = state::<D>();
        // SAFETY: it reads `STATE_BYTES` bytes, as many as `bytes` has if its length fits.
        if place.is_empty() || bytes.len() != place.len() || !unsafe { vt_state_means(bytes.as_ptr()) } {
            return Err(Malformed);
        }
        place.copy_from_slice(bytes);
        Ok(())
    }
}

/// The bytes of a payload that the C side points to.
///
/// # Safety
/// `payload` points to `bytes` bytes, or `bytes` is 0.
unsafe fn payload_of<'a>(payload: *const u8, bytes: u16) -> &'a [u8] {
    if payload.is_null() {
        return &[];
    }
    // SAFETY: the caller's duty.
    unsafe { core::slice::from_raw_parts(payload, usize::from(bytes)) }
}

/// Emits an event.
///
/// # Safety
/// As for [`payload_of`].
#[unsafe(no_mangle)]
unsafe extern "C" fn vt_wire_emit(port: u16, payload: *const u8, bytes: u16) {
    // SAFETY: handed on to the caller.
    let payload = unsafe { payload_of(payload, bytes) };
    PLACE.with(|wires| wires.emit(PortIndex(port), payload));
}

/// Emits a request.
///
/// # Safety
/// As for [`payload_of`].
#[unsafe(no_mangle)]
unsafe extern "C" fn vt_wire_request(port: u16, payload: *const u8, bytes: u16) -> bool {
    // SAFETY: handed on to the caller.
    let payload = unsafe { payload_of(payload, bytes) };
    PLACE.with(|wires| wires.request(PortIndex(port), payload))
}

/// Answers a request: with a value if `code` is 0, else with a refusal.
///
/// # Safety
/// As for [`payload_of`].
#[unsafe(no_mangle)]
unsafe extern "C" fn vt_wire_answer(token: Token, code: u16, payload: *const u8, bytes: u16) {
    // SAFETY: handed on to the caller.
    let payload = unsafe { payload_of(payload, bytes) };
    let outcome = if code == 0 { Ok(payload) } else { Err(code.saturating_sub(2)) };
    let token = ReplyToken { slot: token.slot, generation: token.generation };
    PLACE.with(|wires| wires.answer(token, outcome));
}

/// Gives an entry's response.
///
/// # Safety
/// As for [`payload_of`].
#[unsafe(no_mangle)]
unsafe extern "C" fn vt_wire_respond(payload: *const u8, bytes: u16) {
    // SAFETY: handed on to the caller.
    let payload = unsafe { payload_of(payload, bytes) };
    PLACE.with(|wires| wires.respond(payload));
}

/// Defines what the image builder looks for in a module's crate, of a module in C.
#[macro_export]
macro_rules! module {
    (ports = $ports:expr, state = $state:expr, input = $input:expr, rows = $rows:expr, tokens = $tokens:expr $(,)?) => {
        #[doc(hidden)]
        pub mod __veritee {
            #[derive(Debug)]
            pub struct Author;
            impl $crate::Declared for Author {
                const PORTS: &'static [$crate::PortInfo] = $ports;
                const STATE_BYTES: usize = $state;
                const IN_BYTES: usize = $input;
            }
            pub type Program = $crate::Foreign<Author>;
            pub const ROWS: usize = $rows;
            pub const TOKENS: usize = $tokens;
        }
    };
}
