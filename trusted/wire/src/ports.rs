//! The port table inside an image: what an owner's tool learns of a module without running it.
//!
//! A header ([`MAGIC`], version, number of records, capacities), then one fixed record a port. The table is a constant of
//! the image in a section of its own ([`SECTION`]), so it is measured with the code.

use veritee_ids::limits::{NAME_BYTES_MAX, PROTOCOL_VERSION};
use veritee_ids::{PortKind, TypeHash};

/// Section of an image that holds the table.
pub const SECTION: &str = ".veritee.ports";
/// First bytes of a table.
pub const MAGIC: [u8; 8] = *b"VTPORTS1";
/// Length of the table's header in bytes.
pub const HEADER_BYTES: usize = 24;
/// Length of a record in bytes.
pub const RECORD_BYTES: usize = 3 * NAME_BYTES_MAX + 36;

/// One port of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortInfo {
    /// Input, output, request, handler or entry.
    pub kind: PortKind,
    /// Name, as in the descriptor.
    pub name: &'static str,
    /// Name of the payload type.
    pub payload_name: &'static str,
    /// Name of the reply's payload type; empty without replies.
    pub reply_name: &'static str,
    /// The payload type.
    pub payload_type: TypeHash,
    /// The reply's payload type; zero without replies.
    pub reply_type: TypeHash,
    /// Largest payload in bytes.
    pub payload_bytes_max: u32,
    /// Largest reply in bytes.
    pub reply_bytes_max: u32,
    /// Most events that one activation of any handler can emit here (outputs, requests).
    pub emits_max: u16,
    /// Bit 0: an input or handler with a `late` handler.
    pub flags: u16,
}

/// Flag: the port has a `late` handler.
pub const FLAG_LATE: u16 = 1;

/// Builds the bytes of a table, at compile time: `N` is [`table_bytes`] of the number of ports.
///
/// # Panics
/// At compile time: when `N` does not fit, or a name is longer than [`NAME_BYTES_MAX`].
pub const fn encode_table<const N: usize>(ports: &[PortInfo], rows: u16, tokens: u16, state_bytes: u32) -> [u8; N] {
    assert!(N == table_bytes(ports.len()) && ports.len() < 0xffff, "the table has the length of its ports");
    let mut bytes = [0; N];
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let count = (ports.len() as u16).to_le_bytes();
    let (rows, tokens, state_bytes) = (rows.to_le_bytes(), tokens.to_le_bytes(), state_bytes.to_le_bytes());
    put(&mut bytes, 0, &[&MAGIC, &PROTOCOL_VERSION.to_le_bytes(), &count, &rows, &tokens, &state_bytes]);
    let mut index = 0;
    while index < ports.len() {
        put_record(&mut bytes, HEADER_BYTES + index * RECORD_BYTES, &ports[index]);
        index += 1;
    }
    bytes
}

/// Length of a table with so many ports, in bytes.
pub const fn table_bytes(ports: usize) -> usize {
    HEADER_BYTES + ports * RECORD_BYTES
}

const fn put_record(bytes: &mut [u8], at: usize, port: &PortInfo) {
    let (kind, flags, emits_max) = ((port.kind as u16).to_le_bytes(), port.flags.to_le_bytes(), port.emits_max);
    let lengths = [port.payload_bytes_max.to_le_bytes(), port.reply_bytes_max.to_le_bytes()];
    put(bytes, at, &[&kind, &flags, &emits_max.to_le_bytes(), &[0; 2], &lengths[0], &lengths[1]]);
    put(bytes, at + 16, &[&port.payload_type.0, &port.reply_type.0]);
    let (names, mut index) = ([port.name, port.payload_name, port.reply_name], 0);
    while index < names.len() {
        assert!(names[index].len() <= NAME_BYTES_MAX, "a name is too long for the port table");
        put(bytes, at + 36 + index * NAME_BYTES_MAX, &[names[index].as_bytes()]);
        index += 1;
    }
}

/// Puts fields one behind the other.
const fn put(bytes: &mut [u8], mut at: usize, mut fields: &[&[u8]]) {
    while let [field, rest @ ..] = fields {
        let (_, place) = bytes.split_at_mut(at);
        place.split_at_mut(field.len()).0.copy_from_slice(field);
        at += field.len();
        fields = rest;
    }
}
