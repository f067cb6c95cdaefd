use crate::keys::{module_key, vendor_key};
use veritee_seal::Secret;
use veritee_trustzone_format::Uuid;

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
