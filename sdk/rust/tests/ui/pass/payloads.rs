use veritee::{Bytes, Payload, decode, encode};

const FIRST: u16 = 0x0100;

#[derive(Payload, Clone, Copy, PartialEq, Debug)]
#[repr(u16)]
enum Level {
    Low = FIRST,
    High = FIRST + 1,
}

#[derive(Payload, Clone, Copy, PartialEq, Debug)]
struct Point {
    x: i8,
    y: i16,
}

#[derive(Payload, PartialEq, Debug)]
struct Drawing {
    level: Level,
    visible: bool,
    points: [Point; 2],
    title: Bytes<4>,
}

/// Field after field: no alignment, so no padding either.
fn main() {
    let points = [Point { x: -1, y: 2 }, Point { x: 3, y: -4 }];
    let title = Bytes::new(b"map").expect("three are at most four");
    let drawing = Drawing { level: Level::High, visible: true, points, title };
    let mut bytes = [0; <Drawing as veritee::Layout>::BYTES];
    let encoded = encode(&drawing, &mut bytes);
    let expected = [1, 1, 1, 0xff, 2, 0, 3, 0xfc, 0xff, 3, 0, b'm', b'a', b'p'];
    assert_eq!(encoded, expected);
    assert_eq!(decode(encoded), Ok(drawing));
}
