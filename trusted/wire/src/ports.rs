//! The port table inside an image: what an owner's tool learns of a module without running it.
//!
//! A header ([`MAGIC`], version, number of records, capacities), then one fixed record a port. The table is a constant of
//! the image in a section of its own ([`SECTION`]), so it is measured with the code.

use crate::codec::{Malformed, Reader};
use veritee_ids::limits::NAME_BYTES_MAX;
use veritee_ids::{PortKind, TypeHash};

/// Section of an image that holds the table.
pub const SECTION: &str = ".veritee.ports";
/// First bytes of a table.
pub const MAGIC: [u8; 8] = *b"VTPORTS1";
/// Length of the table's header in bytes.
pub const HEADER_BYTES: usize = 24;
/// Length of a record in bytes.
pub const RECORD_BYTES: usize = 3 * NAME_BYTES_MAX + 36;

/// Header of a port table: capacities of the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableHeader {
    /// Number of ports.
    pub ports: u16,
    /// Rows of the connection table.
    pub rows: u16,
    /// Reply tokens that the module can hold.
    pub tokens: u16,
    /// Length of the state that can be saved, in bytes; 0 if none can.
    pub state_bytes: u32,
}

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
#[must_use]
pub const fn encode_table<const N: usize>(
    ports: &[PortInfo],
    rows: u16,
    tokens: u16,
    state_bytes: u32,
) -> [u8; N] {
    assert!(N == table_bytes(ports.len()), "the table has the length of its ports");
    assert!(ports.len() < 0xffff, "too many ports");
    let mut bytes = [0; N];
    put(&mut bytes, 0, &MAGIC);
    put(&mut bytes, 8, &veritee_ids::limits::PROTOCOL_VERSION.to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    put(&mut bytes, 10, &(ports.len() as u16).to_le_bytes());
    put(&mut bytes, 12, &rows.to_le_bytes());
    put(&mut bytes, 14, &tokens.to_le_bytes());
    put(&mut bytes, 16, &state_bytes.to_le_bytes());
    let mut index = 0;
    while index < ports.len() {
        put_record(&mut bytes, HEADER_BYTES + index * RECORD_BYTES, &ports[index]);
        index += 1;
    }
    bytes
}

/// Length of a table with so many ports, in bytes.
#[must_use]
pub const fn table_bytes(ports: usize) -> usize {
    HEADER_BYTES + ports * RECORD_BYTES
}

const fn put_record(bytes: &mut [u8], at: usize, port: &PortInfo) {
    put(bytes, at, &(port.kind as u16).to_le_bytes());
    put(bytes, at + 2, &port.flags.to_le_bytes());
    put(bytes, at + 4, &port.emits_max.to_le_bytes());
    put(bytes, at + 8, &port.payload_bytes_max.to_le_bytes());
    put(bytes, at + 12, &port.reply_bytes_max.to_le_bytes());
    put(bytes, at + 16, &port.payload_type.0);
    put(bytes, at + 24, &port.reply_type.0);
    let names = [port.name, port.payload_name, port.reply_name];
    let mut index = 0;
    while index < names.len() {
        assert!(names[index].len() <= NAME_BYTES_MAX, "a name is too long for the port table");
        put(bytes, at + 36 + index * NAME_BYTES_MAX, names[index].as_bytes());
        index += 1;
    }
}

const fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    let mut index = 0;
    while index < field.len() {
        bytes[at + index] = field[index];
        index += 1;
    }
}

/// A port as read from an image. Names borrow from the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadPort<'a> {
    /// Input, output, request, handler or entry.
    pub kind: PortKind,
    /// Flags, see [`FLAG_LATE`].
    pub flags: u16,
    /// Most events that one activation can emit here.
    pub emits_max: u16,
    /// Largest payload in bytes.
    pub payload_bytes_max: u32,
    /// Largest reply in bytes.
    pub reply_bytes_max: u32,
    /// The payload type.
    pub payload_type: TypeHash,
    /// The reply's payload type.
    pub reply_type: TypeHash,
    /// Name.
    pub name: &'a str,
    /// Name of the payload type.
    pub payload_name: &'a str,
    /// Name of the reply's payload type.
    pub reply_name: &'a str,
}

/// Reads a table's header and gives an iterator over its ports.
///
/// # Errors
/// [`Malformed`] when magic, version or length differ.
pub fn decode_table(
    bytes: &[u8],
) -> Result<(TableHeader, impl Iterator<Item = Result<ReadPort<'_>, Malformed>>), Malformed> {
    let mut reader = Reader::new(bytes);
    let magic: [u8; 8] = reader.field()?;
    let version: u16 = reader.field()?;
    let header = TableHeader {
        ports: reader.field()?,
        rows: reader.field()?,
        tokens: reader.field()?,
        state_bytes: reader.field()?,
    };
    let _reserved: u32 = reader.field()?;
    if magic != MAGIC || version != veritee_ids::limits::PROTOCOL_VERSION {
        return Err(Malformed);
    }
    let records = reader.take(usize::from(header.ports) * RECORD_BYTES)?;
    reader.finish()?;
    Ok((header, records.chunks_exact(RECORD_BYTES).map(decode_record)))
}

fn decode_record(record: &[u8]) -> Result<ReadPort<'_>, Malformed> {
    let mut reader = Reader::new(record);
    let kind = reader.field()?;
    let flags = reader.field()?;
    let emits_max = reader.field()?;
    let _: u16 = reader.field()?;
    let payload_bytes_max = reader.field()?;
    let reply_bytes_max = reader.field()?;
    let payload_type = reader.field()?;
    let reply_type = reader.field()?;
    let _: u32 = reader.field()?;
    let name = name(reader.take(NAME_BYTES_MAX)?)?;
    let payload_name = self::name(reader.take(NAME_BYTES_MAX)?)?;
    let reply_name = self::name(reader.take(NAME_BYTES_MAX)?)?;
    reader.finish()?;
    Ok(ReadPort {
        kind,
        flags,
        emits_max,
        payload_bytes_max,
        reply_bytes_max,
        payload_type,
        reply_type,
        name,
        payload_name,
        reply_name,
    })
}

fn name(field: &[u8]) -> Result<&str, Malformed> {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let (name, padding) = field.split_at(end);
    if padding.iter().any(|&byte| byte != 0) {
        return Err(Malformed);
    }
    core::str::from_utf8(name).map_err(|_| Malformed)
}
