//! The attestation service: a trusted application of the provider's, one instance that stays.
//!
//! It keeps the node's secret. The provider gives it once, in a factory state; from then on nothing in the normal world can
//! read, replace or remove it without ending what it is good for (`docs/design/0011-trusted-applications.md`). Trusted applications ask it for their module key.

use crate::Uuid;
use crate::kind::{self, types};

/// Its name: fixed, so that its storage survives an update of the service. The provider's signer refuses it to owners.
pub const UUID: Uuid =
    Uuid([0x76, 0x5f, 0x33, 0x0f, 0xde, 0xd4, 0x48, 0x8c, 0xb1, 0xd2, 0x19, 0x82, 0x4c, 0x39, 0x40, 0x1a]);

/// Command of trusted applications: the caller's module key. A value in (`a` = vendor id), two values out: the key in four
/// little-endian words. Values, because a core lets no application lend its private memory. From the normal world refused with
/// `ACCESS_DENIED`; without a secret `BAD_STATE`.
pub const KEY: u32 = 1;
/// Kinds of the parameters of [`KEY`].
pub const KEY_TYPES: u32 = types([kind::VALUE_IN, kind::VALUE_OUT, kind::VALUE_OUT, kind::NONE]);

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

/// A key as the two values of an answer to [`KEY`].
#[must_use]
pub const fn key_to_values(key: &[u8; 16]) -> [(u32, u32); 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *key;
    [
        (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])),
        (u32::from_le_bytes([i, j, k, l]), u32::from_le_bytes([m, n, o, p])),
    ]
}

/// The key in the two values of an answer to [`KEY`].
#[must_use]
pub const fn key_from_values([first, second]: [(u32, u32); 2]) -> [u8; 16] {
    let [a, b, c, d] = first.0.to_le_bytes();
    let [e, f, g, h] = first.1.to_le_bytes();
    let [i, j, k, l] = second.0.to_le_bytes();
    let [m, n, o, p] = second.1.to_le_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// Length of a node's secret in bytes.
pub const SECRET_BYTES: usize = 16;
