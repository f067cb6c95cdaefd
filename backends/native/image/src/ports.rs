//! The port table, read out of an image.

use object::{Object, ObjectSection};
use veritee_platform::{Port, PortTable};
use veritee_wire::ports::{FLAG_LATE, ReadPort, SECTION, decode_table};

/// Reads the port table of an image.
pub(crate) fn read(image: &[u8]) -> Result<PortTable, String> {
    let file = object::File::parse(image).map_err(|error| format!("it is no ELF image: {error}"))?;
    let section = file.section_by_name(SECTION).ok_or("it has no port table")?;
    let bytes = section.data().map_err(|error| format!("its port table cannot be read: {error}"))?;
    let malformed = |_| "its port table has another version or form";
    let (header, ports) = decode_table(bytes).map_err(malformed)?;
    let ports = ports.map(|port| port.map(owned)).collect::<Result<_, _>>().map_err(malformed)?;
    Ok(PortTable { rows: header.rows, tokens: header.tokens, state_bytes: header.state_bytes, ports })
}

fn owned(port: ReadPort<'_>) -> Port {
    Port {
        kind: port.kind,
        name: port.name.to_owned(),
        payload_name: port.payload_name.to_owned(),
        reply_name: port.reply_name.to_owned(),
        payload_type: port.payload_type,
        reply_type: port.reply_type,
        payload_bytes_max: port.payload_bytes_max,
        reply_bytes_max: port.reply_bytes_max,
        emits_max: port.emits_max,
        late: port.flags & FLAG_LATE != 0,
    }
}
