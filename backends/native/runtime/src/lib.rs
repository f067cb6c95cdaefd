//! What surrounds the core inside a native image: the entry, randomness, evidence, the end.
//!
//! A native image is a static-pie without standard library and without system calls. A runner maps it and calls
//! [`enter`] through the symbol that [`image!`] defines. The platform protects nothing and says so: its evidence is the
//! transcript and the measurement that the runner stated at boot.
#![no_std]

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};
use veritee_ids::{CipherId, Freshness};
use veritee_module::{Module, Program};
use veritee_seal::{Aead, OwnerKey};
use veritee_tee::{EVIDENCE_BYTES_MAX, NoEntropy, NoEvidence, Root, Tee};

pub use veritee_bare::die;
pub use veritee_module;
pub use veritee_seal::StandardKey;
pub use veritee_wire;

/// Operation of the first entry; its input is the image's measurement, 32 bytes.
pub const BOOT: u32 = 0;

/// The native platform, from inside.
#[derive(Debug)]
pub struct Native<K> {
    owner: OwnerKey,
    measurement: [u8; 32],
    ciphers: PhantomData<K>,
}

impl<K: Aead> Tee for Native<K> {
    type Key = K;
    const CONTROL_CIPHER: CipherId = CipherId::Aes128Gcm;

    fn freshness(&self) -> Freshness {
        Freshness::HardwareRng
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        if veritee_bare::fill_random(bytes) { Ok(()) } else { Err(NoEntropy) }
    }

    fn root(&self) -> Root<'_> {
        Root::Agreement(self.owner)
    }

    fn evidence(&mut self, transcript: &[u8], evidence: &mut [u8; EVIDENCE_BYTES_MAX]) -> Result<usize, NoEvidence> {
        let (front, rest) = evidence.split_at_mut_checked(transcript.len()).ok_or(NoEvidence)?;
        front.copy_from_slice(transcript);
        *rest.first_chunk_mut().ok_or(NoEvidence)? = self.measurement;
        Ok(transcript.len() + self.measurement.len())
    }
}

/// The module of an image, entered by one thread at a time.
#[derive(Debug)]
pub struct Cell<M> {
    entered: AtomicBool,
    module: UnsafeCell<Option<M>>,
}

// SAFETY: the module is only touched between a successful and a released `entered`.
unsafe impl<M> Sync for Cell<M> {}

impl<M> Cell<M> {
    /// An image before its boot.
    #[expect(clippy::new_without_default, reason = "only `image!` makes one, in a constant")]
    #[must_use]
    pub const fn new() -> Self {
        Self { entered: AtomicBool::new(false), module: UnsafeCell::new(None) }
    }
}

/// The image's one entry: turns what the host claims into slices and goes on in safe code.
///
/// Gives the length of the output; 0 when the image is not booted, or is entered already.
///
/// # Safety
/// 1. `input` points to `input_length` bytes, `output` to `output_length` bytes, which nobody else touches meanwhile.
/// 2. They do not overlap each other nor the image.
pub unsafe fn enter<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize>(
    cell: &Cell<Module<Native<K>, P, ROWS, TOKENS, STATE>>, owner: [u8; 32], op: u32,
    (input, input_length): (*mut u8, usize), (output, output_length): (*mut u8, usize),
) -> usize {
    if cell.entered.swap(true, Ordering::Acquire) {
        return 0;
    }
    // SAFETY: duties 1 and 2 of the caller.
    let input = unsafe { core::slice::from_raw_parts_mut(input, input_length) };
    // SAFETY: duties 1 and 2 of the caller.
    let output = unsafe { core::slice::from_raw_parts_mut(output, output_length) };
    // SAFETY: `entered` was free, so nobody else holds a reference.
    let module = unsafe { &mut *cell.module.get() };
    let length = match (u16::try_from(op), module.as_mut()) {
        (Ok(op), Some(module)) => module.enter(op, input, output),
        (Ok(0), None) => boot(module, owner, input),
        _ => 0,
    };
    cell.entered.store(false, Ordering::Release);
    length
}

/// Begins the activation: the only thing that an image does before it has a module. Gives 1 if it did.
fn boot<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize>(
    place: &mut Option<Module<Native<K>, P, ROWS, TOKENS, STATE>>, owner: [u8; 32], input: &[u8],
) -> usize {
    let Ok(measurement) = input.try_into() else { return 0 };
    *place = Module::new(Native { owner: OwnerKey(owner), measurement, ciphers: PhantomData }).ok();
    usize::from(place.is_some())
}

/// Defines everything that the final crate of an image needs: port table, module, entry, panic handler.
#[macro_export]
macro_rules! image {
    (program = $program:ty, key = $key:ty, rows = $rows:expr, tokens = $tokens:expr, owner = $owner:expr $(, heap = $heap:expr)? $(,)?) => {
        const STATE: usize = <$program as $crate::veritee_module::Program>::STATE_BYTES;
        const PORTS: &[$crate::veritee_wire::ports::PortInfo] = <$program as $crate::veritee_module::Program>::PORTS;
        const TABLE_BYTES: usize = $crate::veritee_wire::ports::table_bytes(PORTS.len());

        #[used]
        #[unsafe(link_section = ".veritee.ports")]
        static TABLE: [u8; TABLE_BYTES] =
            $crate::veritee_wire::ports::encode_table(PORTS, $rows as u16, $tokens as u16, STATE as u32);

        static MODULE: $crate::Cell<
            $crate::veritee_module::Module<$crate::Native<$key>, $program, { $rows }, { $tokens }, STATE>,
        > = $crate::Cell::new();

        /// The image's entry.
        ///
        /// # Safety
        /// As for `veritee_native_runtime::enter`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn veritee_enter(
            op: u32, input: *mut u8, input_length: usize, output: *mut u8, output_length: usize,
        ) -> usize {
            // SAFETY: handed on to the caller.
            unsafe { $crate::enter(&MODULE, $owner, op, (input, input_length), (output, output_length)) }
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $($heap.end_if_exhausted();)? $crate::die()
        }
    };
}
