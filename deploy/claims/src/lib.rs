//! Evidence, and what an owner made of it, in forms that other verifiers and policies read. Pure; for all platforms.
//!
//! In the order data meets them: [`Appraised`] is a module's evidence with the verdict; [`eat`] makes an entity attestation token
//! of it (CBOR in COSE), with the platform's own evidence inside, so that others can judge that themselves; [`ear`] makes an
//! attestation result (JSON in a JWT) for who believes the owner's verdict. [`jwk`] is the key that both are signed with.
//!
//! 1. The owner signs, with his identity: what is claimed is his word, and the evidence inside says how far it carries.
//! 2. Simulated and unprotected platforms are contraindicated in results, whatever the owner's own policy accepts.
//! 3. Nothing is claimed that evidence did not prove.
//!
//! The identity also signs statements of the control protocol. Those are digests of 32 bytes, tokens are longer: no signature
//! of one kind is one of the other.
//!
//! # Source
//! RFC 9711 (EAT), RFC 8392 (CWT), RFC 9052 and 9864 (COSE, EdDSA), RFC 7515 and 8037 (JWS, Ed25519), drafts ietf-rats-ear-04
//! and ietf-rats-ar4si.

mod eat;
mod result;

#[cfg(test)]
mod tests;

pub use eat::{EAT_PROFILE, eat};
pub use result::{EAR_PROFILE, ear, ear_claims};

use veritee_ids::Challenge;
use veritee_platform::Verified;
use veritee_session::OwnerIdentity;

/// A module's evidence and the owner's verdict on it.
#[derive(Clone, Copy, Debug)]
pub struct Appraised<'a> {
    /// The application's name.
    pub application: &'a str,
    /// The module's name.
    pub module: &'a str,
    /// Its platform's word.
    pub platform: &'a str,
    /// The owner's challenge: fresh, so the evidence is.
    pub challenge: Challenge,
    /// The evidence in the platform's own form.
    pub evidence: &'a [u8],
    /// What the evidence proved, or why it was refused.
    pub verdict: Result<&'a Verified, &'a str>,
    /// When it was judged, in seconds since 1970.
    pub at: u64,
}

/// The owner's public key as a JSON Web Key. Its thumbprint names it in tokens.
#[must_use]
pub fn jwk(owner: &OwnerIdentity) -> serde_json::Value {
    serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&owner.public()), "kid": thumbprint(owner)})
}

/// RFC 7638 with SHA-256: of the key's required members, in order and without space.
fn thumbprint(owner: &OwnerIdentity) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(&owner.public()));
    base64url(&veritee_seal::sha256(members.as_bytes()))
}

/// RFC 4648, section 5, without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for sextet in 0..=chunk.len() {
            let index = usize::try_from(word >> (18 - 6 * sextet) & 0x3f).unwrap_or(0);
            text.push(char::from(LETTERS[index]));
        }
    }
    text
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
