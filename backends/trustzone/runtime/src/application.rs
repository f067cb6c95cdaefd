//! A trusted application: what the core enters, and how entries become functions.

use crate::parameters::Parameters;
use crate::system::finish;
use core::cell::UnsafeCell;
use veritee_trustzone_format::{Uuid, result};

/// What a trusted application does. One value is one instance; the core enters it from one thread at a time.
pub trait Application {
    /// A session is opened. Anything but `SUCCESS` refuses it.
    fn open(&mut self) -> u32;
    /// A command is invoked.
    fn invoke(&mut self, command: u32, parameters: &mut Parameters) -> u32;
    /// A session is closed.
    fn close(&mut self);
}

/// The state of an application.
#[derive(Debug)]
pub struct Instance<A>(UnsafeCell<A>);

// SAFETY: the core enters an instance only when no other entry into it is open: user applications are never concurrent.
unsafe impl<A> Sync for Instance<A> {}

impl<A> Instance<A> {
    /// Before its first entry.
    pub const fn new(application: A) -> Self {
        Self(UnsafeCell::new(application))
    }
}

/// Entries, as the core numbers them (`enum utee_entry_func`).
const OPEN: usize = 0;
const CLOSE: usize = 1;
const INVOKE: usize = 2;

/// The application's one entry: turns what the core hands in into values, goes on in safe code, and returns to the core.
///
/// # Safety
/// 1. Called by the core only, with `parameters` that it wrote to memory of this application, and memory that they name mapped
///    as their kinds say until the entry is over.
/// 2. No other entry into `instance` is open.
pub unsafe fn enter<A: Application>(
    instance: &Instance<A>, function: usize, parameters: *mut Parameters, command: usize,
) -> ! {
    // SAFETY: duty 2 of the caller: nobody else holds a reference.
    let application = unsafe { &mut *instance.0.get() };
    // SAFETY: duty 1 of the caller. There are none at the end of a session.
    let parameters = unsafe { parameters.as_mut() };
    finish(match (function, parameters, u32::try_from(command)) {
        (OPEN, Some(_), _) => application.open(),
        (INVOKE, Some(parameters), Ok(command)) => application.invoke(command, parameters),
        (CLOSE, ..) => {
            application.close();
            result::SUCCESS
        }
        _ => result::NOT_SUPPORTED,
    })
}

/// What the core reads first of an image: `struct ta_head` of OP-TEE's `user_ta_header.h`. It lies at the image's address 0.
#[repr(C)]
#[derive(Debug)]
pub struct Head {
    uuid: [u8; 16],
    stack_bytes: u32,
    flags: u32,
    no_entry: u64,
}

impl Head {
    /// Instances and sessions: one of each for all callers, and it stays when the last session is closed.
    pub const SERVICE: u32 = 1 << 2 | 1 << 3 | 1 << 4;
    /// Each session is an instance of its own.
    pub const MODULE: u32 = 0;

    /// A head. A module's UUID is written into the finished image.
    #[must_use]
    pub const fn new(uuid: Uuid, flags: u32, stack_bytes: u32) -> Self {
        Self { uuid: uuid.to_tee(), stack_bytes, flags, no_entry: u64::MAX }
    }
}

/// Defines what makes a program a trusted application: its head, its entry, what panics come to.
#[macro_export]
macro_rules! application {
    ($type:ty, $initial:expr, $head:expr) => {
        #[used]
        #[unsafe(link_section = ".ta_head")]
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals, missing_docs)]
        pub static ta_head: $crate::Head = $head;

        static INSTANCE: $crate::Instance<$type> = $crate::Instance::new($initial);

        /// Where the core enters.
        ///
        /// # Safety
        /// As for `veritee_trustzone_runtime::enter`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn __ta_entry(
            function: usize, _: usize, parameters: *mut $crate::Parameters, command: usize,
        ) -> ! {
            // SAFETY: handed on to the caller.
            unsafe { $crate::enter(&INSTANCE, function, parameters, command) }
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::die()
        }
    };
}
