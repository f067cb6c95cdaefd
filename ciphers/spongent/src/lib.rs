//! SPONGENT and SpongeWrap, as in the Sancus processor, in constant time.
//!
//! [`permutation`] is the permutation on bit planes; [`wrap`] is authenticated encryption over it, for any strength. This
//! crate has [`Spongent128`] (336-bit state); the weaker one for small processors is a crate of its own, which no module links.
//!
//! 1. No table and no branch depends on a secret.
//! 2. Byte-exact with the hardware and its reference library, odd lengths included.
//! 3. A [`Key`] has absorbed the key already: each message starts from a copy of its state.
//!
//! # Source
//! Bogdanov et al., "SPONGENT: The Design Space of Lightweight Cryptographic Hashing" (2013); Bertoni et al., "Duplexing
//! the Sponge" (2011); the Sancus processor's parameters.
#![no_std]

pub mod permutation;
pub mod wrap;

pub use permutation::{Spongent128, State, Variant};
pub use wrap::{Unauthentic, WrapKey};

/// A key of SPONGENT-128, ready to wrap and unwrap.
pub type Key = WrapKey<Spongent128, 16>;
