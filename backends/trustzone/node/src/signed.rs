//! The front of a signed trusted application: only what the node needs of it, its name.
//!
//! # Source
//! OP-TEE's `core/include/signed_hdr.h` (`struct shdr`, `struct shdr_bootstrap_ta`).

use veritee_trustzone_format::Uuid;

/// The name of a signed application.
///
/// # Trust
/// Nothing is verified here: the secure world checks the signature over this name and everything else.
///
/// # Errors
/// Why this is no signed application, in words.
pub fn name_of(image: &[u8]) -> Result<Uuid, &'static str> {
    let (header, rest) = image.split_at_checked(HEADER_BYTES).ok_or("it is shorter than its header")?;
    if header[..4] != MAGIC {
        return Err("it is no signed trusted application");
    }
    if header[4..8] != BOOTSTRAP {
        return Err("it is a trusted application of another kind; plainly signed ones are taken");
    }
    let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let name = rest.get(length(16) + length(18)..).and_then(|rest| rest.first_chunk());
    name.map(|name| Uuid(*name)).ok_or("it ends within its header")
}

const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 4] = *b"HSTO";
const BOOTSTRAP: [u8; 4] = [1, 0, 0, 0];
