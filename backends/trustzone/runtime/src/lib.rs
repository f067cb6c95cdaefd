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
pub mod system;

#[cfg(test)]
mod tests;

pub use application::{Application, Head, Instance, Room, enter};
pub use module::{ModuleApplication, Rooms, Surroundings, TrustZone, output_bytes};
pub use parameters::{Parameters, RawParameters};
pub use shared::Shared;
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
    (program = $program:ty, key = $key:ty, rows = $rows:expr, tokens = $tokens:expr,
     owner = $owner:expr, instance = $instance:expr $(,)?) => {
        const STATE: usize = <$program as $crate::veritee_module::Program>::STATE_BYTES;
        const PORTS: &[$crate::veritee_wire::ports::PortInfo] = <$program as $crate::veritee_module::Program>::PORTS;
        const TABLE_BYTES: usize = $crate::veritee_wire::ports::table_bytes(PORTS.len());
        const OUTPUT: usize = $crate::output_bytes(PORTS, $rows, $tokens);

        #[used]
        #[unsafe(link_section = ".veritee.ports")]
        static TABLE: [u8; TABLE_BYTES] =
            $crate::veritee_wire::ports::encode_table(PORTS, $rows as u16, $tokens as u16, STATE as u32);

        #[used]
        #[unsafe(link_section = ".veritee.identity")]
        static IDENTITY: [u8; $crate::IDENTITY_BYTES] = $crate::unplaced($owner, $instance);

        fn identity() -> Option<$crate::veritee_trustzone_format::Identity> {
            // SAFETY: a place in the image. Volatile, because it is written after the program was compiled.
            $crate::placed(&unsafe { core::ptr::read_volatile(&raw const IDENTITY) })
        }

        static INPUT_ROOM: $crate::Room<{ $crate::veritee_trustzone_format::module::INPUT_BYTES_MAX }> =
            $crate::Room::new();
        static OUTPUT_ROOM: $crate::Room<OUTPUT> = $crate::Room::new();

        fn room() -> Option<$crate::Rooms> {
            Some((INPUT_ROOM.take()?, OUTPUT_ROOM.take()?))
        }

        $crate::application!(
            $crate::ModuleApplication<$key, $program, { $rows }, { $tokens }, STATE>,
            $crate::ModuleApplication::new($crate::Surroundings { identity, room }),
            $crate::Head::new($crate::Head::MODULE, $crate::STACK_BYTES)
        );
    };
}

use veritee_ids::Freshness;
use veritee_trustzone_format::{IDENTITY_MAGIC, Identity};
use veritee_wire::Layout;

/// Length of an identity in bytes.
pub const IDENTITY_BYTES: usize = Identity::BYTES;

/// The identity of an image that has no place yet: everything but the vendor and the freshness.
///
/// # Panics
/// At compile time: when the name is too long.
#[must_use]
pub const fn unplaced(owner: [u8; 32], instance: &str) -> [u8; IDENTITY_BYTES] {
    let mut bytes = [0; IDENTITY_BYTES];
    let (magic, rest) = bytes.split_at_mut(IDENTITY_MAGIC.len());
    magic.copy_from_slice(&IDENTITY_MAGIC);
    let (place, rest) = rest.split_at_mut(owner.len());
    place.copy_from_slice(&owner);
    let (numbers, name) = rest.split_at_mut(4);
    numbers.split_at_mut(2).1.copy_from_slice(&Freshness::None.code().to_le_bytes());
    name.split_at_mut(instance.len()).0.copy_from_slice(instance.as_bytes());
    bytes
}

/// The identity of an image that has a place.
#[must_use]
pub fn placed(bytes: &[u8; IDENTITY_BYTES]) -> Option<Identity> {
    Identity::decode(bytes).ok().filter(|identity| identity.magic == IDENTITY_MAGIC && identity.vendor != 0)
}
