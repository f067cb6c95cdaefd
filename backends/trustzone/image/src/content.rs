//! What an image is named after: its content.
//!
//! The head of an image lies where its first loaded segment begins: a UUID (16 bytes, zero while the name is computed), stack,
//! flags, a field that must be all ones; then the [`Identity`]. Everything of the file but the UUID is hashed: code, owner, vendor, instance.

use object::LittleEndian as LE;
use object::elf::{EM_AARCH64, ET_DYN, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use sha2::{Digest, Sha256};
use veritee_ids::Freshness;
use veritee_ids::limits::NAME_BYTES_MAX;
use veritee_trustzone_format::{IDENTITY_MAGIC, Identity, Uuid};
use veritee_wire::Layout;

/// Why bytes are no image of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadContent {
    /// They are no ELF program for 64-bit Arm whose first segment is loaded at address 0.
    Layout,
    /// The head is not that of a module: other flags, an old kind of entry, a strange stack.
    Head,
    /// The identity is none, or is not placed yet.
    Identity,
    /// The head names something else than the content.
    Name {
        /// What the content gives.
        content: Uuid,
        /// What the head says.
        head: Uuid,
    },
}

impl std::fmt::Display for BadContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layout => f.write_str("it is no image of a TrustZone module"),
            Self::Head => f.write_str("its head is not that of a module"),
            Self::Identity => f.write_str("it names no owner and vendor: it has no place yet"),
            Self::Name { content, head } => write!(f, "it calls itself {head}, but its content gives {content}"),
        }
    }
}

/// An image with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// SHA-256 over the file with the UUID's place zeroed, behind a fixed first line: the measurement.
    pub hash: [u8; 32],
    /// The front of the hash: all 16 bytes, so that two contents of one name are as hard to find as they can be.
    pub uuid: Uuid,
    /// What the image says of itself.
    pub identity: Identity,
}

/// Keeps this hash apart from all others.
const DOMAIN: &[u8] = b"veritee trustzone module 1\n";
const UUID_BYTES: usize = 16;
const HEAD_BYTES: usize = 32;
/// Flags of a module: an instance for each session, nothing else.
const FLAGS: u32 = 0;
const STACK_BYTES_MAX: u32 = 1024 * 1024;

/// Reads an image and recomputes its name.
///
/// # Errors
/// As [`BadContent`] says; nothing that the image says of its own name is believed.
pub fn judge(image: &[u8]) -> Result<Content, BadContent> {
    let at = head(image)?;
    let content = content(image, at)?;
    let named = image.get(at..at + UUID_BYTES).and_then(|bytes| bytes.try_into().ok()).ok_or(BadContent::Layout)?;
    let head = Uuid::from_tee(named);
    if content.identity.vendor == 0 {
        return Err(BadContent::Identity);
    }
    if head == content.uuid { Ok(content) } else { Err(BadContent::Name { content: content.uuid, head }) }
}

/// Writes into a compiled image whose it is, and what it is called: everything of its identity that does not depend on a node.
///
/// # Errors
/// [`BadContent`] when it is no image, or the name is too long for one.
pub fn identify(image: &mut [u8], owner: [u8; 32], instance: &str) -> Result<(), BadContent> {
    let mut name = [0; NAME_BYTES_MAX];
    name.get_mut(..instance.len()).ok_or(BadContent::Identity)?.copy_from_slice(instance.as_bytes());
    let identity = Identity { magic: IDENTITY_MAGIC, owner, vendor: 0, freshness: Freshness::None, instance: name };
    identity.encode(identity_mut(image)?).map(drop).map_err(|_| BadContent::Identity)
}

fn identity_mut(image: &mut [u8]) -> Result<&mut [u8], BadContent> {
    let at = head(image)? + HEAD_BYTES;
    image.get_mut(at..at + Identity::BYTES).ok_or(BadContent::Layout)
}

/// Completes an image: writes vendor and freshness, then the name that follows.
///
/// # Errors
/// [`BadContent`] when it is no image.
pub fn place(image: &mut [u8], vendor: u16, freshness: Freshness) -> Result<Content, BadContent> {
    let at = head(image)?;
    let identity = identity_mut(image)?;
    let unplaced = Identity::decode(identity).map_err(|_| BadContent::Identity)?;
    Identity { vendor, freshness, ..unplaced }.encode(identity).map_err(|_| BadContent::Identity)?;
    let content = content(image, at)?;
    image.get_mut(at..at + UUID_BYTES).ok_or(BadContent::Layout)?.copy_from_slice(&content.uuid.to_tee());
    Ok(content)
}

/// Where in the file the head is.
fn head(image: &[u8]) -> Result<usize, BadContent> {
    let header = FileHeader64::<LE>::parse(image).map_err(|_| BadContent::Layout)?;
    let endian = header.endian().map_err(|_| BadContent::Layout)?;
    let fits = header.e_machine(endian) == EM_AARCH64 && header.e_type(endian) == ET_DYN;
    let segments = header.program_headers(endian, image).map_err(|_| BadContent::Layout)?;
    let first = segments.iter().find(|segment| segment.p_type(endian) == PT_LOAD).filter(|_| fits);
    let first = first.filter(|segment| segment.p_vaddr(endian) == 0).ok_or(BadContent::Layout)?;
    let at = usize::try_from(first.p_offset(endian)).map_err(|_| BadContent::Layout)?;
    let head = image.get(at..).and_then(|rest| rest.first_chunk::<HEAD_BYTES>()).ok_or(BadContent::Layout)?;
    let word = |from: usize| head.get(from..from + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
    let (stack, flags) = (word(16), word(20));
    let sound =
        flags == Some(FLAGS) && stack.is_some_and(|stack| stack <= STACK_BYTES_MAX) && head.ends_with(&[0xff; 8]);
    if sound { Ok(at) } else { Err(BadContent::Head) }
}

fn content(image: &[u8], at: usize) -> Result<Content, BadContent> {
    let identity =
        image.get(at + HEAD_BYTES..).and_then(|rest| rest.get(..Identity::BYTES)).ok_or(BadContent::Layout)?;
    let identity = Identity::decode(identity).map_err(|_| BadContent::Identity)?;
    if identity.magic != IDENTITY_MAGIC {
        return Err(BadContent::Identity);
    }
    let (front, rest) = image.split_at_checked(at).ok_or(BadContent::Layout)?;
    let rest = rest.get(UUID_BYTES..).ok_or(BadContent::Layout)?;
    let hash: [u8; 32] = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(front)
        .chain_update([0; UUID_BYTES])
        .chain_update(rest)
        .finalize()
        .into();
    let [uuid @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
    Ok(Content { hash, uuid: Uuid(uuid), identity })
}
