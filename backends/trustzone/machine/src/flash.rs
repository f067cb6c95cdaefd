//! The secure flash of a machine: the monitor, what it starts, and the key that trusted applications are signed with.
//!
//! | offset | content |
//! |---|---|
//! | 0 | the monitor |
//! | `0x000f_f000` | its manifest (`backends/trustzone/monitor/src/manifest.rs`) |
//! | `0x0010_0000` | OP-TEE's core, which the monitor copies to secure RAM |

use crate::MachineError;

/// What goes into flash.
#[derive(Clone, Copy, Debug)]
pub struct Flash<'a> {
    /// The monitor's image.
    pub monitor: &'a [u8],
    /// The secure payload, as it lies in secure RAM.
    pub payload: &'a [u8],
    /// Where the payload is copied to and entered.
    pub payload_address: u64,
    /// Where the device tree lies in normal RAM.
    pub device_tree: u64,
    /// Where the normal world starts.
    pub normal_entry: u64,
}

impl Flash<'_> {
    /// Lays the flash out.
    ///
    /// # Errors
    /// [`MachineError::BadPart`] when something does not fit.
    pub fn write(&self) -> Result<Vec<u8>, MachineError> {
        if self.monitor.len() > MANIFEST {
            return Err(MachineError::part("the monitor", "it is longer than its place in flash"));
        }
        let mut flash = self.monitor.to_vec();
        flash.resize(MANIFEST, 0xff);
        flash.extend(MAGIC);
        let payload_bytes = self.payload.len() as u64;
        let fields = [PAYLOAD as u64, payload_bytes, self.payload_address, self.device_tree, self.normal_entry];
        flash.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        flash.resize(PAYLOAD, 0xff);
        flash.extend(self.payload);
        // The core copies whole words.
        flash.resize(flash.len().next_multiple_of(8), 0xff);
        if flash.len() > FLASH_BYTES {
            return Err(MachineError::part("the secure payload", "it is longer than flash"));
        }
        Ok(flash)
    }
}

/// Reads the header of OP-TEE's core: where its only image is loaded.
///
/// # Source
/// OP-TEE, `scripts/gen_tee_bin.py`: `OPTE`, version 2, architecture 1 (AArch64), flags u16, images u32; then for each image the
/// address (high half first), an id and a size, all u32 little-endian.
///
/// # Errors
/// [`MachineError::BadPart`] when this is no such header, or the core has pages apart from its image.
pub fn core_address(header: &[u8], image_bytes: usize) -> Result<u64, MachineError> {
    let words = header.as_chunks::<4>().0;
    let [magic, kind, images, high, low, _, size] = words else {
        return Err(MachineError::part("OP-TEE's core", "its header has another length"));
    };
    let [images, high, low, size] = [images, high, low, size].map(|word| u32::from_le_bytes(*word));
    if magic != b"OPTE" || kind[..2] != [2, 1] || images != 1 || usize::try_from(size) != Ok(image_bytes) {
        return Err(MachineError::part("OP-TEE's core", "it is none for AArch64 in one piece"));
    }
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// Replaces bytes that occur exactly once by others of the same length.
///
/// # Errors
/// [`MachineError::BadPart`] when they occur never or twice, or the lengths differ: then the core is not what it is taken for.
pub fn replace_once(image: &mut [u8], what: &str, old: &[u8], new: &[u8]) -> Result<(), MachineError> {
    let refuse = |reason: String| Err(MachineError::BadPart { part: what.to_owned(), reason });
    if old.len() != new.len() {
        return refuse(format!("it has {} bits, the core takes {}", 8 * new.len(), 8 * old.len()));
    }
    let places: Vec<usize> =
        image.windows(old.len()).enumerate().filter(|(_, window)| *window == old).map(|(place, _)| place).collect();
    match places[..] {
        [place] => {
            image[place..place + new.len()].copy_from_slice(new);
            Ok(())
        }
        _ => refuse(format!("the core has its place {} times instead of once", places.len())),
    }
}

const MANIFEST: usize = 0x000f_f000;
const MAGIC: [u8; 8] = *b"VTEETZ01";
const PAYLOAD: usize = 0x0010_0000;
const FLASH_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
