//! Every form is read back as it was written, and refused when anything is missing, added or impossible.

use crate::{BuiltIn, Claims, FormatError, FreshnessKind, Image, ModuleImage, Need, Placed, Profile};
use proptest::prelude::*;

fn module() -> ModuleImage {
    ModuleImage {
        vendor: 0x1234,
        text_address: 0xa000,
        text: vec![7; 64],
        secret_address: 0x300,
        secret_bytes: 128,
        room: 300,
        poll: 0,
    }
}

fn claims() -> Claims {
    Claims {
        profile: Profile::Veritee,
        freshness: FreshnessKind::PersistentCounter,
        security: 128,
        text_free: 12_288,
        secret_free: 900,
        drivers: vec!["led".to_owned(), "button".to_owned()],
    }
}

/// Reads a form and writes it again.
type Again = fn(&[u8]) -> Result<Vec<u8>, FormatError>;

/// Bytes of each form, with its reader.
fn forms() -> Vec<(Vec<u8>, Again)> {
    let built_in = BuiltIn { board: "kitchen".to_owned(), driver: "led".to_owned() };
    let placed = Placed {
        text_address: 0xa000,
        text_bytes: 64,
        secret_address: 0x300,
        secret_bytes: 128,
        board: "b".to_owned(),
    };
    vec![
        (Image::Module(module()).encode(), |bytes| Image::decode(bytes).map(|image| image.encode())),
        (Image::BuiltIn(built_in).encode(), |bytes| Image::decode(bytes).map(|image| image.encode())),
        (Need { text_bytes: 64, secret_bytes: 128 }.encode(), |bytes| Need::decode(bytes).map(|need| need.encode())),
        (placed.encode(), |bytes| Placed::decode(bytes).map(|placed| placed.encode())),
        (claims().encode(), |bytes| Claims::decode(bytes).map(|claims| claims.encode())),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    for (bytes, again) in forms() {
        assert_eq!(again(&bytes).unwrap(), bytes);
    }
}

#[test]
fn cut_or_longer_forms_are_refused() {
    for (bytes, again) in forms() {
        for length in 0..bytes.len() {
            assert!(again(&bytes[..length]).is_err(), "cut to {length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(again(&longer).is_err(), "one byte more");
    }
}

#[test]
fn another_version_is_refused_by_number() {
    for (mut bytes, again) in forms() {
        bytes[4] = 9;
        assert_eq!(again(&bytes), Err(FormatError::Version { found: 9 }));
    }
}

#[test]
fn sections_that_a_board_cannot_have_are_refused() {
    let odd = ModuleImage { text_address: 0xa001, ..module() };
    let outside = ModuleImage { text_address: 0xfff0, ..module() };
    let empty = ModuleImage { text: Vec::new(), ..module() };
    let uneven = ModuleImage { secret_bytes: 3, ..module() };
    let roomless = ModuleImage { room: 18, ..module() };
    for image in [odd, outside, empty, uneven, roomless] {
        let bytes = Image::Module(image.clone()).encode();
        assert!(matches!(Image::decode(&bytes), Err(FormatError::Malformed { .. })), "{image:?}");
    }
    let last = ModuleImage { text_address: 0xffc0, ..module() };
    assert!(Image::decode(&Image::Module(last).encode()).is_ok(), "a section may end at the end of the addresses");
}

#[test]
fn claims_read_as_a_sentence() {
    assert_eq!(
        claims().to_string(),
        "profile veritee, security 128, persistent-counter; free: 12288 bytes for text, 900 for secrets; drivers: led, button"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_fall_over(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), form in 0_usize..5) {
        let (good, again) = &forms()[form];
        let front = good.len().min(6).min(bytes.len());
        bytes[..front].copy_from_slice(&good[..front]);
        if let Ok(read) = again(&bytes) {
            prop_assert_eq!(read, bytes);
        }
    }
}
