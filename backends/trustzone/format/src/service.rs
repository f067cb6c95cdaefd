//! The attestation service: a trusted application of the provider's, one instance that stays.
//!
//! It keeps the node's secret. The provider gives it once, in a factory state; from then on nothing in the normal world can
//! read, replace or remove it without ending what it is good for (`docs/design/0011-trusted-applications.md`); `veritee-trustzone-secret` has that side.
//! Trusted applications ask it for their module key.

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
