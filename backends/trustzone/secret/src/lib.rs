//! The secret of a TrustZone node: how the attestation service gets it, and what follows from it.
//!
//! Agreed between the service, the provider and the node; modules know nothing of it: they ask the service for their key.
//! All numbers are little-endian.
#![no_std]

pub mod keys;

#[cfg(test)]
mod tests;

use veritee_trustzone_format::kind::{self, types};

/// Command of the provider in a factory state: takes the node's secret. Memory in (16 bytes), a value in (`a` = [`KEEP`] or [`FORGET`]).
/// Refused with `ACCESS_CONFLICT` for ever after.
pub const ENROL: u32 = 2;
/// Kinds of the parameters of [`ENROL`].
pub const ENROL_TYPES: u32 = types([kind::MEMORY_IN, kind::VALUE_IN, kind::NONE, kind::NONE]);
/// The secret goes to secure storage: for devices.
pub const KEEP: u32 = 1;
/// The secret lives as long as the machine is on: for emulators, whose makers give it at every start.
pub const FORGET: u32 = 0;

/// Command of anybody: whether the service has a secret. A value out (`a` = 1 if it has).
pub const STATE: u32 = 3;
/// Kinds of the parameters of [`STATE`].
pub const STATE_TYPES: u32 = types([kind::VALUE_OUT, kind::NONE, kind::NONE, kind::NONE]);

/// Length of a node's secret in bytes.
pub const SECRET_BYTES: usize = 16;
