use crate::aead::{Aead, Nonce, StandardKey, Unauthentic};
use crate::agreement::{AgreementSecret, OwnerKey, sha256};
use crate::kdf::derive;
use crate::secret::Secret;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use std::format;
use veritee_ids::{CipherId, Counter, Direction};

const NONCE: Nonce = Nonce { counter: Counter(0x0807_0605_0403_0201), direction: Direction::Backward };

#[test]
fn the_nonce_is_the_counter_then_the_direction() {
    let secret = Secret::new([3; 16]);
    let (mut ours, mut plain) = ([9; 32], [9; 32]);
    let tag = StandardKey::new(CipherId::Aes128Gcm, &secret).unwrap().seal(NONCE, b"ad", &mut ours);
    let expected = Aes128Gcm::new(&[3; 16].into()).encrypt_inout_detached(
        &[1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 0, 0].into(),
        b"ad",
        plain.as_mut_slice().into(),
    );
    assert_eq!((ours, tag), (plain, expected.unwrap().into()));
}

#[test]
fn whatever_differs_opening_fails_in_one_way_and_wipes() {
    for cipher in [CipherId::Aes128Gcm, CipherId::Ascon128] {
        let key = StandardKey::new(cipher, &Secret::new([1; 16])).unwrap();
        let mut sealed = *b"sixteen bytes!!!";
        let tag = key.seal(NONCE, b"associated data.", &mut sealed);
        let mut opened = sealed;
        assert_eq!(key.open(NONCE, b"associated data.", &mut opened, &tag), Ok(()));
        assert_eq!(&opened, b"sixteen bytes!!!");
        for bit in 0..128 {
            let mut forged = tag;
            forged[bit / 8] ^= 1 << (bit % 8);
            let mut body = sealed;
            assert_eq!(key.open(NONCE, b"associated data.", &mut body, &forged), Err(Unauthentic));
            assert_eq!(body, [0; 16], "{} bit {bit}", cipher.word());
        }
        let mut body = sealed;
        assert_eq!(key.open(NONCE, b"associated dat_.", &mut body, &tag), Err(Unauthentic));
        let other = StandardKey::new(cipher, &Secret::new([2; 16])).unwrap();
        let mut body = sealed;
        assert_eq!(other.open(NONCE, b"associated data.", &mut body, &tag), Err(Unauthentic));
    }
}

#[test]
fn derivation_is_hkdf_sha_256() {
    // RFC 5869, test case 3 (no salt, no info): the first sixteen bytes.
    let expected = [0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c, 0x5a, 0x31];
    assert_eq!(derive(&[0x0b; 22], &[]).expose(), &expected);
}

#[test]
fn both_sides_agree_and_points_of_low_order_are_refused() {
    let (ours, theirs) = (AgreementSecret::new([1; 32]), AgreementSecret::new([2; 32]));
    let (our_public, their_public) = (ours.public(), theirs.public());
    let secret = ours.clone().agree(&their_public, b"transcript").unwrap();
    assert_eq!(secret, theirs.agree(&our_public, b"transcript").unwrap());
    assert_ne!(secret, ours.clone().agree(&their_public, b"another").unwrap());
    let one = core::array::from_fn(|at| u8::from(at == 0));
    for low in [[0; 32], one] {
        assert_eq!(ours.clone().agree(&low, b"transcript").unwrap_err(), Unauthentic);
    }
}

#[test]
fn signatures_of_low_order_keys_are_refused() {
    // The neutral element as a key accepts many messages in lax verification.
    let weak = OwnerKey(core::array::from_fn(|at| u8::from(at == 0)));
    let signature: [u8; 64] = core::array::from_fn(|at| u8::from(at == 0));
    assert_eq!(weak.verify(&sha256(b"message"), &signature), Err(Unauthentic));
}

#[test]
fn secrets_do_not_show() {
    let secret = Secret::new([0xab; 16]);
    let key = StandardKey::new(CipherId::Ascon128, &secret).unwrap();
    let shown = format!("{secret:?} {key:?} {:?}", AgreementSecret::new([0xab; 32]));
    assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
}
