use crate::{Bytes, Layout as _, Malformed, Message, Payload, decode, encode, restore, save};
use proptest::prelude::*;
use std::vec::Vec;
use veritee_wire::Writer;

#[derive(Payload, Clone, Copy, PartialEq, Debug)]
#[repr(i16)]
enum Mode {
    Off = -1,
    Low = 1,
    High = 0x1234,
}

#[derive(Payload, Clone, Copy, PartialEq, Debug)]
struct Sample {
    at: u64,
    valid: bool,
    celsius: i16,
}

/// Every kind of payload, two levels deep.
#[derive(Payload, Clone, PartialEq, Debug)]
struct Report {
    mode: Mode,
    samples: [Sample; 3],
    balance: i64,
    shift: i8,
    drift: i32,
    label: Bytes<9>,
}

/// Fixed and of odd length, so that an event pads it.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
struct Odd {
    left: u8,
    right: u32,
    flags: [bool; 4],
}

#[derive(Payload, Clone, Copy, PartialEq, Debug)]
struct Empty {}

prop_compose! {
    fn sample()(at: u64, valid: bool, celsius: i16) -> Sample {
        Sample { at, valid, celsius }
    }
}

prop_compose! {
    fn report()(
        mode in prop_oneof![Just(Mode::Off), Just(Mode::Low), Just(Mode::High)],
        samples in [sample(), sample(), sample()],
        balance: i64,
        shift: i8,
        drift: i32,
        label in proptest::collection::vec(any::<u8>(), 0..=9),
    ) -> Report {
        Report { mode, samples, balance, shift, drift, label: Bytes::new(&label).unwrap() }
    }
}

prop_compose! {
    fn odd()(left: u8, right: u32, flags: [bool; 4]) -> Odd {
        Odd { left, right, flags }
    }
}

fn bytes_of<T: Payload>(value: &T) -> Vec<u8> {
    encode(value, &mut std::vec![0; T::BYTES]).to_vec()
}

/// The body of an event: of even length, and never empty.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(2).max(2), 0);
    bytes
}

/// A value has one encoding: what decodes is that encoding, or it with the zero padding of an event's body.
fn is_canonical<T: Payload>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = decode::<T>(bytes) {
        let again = bytes_of(&value);
        prop_assert!(bytes == again || bytes == padded(again));
    }
    Ok(())
}

/// Exactly the encoding, and the encoding as an event's body, are accepted; nothing shorter and nothing longer.
fn has_one_length<T: Payload + Clone + PartialEq + core::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = bytes_of(value);
    let body = padded(bytes.clone());
    prop_assert_eq!(decode::<T>(&bytes), Ok(value.clone()));
    prop_assert_eq!(decode::<T>(&body), Ok(value.clone()));
    for length in (0..=body.len() + 4).filter(|length| *length != bytes.len() && *length != body.len()) {
        let mut other = bytes.clone();
        other.resize(length, 0);
        prop_assert_eq!(decode::<T>(&other), Err(Malformed), "{} bytes", length);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_and_has_one_length(report in report(), odd in odd()) {
        has_one_length(&report)?;
        has_one_length(&odd)?;
    }

    #[test]
    fn a_message_is_given_as_it_is_encoded(report in report(), odd in odd()) {
        prop_assert_eq!(report.give(<[u8]>::to_vec), bytes_of(&report));
        prop_assert_eq!(odd.give(<[u8]>::to_vec), bytes_of(&odd));
    }

    #[test]
    fn arbitrary_bytes_decode_to_one_meaning_or_none(
        bytes in proptest::collection::vec(any::<u8>(), 0..=Report::BYTES + 2),
    ) {
        is_canonical::<Report>(&bytes)?;
        is_canonical::<Odd>(&bytes)?;
        is_canonical::<Mode>(&bytes)?;
        is_canonical::<Bytes<9>>(&bytes)?;
        is_canonical::<()>(&bytes)?;
    }

    /// Arbitrary bytes are hardly ever a report; one changed byte often is one.
    #[test]
    fn a_changed_byte_is_another_value_or_none(
        report in report(),
        at: prop::sample::Index,
        byte in prop_oneof![any::<u8>(), 0..4_u8],
    ) {
        let mut bytes = bytes_of(&report);
        let at = at.index(bytes.len());
        let changed = bytes[at] != byte;
        bytes[at] = byte;
        is_canonical::<Report>(&bytes)?;
        prop_assert!(!changed || decode::<Report>(&bytes).as_ref() != Ok(&report));
    }

    #[test]
    fn padding_is_zero(odd in odd(), byte in 1..=u8::MAX) {
        let mut body = padded(bytes_of(&odd));
        *body.last_mut().unwrap() = byte;
        prop_assert_eq!(decode::<Odd>(&body), Err(Malformed));
    }

    #[test]
    fn a_byte_string_takes_what_fits(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        let whole = Bytes::<9>::new(&bytes);
        prop_assert_eq!(whole.is_some(), bytes.len() <= 9);
        let cut = Bytes::<9>::new_truncated(&bytes);
        prop_assert_eq!(&*cut, &bytes[..bytes.len().min(9)]);
        prop_assert!(whole.is_none_or(|whole| whole == cut && *whole == *bytes));
    }

    #[test]
    fn a_byte_string_longer_than_its_room_is_refused(bytes in proptest::collection::vec(any::<u8>(), 10..20)) {
        let mut encoded = std::vec![0; 2 + bytes.len()];
        let mut writer = Writer::new(&mut encoded);
        writer.field(u16::try_from(bytes.len()).unwrap());
        writer.put(&bytes);
        prop_assert_eq!(decode::<Bytes<9>>(&encoded), Err(Malformed));
    }

    /// What is behind a byte string's end is not part of its value: an earlier, longer content must not show.
    #[test]
    fn a_byte_string_is_compared_by_what_it_holds(long: [u8; 9], length in 0..=9_usize) {
        let short = Bytes::<9>::new(&long[..length]).unwrap();
        let encoded = bytes_of(&short);
        prop_assert_eq!(encoded.len(), 2 + length);
        prop_assert_eq!(decode::<Bytes<9>>(&encoded), Ok(short));
    }

    #[test]
    fn a_saved_state_is_restored(report in report(), room in 0..5_usize, old: u8) {
        let mut state = std::vec![old; Report::BYTES + room];
        save(&report, &mut state);
        prop_assert_eq!(restore::<Report>(&state), Ok(report.clone()));
        let used = bytes_of(&report).len();
        prop_assert!(state[used..].iter().all(|&byte| byte == 0), "nothing of an older state is left");
        if let Some(last) = state[used..].last_mut() {
            *last = 1;
            prop_assert_eq!(restore::<Report>(&state), Err(Malformed));
        }
        prop_assert_eq!(restore::<Report>(&state[..used - 1]), Err(Malformed));
    }

    #[test]
    fn arbitrary_states_are_restored_to_one_meaning_or_none(
        state in proptest::collection::vec(any::<u8>(), Odd::BYTES + 3),
    ) {
        if let Ok(odd) = restore::<Odd>(&state) {
            let mut again = std::vec![0xff; state.len()];
            save(&odd, &mut again);
            prop_assert_eq!(again, state);
        }
    }
}

#[test]
fn nothing_is_encoded_as_nothing_and_travels_as_two_zeros() {
    has_one_length(&()).unwrap();
    has_one_length(&Empty {}).unwrap();
    assert_eq!((bytes_of(&()).len(), decode(&[0, 0])), (0, Ok(())));
    assert_eq!(decode::<()>(&[0, 1]), Err(Malformed));
}

#[test]
fn numbers_without_meaning_are_refused() {
    assert_eq!(decode::<bool>(&[2]), Err(Malformed));
    assert_eq!(decode::<Mode>(&[0xff, 0xff]), Ok(Mode::Off));
    assert_eq!(decode::<Mode>(&[0, 0]), Err(Malformed));
}

/// The owner's tool connects only equal hashes: a change of any part of a layout must change them.
#[test]
fn hashes_tell_layouts_apart() {
    mod other {
        #[derive(crate::Payload)]
        pub(super) struct Sample {
            at: u64,
            valid: bool,
            celsius: u16,
        }
        #[derive(crate::Payload)]
        pub(super) struct Odd {
            left: u8,
            rigth: u32,
            flags: [bool; 4],
        }
        #[derive(crate::Payload)]
        #[repr(i16)]
        pub(super) enum Mode {
            Off = -1,
            Low = 2,
            High = 0x1234,
        }
    }
    assert_ne!(Sample::HASH, other::Sample::HASH, "a field's type");
    assert_ne!(Odd::HASH, other::Odd::HASH, "a field's name");
    assert_ne!(Mode::HASH, other::Mode::HASH, "a variant's number");
    assert_ne!(<[u8; 3]>::HASH, <[u8; 4]>::HASH, "an array's length");
    assert_ne!(Bytes::<3>::HASH, Bytes::<4>::HASH, "a byte string's room");
}
