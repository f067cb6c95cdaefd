use crate::keys::{module_key, vendor_key};
use crate::module::{CallHeader, INPUT_BYTES_MAX};
use crate::{Uuid, service};
use veritee_seal::Secret;

extern crate std;
use std::string::ToString;

#[test]
fn a_uuid_has_the_order_of_its_text_and_another_one_in_memory() {
    assert_eq!(service::UUID.to_string(), "765f330f-ded4-488c-b1d2-19824c39401a");
    let tee = service::UUID.to_tee();
    assert_eq!(tee[..8], [0x0f, 0x33, 0x5f, 0x76, 0xd4, 0xde, 0x8c, 0x48]);
    assert_eq!(tee[8..], service::UUID.0[8..]);
    assert_eq!(Uuid::from_tee(tee), service::UUID);
}

/// Computed by an independent implementation of RFC 5869 (Python's hmac and hashlib).
#[test]
fn keys_follow_from_the_secret_as_published() {
    let vendor = vendor_key(&Secret::new([0x11; 16]), 0x1234);
    assert_eq!(vendor.expose(), &VENDOR);
    assert_eq!(module_key(&vendor, Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])).expose(), &MODULE);
}

const VENDOR: [u8; 16] =
    [0x4b, 0xbf, 0xc7, 0x81, 0x0c, 0xc5, 0x8e, 0xa4, 0x4a, 0xa8, 0x45, 0xb0, 0xfb, 0x6f, 0x54, 0xa4];
const MODULE: [u8; 16] =
    [0xd2, 0x17, 0xe9, 0x17, 0xaf, 0xf8, 0xc3, 0x86, 0x67, 0x82, 0x7a, 0x9a, 0xfe, 0xd4, 0xf7, 0xc8];

#[test]
fn each_field_makes_another_key() {
    let key =
        |secret, vendor, uuid| *module_key(&vendor_key(&Secret::new([secret; 16]), vendor), Uuid([uuid; 16])).expose();
    let keys = [key(1, 2, 3), key(9, 2, 3), key(1, 9, 3), key(1, 2, 9)];
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one));
    }
}

#[test]
fn a_call_that_is_too_long_or_has_reserved_bytes_is_none() {
    let longest = u32::try_from(INPUT_BYTES_MAX).unwrap();
    let header = CallHeader { length: longest, op: 4 };
    assert_eq!(CallHeader::decode(header.encode()), Some(header));
    let too_long = CallHeader { length: longest + 1, op: 4 };
    assert_eq!(CallHeader::decode(too_long.encode()), None);
    let mut reserved = header.encode();
    reserved[7] = 1;
    assert_eq!(CallHeader::decode(reserved), None);
}
