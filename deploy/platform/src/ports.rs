//! Port tables as an owner's tool uses them, read from the bytes inside an image (`veritee_wire::ports`).

use veritee_ids::limits::{NAME_BYTES_MAX, PROTOCOL_VERSION};
use veritee_ids::{PortKind, TypeHash};
use veritee_wire::ports::{FLAG_LATE, MAGIC, RECORD_BYTES};
use veritee_wire::{Malformed, Reader};

/// A port table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortTable {
    /// Rows of the connection table.
    pub rows: u16,
    /// Reply tokens that the module can hold.
    pub tokens: u16,
    /// Length of the movable state in bytes; 0 if none.
    pub state_bytes: u32,
    /// The ports; a port's index is its place.
    pub ports: Vec<Port>,
}

/// One port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Input, output, request, handler or entry.
    pub kind: PortKind,
    /// Its name.
    pub name: String,
    /// Name of its payload type.
    pub payload_name: String,
    /// Name of its reply's payload type.
    pub reply_name: String,
    /// Its payload type.
    pub payload_type: TypeHash,
    /// Its reply's payload type.
    pub reply_type: TypeHash,
    /// Largest payload in bytes.
    pub payload_bytes_max: u32,
    /// Largest reply in bytes.
    pub reply_bytes_max: u32,
    /// Most events that one activation can emit here.
    pub emits_max: u16,
    /// Has a `late` handler.
    pub late: bool,
}

impl PortTable {
    /// Reads the bytes of a table.
    ///
    /// # Errors
    /// [`Malformed`] when it has another version, another length, or names that are no text.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (magic, version, count): ([u8; 8], u16, u16) = (reader.field()?, reader.field()?, reader.field()?);
        let (rows, tokens) = (reader.field()?, reader.field()?);
        let (state_bytes, _reserved): (u32, u32) = (reader.field()?, reader.field()?);
        if magic != MAGIC || version != PROTOCOL_VERSION {
            return Err(Malformed);
        }
        let records = reader.take(usize::from(count) * RECORD_BYTES)?;
        reader.finish()?;
        let ports = records.chunks_exact(RECORD_BYTES).map(decode_port).collect::<Result<_, _>>()?;
        Ok(Self { rows, tokens, state_bytes, ports })
    }
}

fn decode_port(record: &[u8]) -> Result<Port, Malformed> {
    let mut reader = Reader::new(record);
    let kind = reader.field()?;
    let (flags, emits_max, _reserved): (u16, u16, u16) = (reader.field()?, reader.field()?, reader.field()?);
    let (payload_bytes_max, reply_bytes_max) = (reader.field()?, reader.field()?);
    let (payload_type, reply_type) = (reader.field()?, reader.field()?);
    let _reserved: u32 = reader.field()?;
    let mut name = || reader.take(NAME_BYTES_MAX).and_then(decode_name);
    let (name, payload_name, reply_name) = (name()?, name()?, name()?);
    let late = flags & FLAG_LATE != 0;
    Ok(Port {
        kind,
        name,
        payload_name,
        reply_name,
        payload_type,
        reply_type,
        payload_bytes_max,
        reply_bytes_max,
        emits_max,
        late,
    })
}

/// A zero-padded name.
fn decode_name(field: &[u8]) -> Result<String, Malformed> {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let (name, padding) = field.split_at(end);
    if padding.iter().any(|&byte| byte != 0) {
        return Err(Malformed);
    }
    std::str::from_utf8(name).map(str::to_owned).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::PortTable;
    use veritee_ids::{PortKind, TypeHash};
    use veritee_wire::ports::{PortInfo, encode_table, table_bytes};

    const PORTS: &[PortInfo] = &[PortInfo {
        kind: PortKind::Output,
        name: "pressed",
        payload_name: "Press",
        reply_name: "",
        payload_type: TypeHash([1; 8]),
        reply_type: TypeHash([2; 8]),
        payload_bytes_max: 4,
        reply_bytes_max: 6,
        emits_max: 2,
        flags: 1,
    }];
    const TABLE: [u8; table_bytes(1)] = encode_table(PORTS, 8, 2, 70_000);

    #[test]
    fn a_table_is_read_as_written() {
        let table = PortTable::decode(&TABLE).unwrap();
        assert_eq!((table.rows, table.tokens, table.state_bytes), (8, 2, 70_000));
        let port = &table.ports[0];
        assert_eq!((port.kind, port.late, port.emits_max), (PortKind::Output, true, 2));
        assert_eq!((port.payload_bytes_max, port.reply_bytes_max), (4, 6));
        assert_eq!((port.payload_type, port.reply_type), (TypeHash([1; 8]), TypeHash([2; 8])));
        assert_eq!([&*port.name, &port.payload_name, &port.reply_name], ["pressed", "Press", ""]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for length in 0..TABLE.len() {
            assert!(PortTable::decode(&TABLE[..length]).is_err(), "length {length}");
        }
        for at in [0, 8, TABLE.len() - 1] {
            let mut table = TABLE;
            table[at] ^= 0x80;
            assert!(PortTable::decode(&table).is_err(), "byte {at}");
        }
    }
}
