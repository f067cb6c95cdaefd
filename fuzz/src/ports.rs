//! A port table is read out of an image that anybody may have built.

use veritee_wire::ports::decode_table;

/// Reads a table: names are texts that fit, and there are as many ports as the header says.
///
/// # Panics
/// When a promise is broken.
pub fn ports(data: &[u8]) {
    let Ok((header, ports)) = decode_table(data) else { return };
    let mut read = 0;
    for port in ports {
        read += 1;
        let Ok(port) = port else { continue };
        for name in [port.name, port.payload_name, port.reply_name] {
            assert!(name.len() <= veritee_ids::limits::NAME_BYTES_MAX && !name.contains('\0'));
        }
    }
    assert_eq!(read, header.ports);
}
