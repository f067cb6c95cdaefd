use crate::codec::{Layout, Malformed};
use crate::frame::{body_bytes, frame_bytes};
use crate::layout::{EntryResult, Frame, SetKey, TABLE};
use crate::output::{OutputReader, OutputRecord, OutputWriter};
use crate::ports::{PortInfo, decode_table, encode_table, table_bytes};
use std::vec::Vec;
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, PortKind, Status, TypeHash};

fn header() -> Frame {
    Frame {
        connection: ConnectionId(7),
        kind: FrameKind::Event,
        epoch: Epoch(3),
        counter: Counter(0x0102_0304_0506_0708),
    }
}

#[test]
fn frame_header_has_the_documented_bytes() {
    let mut bytes = [0; 16];
    header().encode(&mut bytes).unwrap();
    assert_eq!(bytes, [7, 0, 1, 0, 3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let mut bytes = [0; 17];
    header().encode(&mut bytes).unwrap();
    for length in 0..bytes.len() + 1 {
        let decoded = Frame::decode(&bytes[..length.min(17)]);
        assert_eq!(decoded.is_ok(), length == 16, "length {length}");
    }
    let set_key = [1; SetKey::BYTES];
    for length in 0..set_key.len() {
        assert_eq!(SetKey::decode(&set_key[..length]), Err(Malformed));
    }
}

#[test]
fn frames_without_body_or_with_odd_body_are_refused() {
    let mut bytes = [0; 64];
    header().encode(&mut bytes).unwrap();
    for body in 0..8 {
        let frame = &bytes[..16 + body + 16];
        assert_eq!(Frame::split(frame).is_ok(), body >= 2 && body % 2 == 0, "body {body}");
    }
}

#[test]
fn bodies_are_even_and_never_empty() {
    assert_eq!([body_bytes(0), body_bytes(1), body_bytes(2), body_bytes(3)], [2, 2, 2, 4]);
    assert_eq!(frame_bytes(64), 96);
}

#[test]
fn output_is_read_as_written() {
    let mut area = [0; 256];
    let mut writer = OutputWriter::new(&mut area).unwrap();
    writer.frame(4, |body| body.copy_from_slice(&[1, 2, 3, 4])).unwrap();
    assert!(writer.frame(1000, |_| ()).is_err());
    let result = EntryResult { status: Status::Gap, reserved: 0, value: 9 };
    let length = writer.finish(result);
    let records: Vec<_> = OutputReader::new(&area[..length]).map(Result::unwrap).collect();
    assert_eq!(records, [OutputRecord::Result(result), OutputRecord::Frame(&[1, 2, 3, 4])]);
    assert!(OutputReader::new(&area[..length - 1]).any(|record| record.is_err()));
}

#[test]
fn port_table_is_read_as_written() {
    const PORTS: &[PortInfo] = &[PortInfo {
        kind: PortKind::Output,
        name: "pressed",
        payload_name: "Press",
        reply_name: "",
        payload_type: TypeHash([1; 8]),
        reply_type: TypeHash([0; 8]),
        payload_bytes_max: 4,
        reply_bytes_max: 0,
        emits_max: 2,
        flags: 0,
    }];
    const TABLE: [u8; table_bytes(1)] = encode_table(PORTS, 8, 2, 0);
    let (header, ports) = decode_table(&TABLE).unwrap();
    let ports: Vec<_> = ports.map(Result::unwrap).collect();
    assert_eq!((header.ports, header.rows, header.tokens), (1, 8, 2));
    assert_eq!((ports[0].name, ports[0].payload_name, ports[0].emits_max), ("pressed", "Press", 2));
    for length in 0..TABLE.len() {
        assert!(decode_table(&TABLE[..length]).is_err());
    }
}

#[test]
fn every_layout_is_even_and_documented() {
    for layout in TABLE {
        assert_eq!(layout.bytes, layout.fields.iter().map(|field| field.bytes).sum::<usize>());
        assert!(layout.bytes % 2 == 0 && !layout.doc.is_empty(), "{}", layout.name);
        assert!(layout.fields.iter().all(|field| !field.doc.is_empty()), "{}", layout.name);
    }
}
