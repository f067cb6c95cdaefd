//! Frames of every cipher against golden bytes that implementations in other languages must make, too.
//!
//! `testkit/vectors/frames.txt` has a line a frame: cipher, key, application, connection, kind, epoch, counter, body, frame.

use std::fmt::Write as _;
use std::path::PathBuf;
use veritee_ciphers::AeadKey;
use veritee_ids::{ApplicationHandle, CipherId, ConnectionId, Counter, Epoch, FrameKind};
use veritee_seal::{Aead, Nonce, Secret};
use veritee_wire::Layout;
use veritee_wire::layout::Frame;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

fn seal(cipher: CipherId, key: [u8; 16], application: u16, header: Frame, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; Frame::BYTES];
    header.encode(&mut frame).expect("the buffer has the header's length");
    let mut body = body.to_vec();
    let nonce = Nonce { counter: header.counter, direction: header.direction() };
    let associated = header.associated(ApplicationHandle(application));
    let tag = AeadKey::of(cipher, &Secret::new(key)).seal(nonce, &associated, &mut body);
    [frame, body, tag.to_vec()].concat()
}

/// Cipher, key, application, header and body of one vector.
type Input = (CipherId, [u8; 16], u16, Frame, Vec<u8>);

/// A spread of headers and lengths, from a fixed sequence.
fn inputs() -> Vec<Input> {
    let mut inputs = Vec::new();
    for &cipher in CipherId::ALL {
        for (number, length) in [2_usize, 4, 16, 18, 64, 256].into_iter().enumerate() {
            let seed = u8::try_from(number).expect("few lengths");
            let kind = FrameKind::ALL[number % FrameKind::ALL.len()];
            let header = Frame {
                connection: ConnectionId(0x0102 + u16::from(seed)),
                kind,
                epoch: Epoch(0x0304_0506 + u32::from(seed)),
                counter: Counter(if number == 0 { 0 } else { 0x0708_090a_0b0c_0d0e >> (8 * number) }),
            };
            let key = std::array::from_fn(|at| u8::try_from(at).expect("16 places") ^ seed);
            let body = (0..length).map(|at| u8::try_from(at % 251).expect("below 251") ^ seed).collect();
            inputs.push((cipher, key, 0x1122 + u16::from(seed), header, body));
        }
    }
    inputs
}

fn lines() -> String {
    let mut text = String::new();
    for (cipher, key, application, header, body) in inputs() {
        let frame = seal(cipher, key, application, header, &body);
        writeln!(
            text,
            "{} {} {application} {} {} {} {} {} {}",
            cipher.word(),
            hex(&key),
            header.connection,
            header.kind.word(),
            header.epoch,
            header.counter,
            hex(&body),
            hex(&frame)
        )
        .expect("a string takes everything");
    }
    text
}

#[test]
fn frames_have_the_golden_bytes() {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let path = std::env::var_os("VERITEE_VECTORS").map_or(own, PathBuf::from).join("frames.txt");
    if std::env::var_os("VERITEE_ACCEPT").is_some() {
        std::fs::write(&path, lines()).expect("the vectors can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the vectors are there");
    assert_eq!(golden.lines().count(), lines().lines().count());
    for (golden, made) in golden.lines().zip(lines().lines()) {
        assert_eq!(golden, made);
    }
}

#[test]
fn golden_frames_open_and_their_forgeries_do_not() {
    for (cipher, key, application, header, body) in inputs() {
        let frame = bytes(&hex(&seal(cipher, key, application, header, &body)));
        let (read, sealed, tag) = Frame::split(&frame).expect("a frame");
        assert_eq!(read, header);
        let nonce = Nonce { counter: header.counter, direction: header.direction() };
        let key = AeadKey::of(cipher, &Secret::new(key));
        let associated = header.associated(ApplicationHandle(application));
        let mut opened = sealed.to_vec();
        assert_eq!(key.open(nonce, &associated, &mut opened, tag), Ok(()));
        assert_eq!(opened, body);
        let mut forged = sealed.to_vec();
        forged[0] ^= 1;
        assert!(key.open(nonce, &associated, &mut forged, tag).is_err());
        assert!(forged.iter().all(|byte| *byte == 0), "what does not open is wiped");
    }
}
