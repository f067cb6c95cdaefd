//! A port table is read out of an image that anybody may have built.

use veritee_platform::PortTable;

/// Reads a table: names are texts that fit.
///
/// # Panics
/// When a promise is broken.
pub fn ports(data: &[u8]) {
    let Ok(table) = PortTable::decode(data) else { return };
    for port in table.ports {
        for name in [port.name, port.payload_name, port.reply_name] {
            assert!(name.len() <= veritee_ids::limits::NAME_BYTES_MAX && !name.contains('\0'));
        }
    }
}
