//! Bytes that everybody around a TrustZone module agrees on: the module, the attestation service, the node, the owner.
//!
//! [`module`] is how a node enters a module, [`service`] what the attestation service answers, [`Identity`] what an image
//! says of itself. All numbers are little-endian.
//!
//! Nothing here is secret, and nothing that comes in this form is trusted before it was checked.
#![no_std]

pub mod module;
pub mod service;

#[cfg(test)]
mod tests;

use veritee_ids::Freshness;
use veritee_ids::limits::NAME_BYTES_MAX;

/// The name of a trusted application: 16 bytes, in the order in which the text form has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The UUID as `TEE_UUID` lies in memory: its first three fields are little-endian numbers.
    ///
    /// # Source
    /// GlobalPlatform TEE Internal Core API 1.3, section 3.2.4; RFC 9562, section 4.
    #[must_use]
    pub const fn to_tee(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        let [i, j, k, l, m, n, o, p] = rest;
        [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
    }

    /// The UUID of a `TEE_UUID` in memory.
    #[must_use]
    pub const fn from_tee(bytes: [u8; 16]) -> Self {
        // The same swaps again.
        Self(Self(bytes).to_tee())
    }
}

impl core::fmt::Display for Uuid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Section of an image that holds its [`Identity`].
pub const IDENTITY_SECTION: &str = ".veritee.identity";

veritee_wire::structs! {
    /// What an image says of itself beside its code: part of what it is named after, so that no other owner's, no other
    /// vendor's and no other instance's module has the same name. The owner's tool writes it when it places the image.
    Identity {
        /// [`IDENTITY_MAGIC`].
        magic: [u8; 8],
        /// The owner's Ed25519 public key.
        owner: [u8; 32],
        /// The owner's vendor id at the node's provider; 0 until the image is placed.
        vendor: u16,
        /// Where the provider says that activation ids come from on this node: the module cannot know.
        freshness: Freshness,
        /// The module's name in the descriptor, zero-padded: the instance.
        instance: [u8; NAME_BYTES_MAX],
    }
}

/// First bytes of an [`Identity`].
pub const IDENTITY_MAGIC: [u8; 8] = *b"VTTZMOD1";

/// Results of entries into trusted applications, as the GlobalPlatform API numbers them.
///
/// # Source
/// TEE Internal Core API 1.3, section 3.3.1.
pub mod result {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// Something failed inside.
    pub const GENERIC: u32 = 0xffff_0000;
    /// The caller may not do this.
    pub const ACCESS_DENIED: u32 = 0xffff_0001;
    /// It was done before, once and for all.
    pub const ACCESS_CONFLICT: u32 = 0xffff_0003;
    /// Parameters are not of the declared kinds, or a length makes no sense.
    pub const BAD_PARAMETERS: u32 = 0xffff_0006;
    /// The service has no secret yet.
    pub const BAD_STATE: u32 = 0xffff_0007;
    /// There is no such command.
    pub const NOT_SUPPORTED: u32 = 0xffff_000a;
}

/// Kinds of parameters, four bits each, the first one lowest.
///
/// # Source
/// TEE Internal Core API 1.3, section 4.3.6.1.
pub mod kind {
    /// Nothing.
    pub const NONE: u32 = 0;
    /// Two numbers in.
    pub const VALUE_IN: u32 = 1;
    /// Two numbers out.
    pub const VALUE_OUT: u32 = 2;
    /// Memory that is read.
    pub const MEMORY_IN: u32 = 5;
    /// Memory that is written.
    pub const MEMORY_OUT: u32 = 6;

    /// The kinds of four parameters in one number.
    #[must_use]
    pub const fn types(kinds: [u32; 4]) -> u32 {
        kinds[0] | kinds[1] << 4 | kinds[2] << 8 | kinds[3] << 12
    }
}
