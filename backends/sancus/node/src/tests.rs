//! The parts of the driver that need no board.

use crate::frame::{Ear, Heard, crc, encode};
use crate::memory::{first_fit, largest};
use crate::message;
use crate::ring::Ring;
use crate::short::shorten;
use proptest::prelude::*;
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, Status};
use veritee_wire::Layout;
use veritee_wire::layout::Frame;

fn frame(kind: u8, sequence: u8, payload: &[u8]) -> Heard {
    Heard::Frame { kind, sequence, payload: payload.to_vec() }
}

fn hear_all(ear: &mut Ear) -> Vec<Heard> {
    std::iter::from_fn(|| ear.next()).collect()
}

#[test]
fn the_crc_is_the_one_of_the_name() {
    assert_eq!(crc(b"123456789"), 0x29b1, "the check value of CRC-16/CCITT-FALSE");
}

#[test]
fn signs_and_frames_are_found_in_whatever_pieces_they_come() {
    let mut bytes = vec![0x06, 0x15];
    bytes.extend(encode(0x81, 7, b"hello"));
    bytes.extend(encode(0x40, 0, b""));
    let expected = [Heard::Ack, Heard::Nak, frame(0x81, 7, b"hello"), frame(0x40, 0, b"")];
    for cut in 0..bytes.len() {
        let mut ear = Ear::default();
        ear.take(&bytes[..cut]);
        let mut heard = hear_all(&mut ear);
        ear.take(&bytes[cut..]);
        heard.extend(hear_all(&mut ear));
        assert_eq!(heard, expected, "cut at {cut}");
    }
}

#[test]
fn a_frame_behind_the_ruins_of_another_is_found() {
    let mut ear = Ear::default();
    let whole = encode(0x87, 3, &[0x55; 40]);
    ear.take(&whole[..20]);
    ear.take(&encode(0x88, 4, b"next"));
    assert_eq!(hear_all(&mut ear), [], "the first one may still be going on");
    for _ in 0..20 {
        ear.silence();
    }
    assert!(hear_all(&mut ear).contains(&frame(0x88, 4, b"next")));
}

#[test]
fn an_event_to_a_board_has_six_bytes_before_its_body() {
    let mut input = vec![9, 0];
    let mut bytes = vec![0x5a; 16 + 8 + 16];
    let header = Frame {
        connection: ConnectionId(0x1234),
        kind: FrameKind::Request,
        epoch: Epoch(0x43),
        counter: Counter(0x0102_0304_0506_0708),
    };
    header.encode(&mut bytes).unwrap();
    input.extend(bytes);
    let short = shorten(&input).unwrap();
    assert_eq!(short[..6], [9, 2 | (3 << 2), 8, 7, 6, 5]);
    assert_eq!(short[6..], [0x5a; 24], "body and tag as they were");
    input[1] = 1;
    assert_eq!(shorten(&input), Err(Status::Busy), "a board has no row 265");
    assert_eq!(shorten(&input[..30]), Err(Status::Malformed), "not a frame");
}

#[test]
fn a_release_waits_for_the_oldest_output_that_somebody_needs() {
    let mut ring = Ring::default();
    for output in 1..=4 {
        ring.fetched(output, 10, true);
    }
    ring.release(2);
    ring.release(3);
    assert_eq!(ring.releasable(), None, "a release frees everything before it, and 1 is needed");
    ring.release(1);
    assert_eq!((ring.releasable(), ring.releasable_bytes()), (Some(3), 30));
    ring.released(3);
    ring.fetched(5, 10, false);
    assert_eq!(ring.releasable(), None);
    ring.release(4);
    assert_eq!(ring.releasable(), Some(5), "nobody ever needed 5");
}

#[test]
fn responses_that_make_no_sense_are_told_apart_from_refusals() {
    assert_eq!(message::open(&[0, 0, 7]), Ok(Ok(&[7][..])));
    assert_eq!(message::open(&[8, 0]), Ok(Err(message::Code::NoRoom)));
    for response in [&[][..], &[0], &[8], &[8, 0, 1], &[0, 1]] {
        assert_eq!(message::open(response), Err(message::Nonsense), "{response:?}");
    }
    assert!(message::hello(&[2, 0, 9, 9]).unwrap() == Err(2), "another version is named, whatever follows");
}

proptest! {
    #[test]
    fn a_line_that_lies_is_never_believed_and_never_fatal(bytes in proptest::collection::vec(any::<u8>(), 0..900)) {
        let mut ear = Ear::default();
        ear.take(&bytes);
        for heard in hear_all(&mut ear) {
            if let Heard::Frame { kind, sequence, payload } = heard {
                let again = encode(kind, sequence, &payload);
                prop_assert!(bytes.windows(again.len()).any(|window| window == again), "only what was sent is heard");
            }
        }
        let _ = message::hello(&bytes);
        let _ = message::list(&bytes);
        let _ = message::called(&bytes);
        let _ = message::fetched(&bytes);
    }

    #[test]
    fn places_are_even_free_and_inside(
        taken in proptest::collection::vec((0_u32..600, 0_u32..80), 0..8), bytes in 1_u16..200,
    ) {
        let range = 101..500;
        let taken: Vec<_> = taken.into_iter().map(|(start, length)| start..start + length).collect();
        match first_fit(&range, &taken, bytes) {
            Some(place) => {
                let place = u32::from(place);
                let end = place + u32::from(bytes);
                prop_assert!(place % 2 == 0 && place >= range.start && end <= range.end);
                prop_assert!(taken.iter().all(|taken| taken.is_empty() || taken.end <= place || end <= taken.start));
                prop_assert!(largest(&range, &taken) + 1 >= bytes);
            }
            None => prop_assert!(largest(&range, &taken) < bytes),
        }
    }
}
