//! What tests of tokens judge, and how they take tokens apart; tests of other crates read this file too.

use super::{Appraised, jwk};
use ring::signature::{ED25519, UnparsedPublicKey};
use veritee_ids::{ActivationId, Challenge, Freshness};
use veritee_platform::{SessionStart, Verified};
use veritee_session::OwnerIdentity;

pub(crate) const EVIDENCE: &[u8] = b"what the platform says";

pub(crate) fn owner() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[3; 32])
}

pub(crate) fn verified(simulated: bool) -> Verified {
    Verified {
        activation: ActivationId([2; 16]),
        measurement: vec![0xaa; 32],
        simulated,
        freshness: Freshness::HardwareRng,
        signer: None,
        caveat: None,
        start: SessionStart::Agreement { transcript: Vec::new() },
    }
}

pub(crate) fn appraised<'a>(platform: &'a str, verdict: Result<&'a Verified, &'a str>) -> Appraised<'a> {
    Appraised {
        application: "home",
        module: "hub",
        platform,
        challenge: Challenge([1; 16]),
        evidence: EVIDENCE,
        verdict,
        at: 1_800_000_000,
    }
}

/// Takes a JWT apart after another implementation checked its signature; gives its claims.
pub(crate) fn opened(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = UnparsedPublicKey::new(&ED25519, owner().public());
    key.verify(signed.as_bytes(), &decoded(signature)).expect("the owner signed it");
    let forged = signed.replacen('e', "f", 1);
    assert!(key.verify(forged.as_bytes(), &decoded(signature)).is_err());
    let (header, claims) = signed.split_once('.').unwrap();
    let header: serde_json::Value = serde_json::from_slice(&decoded(header)).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&"EdDSA".into(), &jwk(&owner())["kid"]));
    String::from_utf8(decoded(claims)).unwrap()
}

/// RFC 4648 the other way round.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let sextets = text.bytes().map(|letter| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => panic!("{letter} is no letter of base64url"),
    });
    let bits: Vec<u8> = sextets.flat_map(|sextet| (0..6).rev().map(move |bit| sextet >> bit & 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}
