//! What surrounds the core inside a trusted application: the entry, parameters, system calls, the module's key.
//!
//! An image is a position-independent ELF program without any library: [`application!`] defines its head and its one entry, [`enter`]
//! turns what an OP-TEE core hands in into values, [`ModuleApplication`] goes on in safe code. [`Shared`] memory is copied before anything in it
//! is believed; [`system`] has the few calls that go out.
//!
//! 1. A module works in its own memory only.
//! 2. It calls out to its core, and through it once to the attestation service: for its key, when its session is opened.
//! 3. A panic ends the instance; the core takes its memory back, and its keys with it.
//!
//! Not a goal: the GlobalPlatform API. What is not used is not there.
#![no_std]

mod application;
mod module;
mod parameters;
mod shared;
mod syscall;
mod system;

#[cfg(test)]
mod tests;

pub use application::{Application, Head, Instance, enter};
pub use module::{ModuleApplication, TrustZone, output_bytes, placed};
pub use parameters::Parameters;
pub use shared::Shared;
pub use syscall::call;
pub use system::die;
pub use veritee_module;
pub use veritee_seal::StandardKey;
pub use veritee_trustzone_format;
pub use veritee_wire;

/// Stack of a module in bytes: two copies of the largest table and the deepest handler.
pub const STACK_BYTES: u32 = 256 * 1024;

/// Defines everything that the final crate of a module's image needs.
#[macro_export]
macro_rules! image {
    (program = $program:ty, key = $key:ty, rows = $rows:expr, tokens = $tokens:expr $(,)?) => {
        const STATE: usize = <$program as $crate::veritee_module::Program>::STATE_BYTES;
        const PORTS: &[$crate::veritee_wire::ports::PortInfo] = <$program as $crate::veritee_module::Program>::PORTS;
        const INPUT_BYTES: usize = $crate::veritee_trustzone_format::module::INPUT_BYTES_MAX;
        const OUTPUT_BYTES: usize = $crate::output_bytes(PORTS, $rows, $tokens);

        #[used]
        #[unsafe(link_section = ".veritee.ports")]
        static TABLE: [u8; $crate::veritee_wire::ports::table_bytes(PORTS.len())] =
            $crate::veritee_wire::ports::encode_table(PORTS, $rows as u16, $tokens as u16, STATE as u32);

        /// Written into the finished image.
        #[used]
        #[unsafe(link_section = ".veritee.identity")]
        static IDENTITY: [u8; $crate::IDENTITY_BYTES] = [0; $crate::IDENTITY_BYTES];

        fn identity() -> Option<$crate::veritee_trustzone_format::Identity> {
            // SAFETY: a place in the image. Volatile, because it is written after the program was compiled.
            $crate::placed(&unsafe { core::ptr::read_volatile(&raw const IDENTITY) })
        }

        static mut INPUT: [u8; INPUT_BYTES] = [0; INPUT_BYTES];
        static mut OUTPUT: [u8; OUTPUT_BYTES] = [0; OUTPUT_BYTES];

        $crate::application!(
            $crate::ModuleApplication<$key, $program, { $rows }, { $tokens }, STATE>,
            // SAFETY: the only references to these places, made once.
            unsafe { $crate::ModuleApplication::new(identity, &mut *&raw mut INPUT, &mut *&raw mut OUTPUT) },
            $crate::Head::new($crate::UNNAMED, $crate::Head::MODULE, $crate::STACK_BYTES)
        );
    };
}

/// Length of an identity in bytes.
pub const IDENTITY_BYTES: usize = <veritee_trustzone_format::Identity as veritee_wire::Layout>::BYTES;

/// The name in a module's head until it has a place.
pub const UNNAMED: veritee_trustzone_format::Uuid = veritee_trustzone_format::Uuid([0; 16]);
