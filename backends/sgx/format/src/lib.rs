//! A signed SGX image as bytes: what its builder writes, a node loads and a tool shows.
//!
//! In the order data meets them: [`layout`] (where things are inside an enclave), [`sgxs`] (the pages as they are measured),
//! [`sigstruct`] (who signed what, checked as the processor's EINIT does), [`image`] (both in one file).
//!
//! 1. Nothing is accepted that an image of ours does not need: no gaps in order, no half measured pages.
//! 2. A refusal says which rule was broken.
//!
//! # Source
//! Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3D, chapters 35 to 38.

pub mod image;
pub mod layout;
pub mod sgxs;
pub mod sigstruct;

#[cfg(test)]
mod tests;

pub use image::SgxImage;
pub use layout::EnclaveLayout;
pub use sgxs::{Contents, Page, PageKind};
pub use sigstruct::Sigstruct;

/// Why an image is none, or is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file does not begin as an image does.
    #[error("it is no SGX image")]
    NoImage,
    /// The image has another version.
    #[error("it is an SGX image of version {actual}, this program knows version {expected}")]
    Version {
        /// Known here.
        expected: u32,
        /// Found.
        actual: u32,
    },
    /// The file is shorter or longer than it says.
    #[error("the image is cut or has bytes behind its end")]
    Length,
    /// The stream of pages breaks a rule.
    #[error("its pages are not laid out as an enclave's: {0}")]
    Pages(&'static str),
    /// What was measured is not what was signed.
    #[error("SGX_INVALID_MEASUREMENT: the measurement is {actual}, but {signed} was signed")]
    Measurement {
        /// MRENCLAVE of the pages, in hexadecimal.
        actual: String,
        /// MRENCLAVE in the SIGSTRUCT, in hexadecimal.
        signed: String,
    },
    /// A fixed field of the SIGSTRUCT is not what it must be.
    #[error("SGX_INVALID_SIG_STRUCT: {0}")]
    Sigstruct(&'static str),
    /// The signature does not verify.
    #[error("SGX_INVALID_SIGNATURE: {0}")]
    Signature(&'static str),
    /// The attributes that were signed do not allow this launch.
    #[error("SGX_INVALID_ATTRIBUTE: {0}")]
    Attribute(&'static str),
}

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// A little-endian number at an offset.
fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
