//! The firmware at its serial line, with modules behind it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::line::{self, Frame, Host, words};
use rig::{board, image, probe_at};
use std::sync::OnceLock;
use veritee_machine::Profile;
use veritee_sancus_image::{BoardImage, Linked};

const PROFILE: Profile = Profile::Veritee;
const ECHO: u16 = 1;
const COUNT: u16 = 6;
const ARM: u16 = 9;
const VENDOR: u16 = 7;

const DONE: u8 = 0;
const UNKNOWN_REQUEST: u8 = 1;
const MALFORMED: u8 = 2;
const NO_HANDLE: u8 = 3;
const WRONG_STATE: u8 = 4;
const NOT_FREE: u8 = 5;
const FULL: u8 = 6;
const NO_ROOM: u8 = 8;
const NOT_NEW: u8 = 9;
const NO_OUTPUT: u8 = 10;
const NOTHING_RETURNED: u8 = 11;

fn plain() -> &'static BoardImage {
    static IMAGE: OnceLock<BoardImage> = OnceLock::new();
    IMAGE.get_or_init(|| image(&[]))
}

fn host() -> Host {
    Host::new(board(PROFILE, plain()))
}

fn module() -> &'static Linked {
    static MODULE: OnceLock<Linked> = OnceLock::new();
    MODULE.get_or_init(|| probe_at(plain().text_free.0, plain().secret_free.0))
}

/// A board with the probe on it, whose handle is 0.
fn loaded(room: u16, poll: u16) -> Host {
    let mut host = host();
    assert_eq!(host.load(module(), VENDOR, room, poll), (0, 2));
    host
}

fn call(call: u32, op: u16, input: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 0];
    payload.extend_from_slice(&call.to_le_bytes());
    payload.extend_from_slice(&op.to_le_bytes());
    payload.extend_from_slice(input);
    payload
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}

#[test]
fn says_hello() {
    let mut host = host();
    let hello = host.done(line::HELLO, &[]);
    assert_eq!(hello.len(), 42);
    assert_eq!((word(&hello, 0), word(&hello, 2)), (1, 1));
    assert_eq!(hello[14..18], [16, 8, 15, 0], "key bytes, handles, slots, drivers");
    let memory = [18, 20, 22, 24].map(|at| word(&hello, at));
    let (text, secret) = (plain().text_free, plain().secret_free);
    assert_eq!(memory, [text.0, text.1, secret.0, secret.1]);
    assert_eq!([26, 30, 34].map(|at| long(&hello, at)), [0, 1, 1], "last call, oldest and next output");
    assert_eq!(word(&hello, 40), 512);
}

#[test]
fn every_boot_has_another_name() {
    let mut host = host();
    let first = host.done(line::HELLO, &[])[4..12].to_vec();
    assert_eq!(host.done(line::HELLO, &[])[4..12], first);
    host.board.power_up();
    assert_ne!(host.done(line::HELLO, &[])[4..12], first);
}

#[test]
fn prints_on_the_second_line() {
    let mut host = host();
    host.done(line::PING, b"wait");
    let mut text = Vec::new();
    while let Some((_, _, byte)) = host.board.take_byte(1) {
        text.push(byte);
    }
    assert_eq!(text, b"Veritee board\r\n");
}

#[test]
fn loads_calls_and_unloads_a_module() {
    let mut host = loaded(64, 0);
    assert_eq!(host.call(0, ECHO, b"hello!"), (DONE, b"hello!".to_vec()));
    assert_eq!(host.call(0, COUNT, b""), (DONE, vec![1, 0]));
    assert_eq!(host.call(0, 99, b""), (NOTHING_RETURNED, vec![]));
    let list = host.done(line::LIST, &[]);
    let text_bytes = u16::try_from(module().text.len()).unwrap();
    assert_eq!(list[..2], [0, 2]);
    let expected = [
        2,
        VENDOR,
        module().text_address,
        module().text_address + text_bytes,
        module().secret_address,
        module().secret_end(),
        64,
    ];
    assert_eq!(list[2..], words(&expected));
    host.done(line::UNLOAD, &[0, 0]);
    assert!(host.done(line::LIST, &[]).is_empty());
    assert_eq!(host.call(0, ECHO, b"hello!").0, NO_HANDLE);
    let text = module().text_address..module().text_end();
    assert!(text.clone().all(|address| host.board.memory(address) == 0));
    assert_eq!(host.load(module(), VENDOR, 64, 0), (0, 3), "the memory is free again");
    assert_eq!(host.call(0, COUNT, b""), (DONE, vec![1, 0]));
}

#[test]
fn reserves_only_what_is_free() {
    let mut host = host();
    let (text, secret) = (plain().text_free, plain().secret_free);
    let mut reserve = |place: [u16; 4]| host.request(line::RESERVE, &words(&place));
    assert_eq!(reserve([text.0, 0x400, secret.0, 0x200]), (DONE, vec![0, 0]));
    for bad in [
        [text.0, 0x400, secret.0 + 0x200, 0x200],
        [text.0 + 0x3fe, 0x400, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0x400, secret.0 + 0x1fe, 0x200],
        [text.0 - 2, 0x400, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0x400, secret.0 - 2, 0x200],
        [text.1 - 0x100, 0x102, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0xfff0, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0x400, secret.1 - 0x100, 0x102],
        [text.0 + 0x400, 0x400, secret.0 + 0x200, 0xfff0],
        [text.0 + 0x401, 0x400, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0x401, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0, secret.0 + 0x200, 0x200],
        [text.0 + 0x400, 0x400, secret.0 + 0x200, 0],
        [0, 0x400, 0, 0x200],
    ] {
        assert_eq!(reserve(bad), (NOT_FREE, vec![]), "{bad:x?}");
    }
    for handle in 1..8u16 {
        let place = [text.0 + handle * 0x400, 0x400, secret.0 + handle * 0x200, 0x200];
        assert_eq!(reserve(place), (DONE, vec![u8::try_from(handle).unwrap(), 0]));
    }
    assert_eq!(reserve([text.0 + 0x2000, 0x400, secret.0 + 0x1000, 0x200]), (FULL, vec![]));
    host.done(line::UNLOAD, &[3, 0]);
    let again = [text.0 + 3 * 0x400, 0x400, secret.0 + 3 * 0x200, 0x200];
    assert_eq!(host.request(line::RESERVE, &words(&again)), (DONE, vec![3, 0]));
}

#[test]
fn writes_only_into_what_is_reserved_and_not_yet_enabled() {
    let mut host = host();
    let place = [module().text_address, 0x400, module().secret_address, 0x200];
    host.done(line::RESERVE, &words(&place));
    let mut write = |handle: u8, offset: u16, bytes: &[u8]| {
        let [low, high] = offset.to_le_bytes();
        host.request(line::WRITE, &[&[handle, 0, low, high], bytes].concat()).0
    };
    assert_eq!(write(0, 0x3fe, &[1, 2]), DONE);
    assert_eq!(write(0, 0x3fe, &[1, 2, 3, 4]), MALFORMED);
    assert_eq!(write(0, 0x400, &[]), DONE);
    assert_eq!(write(0, 0x402, &[]), MALFORMED);
    assert_eq!(write(0, 1, &[1, 2]), MALFORMED);
    assert_eq!(write(0, 0, &[1]), MALFORMED);
    assert_eq!(write(0, 0xfffe, &[1, 2]), MALFORMED);
    assert_eq!(write(1, 0, &[1, 2]), NO_HANDLE);
    assert_eq!(write(255, 0, &[1, 2]), NO_HANDLE);
    assert_eq!(host.request(line::CALL, &call(1, ECHO, &[])).0, WRONG_STATE);
    let mut host = loaded(64, 0);
    assert_eq!(host.request(line::WRITE, &[0, 0, 0, 0, 1, 2]).0, WRONG_STATE);
    assert_eq!(host.request(line::ENABLE, &[0, 0, 7, 0, 64, 0, 0, 0]).0, WRONG_STATE);
    assert_eq!(host.call(0, ECHO, b"well"), (DONE, b"well".to_vec()));
}

#[test]
fn refuses_what_makes_no_sense() {
    let mut host = loaded(64, 0);
    for kind in [0, 11, 0x3f, 0x40, 0x7f] {
        assert_eq!(host.request(kind, &[]).0, UNKNOWN_REQUEST);
    }
    for (kind, least) in [(line::RESERVE, 8), (line::WRITE, 4), (line::ENABLE, 8), (line::CALL, 8), (line::FETCH, 6)] {
        assert_eq!(host.request(kind, &vec![0; least - 1]).0, MALFORMED, "request {kind}");
    }
    assert_eq!(host.request(line::CALL, &call(1, 0x102, &[])).0, MALFORMED, "only unload disables");
    assert_eq!(host.request(line::CALL, &call(1, ECHO, &[0; 514])).0, MALFORMED);
    assert_eq!(host.request(line::UNLOAD, &[9, 0]).0, NO_HANDLE);
    assert_eq!(host.request(line::FETCH, &[1, 0, 0, 0, 0, 0]).0, NO_OUTPUT);
    assert_eq!(host.call(0, ECHO, b"well"), (DONE, b"well".to_vec()));
}

#[test]
fn executes_a_call_number_once() {
    let mut host = loaded(64, 0);
    assert_eq!(host.request(line::CALL, &call(5, COUNT, &[])).0, DONE);
    for number in [5, 4, 0] {
        assert_eq!(host.request(line::CALL, &call(number, COUNT, &[])).0, NOT_NEW);
    }
    let (code, rest) = host.request(line::CALL, &call(6, COUNT, &[]));
    assert_eq!((code, rest[6..].to_vec()), (DONE, vec![2, 0]));
    assert_eq!(long(&host.done(line::HELLO, &[]), 26), 6);
}

#[test]
fn answers_a_repeated_frame_without_executing_it() {
    let mut host = loaded(64, 0);
    let frame = Frame { kind: line::CALL, sequence: 77, payload: call(1, COUNT, &[]) };
    let first = host.exchange(&frame);
    for _ in 0..3 {
        assert_eq!(host.exchange(&frame), first);
    }
    // The same number with another request is another request.
    let other = host.exchange(&Frame { payload: call(2, COUNT, &[]), ..frame });
    assert_eq!(other.payload[8..], [2, 0]);
}

#[test]
fn keeps_outputs_until_they_are_released() {
    let mut host = loaded(128, 0);
    for number in 1..=3u8 {
        let (code, _) = host.request(line::CALL, &call(u32::from(number), ECHO, &[number; 100]));
        assert_eq!(code, DONE);
    }
    let fetch = |host: &mut Host, output: u32, offset: u16| {
        host.request(line::FETCH, &[&output.to_le_bytes()[..], &offset.to_le_bytes()].concat())
    };
    for number in 1..=3u8 {
        let (code, rest) = fetch(&mut host, u32::from(number), 90);
        assert_eq!(code, DONE);
        assert_eq!((long(&rest, 0), long(&rest, 4)), (u32::from(number), u32::from(number)));
        assert_eq!([8, 10, 12].map(|at| word(&rest, at)), [0, 100, 90]);
        assert_eq!(rest[14..], [number; 10]);
    }
    host.done(line::RELEASE, &2u32.to_le_bytes());
    let (_, rest) = fetch(&mut host, 1, 90);
    assert_eq!((long(&rest, 0), word(&rest, 12), rest.len()), (3, 0, 114), "the next one, from its beginning");
    host.done(line::RELEASE, &3u32.to_le_bytes());
    assert_eq!(fetch(&mut host, 1, 0).0, NO_OUTPUT);
    let hello = host.done(line::HELLO, &[]);
    assert_eq!([30, 34].map(|at| long(&hello, at)), [4, 4]);
}

#[test]
fn enters_no_module_whose_output_would_not_fit() {
    let mut host = loaded(1000, 0);
    let mut number = 0;
    let mut push = |host: &mut Host, bytes: usize| {
        number += 1;
        host.request(line::CALL, &call(number, ECHO, &vec![0xab; bytes])).0
    };
    // The ring has 4608 bytes, an output 12 beside its own.
    for bytes in [500, 501, 500, 2, 500, 500, 500] {
        assert_eq!(push(&mut host, bytes), DONE);
    }
    assert_eq!(push(&mut host, 500), DONE);
    assert_eq!(push(&mut host, 500), NO_ROOM);
    // After the oldest ones there is room again, at the beginning of the ring.
    host.done(line::RELEASE, &2u32.to_le_bytes());
    assert_eq!(push(&mut host, 500), DONE);
    assert_eq!(push(&mut host, 500), NO_ROOM);
    host.done(line::RELEASE, &8u32.to_le_bytes());
    assert_eq!(push(&mut host, 500), DONE);
    let hello = host.done(line::HELLO, &[]);
    assert_eq!([30, 34].map(|at| long(&hello, at)), [9, 11]);
    for output in 9..11u32 {
        let rest = host.done(line::FETCH, &[&output.to_le_bytes()[..], &[0, 0]].concat());
        assert_eq!(rest[14..], [0xab; 500]);
    }
}

#[test]
fn draws_attention_to_what_a_polled_module_says() {
    let mut host = loaded(64, 2);
    assert_eq!(host.call(0, ARM, &[0; 3]), (DONE, b"ok".to_vec()));
    let attention = Frame { kind: 0x40, sequence: 0, payload: vec![] };
    assert_eq!(host.frame(), Some(attention.clone()));
    for output in 2..5u32 {
        let rest = host.done(line::FETCH, &[&output.to_le_bytes()[..], &[0, 0]].concat());
        assert_eq!((long(&rest, 0), long(&rest, 4), word(&rest, 10)), (output, 0, 40));
    }
    // Fetched, but not released: again after a second.
    let asked = host.board.cycle();
    assert_eq!(host.frame(), Some(attention));
    let waited = host.board.cycle() - asked;
    assert!((6_000_000..10_000_000).contains(&waited), "{waited} cycles");
    host.done(line::RELEASE, &4u32.to_le_bytes());
    assert_eq!(host.byte_within(20_000_000), None);
}

#[test]
fn sleeps_when_nothing_is_to_do() {
    let mut host = loaded(64, 0);
    host.done(line::PING, &[]);
    host.byte_within(100_000);
    assert!(host.board.sleeps());
}

#[test]
fn skips_what_is_no_enquiry() {
    let mut host = loaded(64, 0);
    host.send(&(0..=255u8).filter(|byte| *byte != line::ENQ).collect::<Vec<_>>());
    assert_eq!(host.byte_within(300 * line::BYTE), None);
    assert_eq!(host.call(0, ECHO, b"well"), (DONE, b"well".to_vec()));
}

#[test]
fn refuses_damaged_and_unfinished_frames() {
    let mut host = loaded(64, 0);
    let frame = Frame { kind: line::CALL, sequence: 99, payload: call(1, COUNT, &[]) };
    let bytes = frame.encode();
    for bit in 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        host.enquire();
        host.send(&damaged);
        // A longer length waits for bytes that do not come.
        assert_eq!(host.frame(), None, "NAK for bit {bit}");
    }
    for length in 0..bytes.len() {
        host.enquire();
        host.send(&bytes[..length]);
        assert_eq!(host.frame(), None, "NAK after {length} bytes");
    }
    assert_eq!(host.exchange(&frame).payload[8..], [1, 0], "nothing of it was executed");
}
