//! A 128-bit secret.

use crate::aead::StandardKey;
use crate::agreement::AgreementSecret;
use core::fmt;
use subtle::ConstantTimeEq;
use veritee_ids::limits::KEY_BYTES;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Sixteen secret bytes. Wiped when dropped; equality takes constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; KEY_BYTES]);

impl Secret {
    /// Takes bytes over. The caller wipes his copy.
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a cipher or for a sealed message.
    pub const fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

/// Shows the names of secrets, and nothing of them.
macro_rules! hidden {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

hidden! { Secret StandardKey AgreementSecret }
