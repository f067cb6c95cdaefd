//! Key derivation: HKDF-SHA-256 (RFC 5869) over one fixed block.

use crate::secret::Secret;
use hkdf::Hkdf;
use sha2::Sha256;
use veritee_ids::limits::KEY_BYTES;
use zeroize::Zeroize;

/// Derives a secret from key material and a block.
///
/// A block is one of the fixed layouts of `veritee-wire` that starts with a label and the protocol version (so no block is
/// a prefix of another purpose's block). `key` is used for nothing but derivation.
///
/// # Source
/// RFC 5869 with an empty salt, `info` = block, 16 bytes of output.
pub fn derive(key: &[u8], block: &[u8]) -> Secret {
    let mut bytes = [0; KEY_BYTES];
    let expanded = Hkdf::<Sha256>::new(None, key).expand(block, &mut bytes);
    debug_assert!(expanded.is_ok(), "16 bytes are far below HKDF's limit");
    let secret = Secret::new(bytes);
    bytes.zeroize();
    secret
}
