//! Keys of boards, owners and modules: each is the SPONGENT-128 tag of the next thing under the one before.
//!
//! board's secret -> node key (of a profile) -> vendor key (of an owner) -> module key (of its identity).
//!
//! # Source
//! Sancus 2.0 (Noorman et al., TOPS 2017) section 3; for the node key `docs/board-profile.md`.

use crate::record::Properties;
use veritee_ids::limits::KEY_BYTES;
use veritee_seal::Secret;

/// Label of the block of a node key.
const BOARD: u16 = 12;
/// Version of that block.
const VERSION: u16 = 1;

fn mac(key: &Secret, message: &[u8]) -> Secret {
    Secret::new(veritee_spongent::Key::new(key.expose()).mac(message))
}

/// The node key of a board with these properties: another profile of the same board has another key.
pub(crate) fn node_key(secret: &Secret, properties: &Properties) -> Secret {
    let words = [
        BOARD,
        VERSION,
        properties.profile as u16,
        properties.core as u16,
        properties.security,
        properties.freshness as u16,
        u16::from(properties.simulated),
        0,
    ];
    let block: Vec<u8> = words.into_iter().flat_map(u16::to_le_bytes).collect();
    mac(secret, &block)
}

/// The key of a vendor id on a board.
pub(crate) fn vendor_key(node_key: &Secret, vendor: u16) -> Secret {
    mac(node_key, &vendor.to_le_bytes())
}

/// The key of a module with this identity: its text, then the four addresses of its sections.
pub(crate) fn module_key(vendor_key: &Secret, identity: &[u8]) -> Secret {
    mac(vendor_key, identity)
}

/// The measurement of a module: the tag of its identity under the zero key, as the hardware's `verify` computes it.
pub(crate) fn measurement(identity: &[u8]) -> [u8; KEY_BYTES] {
    veritee_spongent::Key::new(&[0; KEY_BYTES]).mac(identity)
}
