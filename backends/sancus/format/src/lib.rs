//! Bytes that an owner's tool and a node's driver exchange about Sancus boards. A node never looks into them.
//!
//! The life of a module meets the types in this order: a board's [`Claims`] tell the owner what it is; [`Need`] asks for
//! memory; [`Placed`] says where it is; [`Image`] is what is loaded there.
//!
//! All numbers are little-endian. Every form begins with four letters and a version, and ends where it says: trailing bytes
//! are refused. Everything here is untrusted: a node that lies about a place or a claim gives the owner a module whose
//! measurement, or whose key, differs.

mod bytes;
mod claims;
mod image;
mod place;

#[cfg(test)]
mod tests;

pub use claims::{Claims, FreshnessKind, Profile};
pub use image::{BuiltIn, Image, ModuleImage};
pub use place::{Need, Placed};

/// Version of all forms here. Only equal versions are understood.
pub const VERSION: u16 = 1;
/// Longest name of a board or driver in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// They begin with other letters.
    #[error("it is not {what}")]
    Foreign {
        /// What it should be.
        what: &'static str,
    },
    /// Another version.
    #[error("it has version {found} of the format, this software knows {VERSION}")]
    Version {
        /// The version that was found.
        found: u16,
    },
    /// Cut, too long, or a field has an impossible value.
    #[error("{field} makes no sense")]
    Malformed {
        /// Which field.
        field: &'static str,
    },
}
