use crate::frame::{body_bytes, frame_bytes};
use crate::layout::{EntryResult, Frame, SetKey};
use crate::output::{FRAME, OutputWriter};
use crate::{Layout, Malformed};
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, Status};

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
fn an_output_without_room_writes_nothing() {
    let mut area = [0; 40];
    let mut writer = OutputWriter::new(&mut area).unwrap();
    assert_eq!(writer.record(FRAME, 13), Err(Malformed));
    let room = writer.room();
    writer.record(FRAME, room - 8).unwrap().fill(7);
    assert_eq!(writer.room(), 0);
    writer.clear();
    assert_eq!(writer.finish(EntryResult { status: Status::Gap, reserved: 0, value: 9 }), 20);
    assert_eq!(area[..10], [12, 0, 0, 0, 1, 0, 0, 0, 2, 0]);
    assert!(OutputWriter::new(&mut area[..19]).is_err());
}
