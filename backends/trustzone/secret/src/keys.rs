//! From a node's secret to a module's key: PROTOCOL sections 1 and 9.

use veritee_ids::Label;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_seal::{Secret, derive};
use veritee_trustzone_format::Uuid;
use veritee_wire::Layout;

veritee_wire::structs! {
    /// Key block of an owner's key on a node, keyed by the node's secret.
    VendorBlock {
        /// `vendor`.
        label: Label,
        /// Protocol version.
        version: u16,
        /// The owner's vendor id at the node's provider.
        vendor: u16,
    }
    /// Key block of a module's key, keyed by its owner's vendor key.
    ModuleBlock {
        /// `module`.
        label: Label,
        /// Protocol version.
        version: u16,
        /// The module's UUID: the front of its content's hash.
        uuid: [u8; 16],
    }
}

/// The key that the provider gives to one owner, to derive his modules' keys on one node.
#[must_use]
pub fn vendor_key(node: &Secret, vendor: u16) -> Secret {
    let block = VendorBlock { label: Label::Vendor, version: PROTOCOL_VERSION, vendor };
    derive(node.expose(), &block.bytes::<{ VendorBlock::BYTES }>())
}

/// The key of the module of this name.
#[must_use]
pub fn module_key(vendor: &Secret, uuid: Uuid) -> Secret {
    let block = ModuleBlock { label: Label::Module, version: PROTOCOL_VERSION, uuid: uuid.0 };
    derive(vendor.expose(), &block.bytes::<{ ModuleBlock::BYTES }>())
}
