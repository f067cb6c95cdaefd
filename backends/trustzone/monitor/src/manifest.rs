//! What the flash image holds beside the monitor: a fixed page that the image builder writes.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 8 | `VTEETZ01` |
//! | 8 | 8 | offset of the secure payload in flash |
//! | 16 | 8 | its length |
//! | 24 | 8 | address it is copied to and entered at, in secure RAM |
//! | 32 | 8 | address of the device tree, in normal RAM |
//! | 40 | 8 | address where the normal world starts, in normal RAM |
//!
//! Numbers are little-endian.

use crate::memory::{FLASH_BYTES, NORMAL_RAM, NORMAL_RAM_BYTES, PAYLOAD, SECURE_RAM, SECURE_RAM_BYTES};

/// Where the manifest lies in flash.
pub const MANIFEST: u64 = 0x000f_f000;
/// Its length.
pub const MANIFEST_BYTES: usize = 48;
/// Its first bytes.
pub const MAGIC: [u8; 8] = *b"VTEETZ01";

/// What to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Offset of the secure payload in flash.
    pub payload_offset: u64,
    /// Its bytes.
    pub payload_bytes: u64,
    /// Where it is copied to and entered.
    pub payload_address: u64,
    /// The device tree for both worlds.
    pub device_tree: u64,
    /// First instruction of the normal world.
    pub normal_entry: u64,
}

/// The manifest makes no sense: the image was built wrongly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadManifest;

impl Manifest {
    /// Reads and checks a manifest: no range may leave the memory that it belongs to.
    ///
    /// # Errors
    /// [`BadManifest`] when a mark is missing, a range leaves its memory or an address is not a multiple of 4.
    pub fn read(bytes: &[u8; MANIFEST_BYTES]) -> Result<Self, BadManifest> {
        let (words, _) = bytes.as_chunks::<8>();
        if words[0] != MAGIC {
            return Err(BadManifest);
        }
        let [payload_offset, payload_bytes, payload_address, device_tree, normal_entry] =
            [1, 2, 3, 4, 5].map(|index: usize| u64::from_le_bytes(words[index]));
        let manifest = Self { payload_offset, payload_bytes, payload_address, device_tree, normal_entry };
        let secure_end = SECURE_RAM + SECURE_RAM_BYTES;
        let sound = within(payload_offset, payload_bytes, MANIFEST + 0x1000, FLASH_BYTES)
            && within(payload_address, payload_bytes, PAYLOAD, secure_end)
            && within(device_tree, 8, NORMAL_RAM, NORMAL_RAM + NORMAL_RAM_BYTES)
            && within(normal_entry, 4, NORMAL_RAM, NORMAL_RAM + NORMAL_RAM_BYTES)
            && [payload_offset, payload_address, device_tree, normal_entry].iter().all(|address| address % 4 == 0);
        if sound { Ok(manifest) } else { Err(BadManifest) }
    }

    /// The manifest as it lies in flash.
    #[must_use]
    pub fn write(&self) -> [u8; MANIFEST_BYTES] {
        let mut bytes = [0; MANIFEST_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        let fields =
            [self.payload_offset, self.payload_bytes, self.payload_address, self.device_tree, self.normal_entry];
        for (place, field) in bytes[8..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }
}

/// `length` bytes from `start` lie in `low..high`; length zero does not.
fn within(start: u64, length: u64, low: u64, high: u64) -> bool {
    start >= low && length > 0 && start.checked_add(length).is_some_and(|end| end <= high)
}

#[cfg(test)]
mod tests;
