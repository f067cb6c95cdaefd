//! Results of all platforms, read and judged by the `ear` crate.

use ring::signature::{ED25519, UnparsedPublicKey};
use veritee_claims::{Appraised, EAR_PROFILE, ear, jwk};
use veritee_ids::{ActivationId, Challenge, Freshness};
use veritee_platform::{SessionStart, Verified};
use veritee_session::OwnerIdentity;

const EVIDENCE: &[u8] = b"what the platform says";

fn owner() -> OwnerIdentity {
    OwnerIdentity::from_seed(&[3; 32])
}

fn verified(simulated: bool) -> Verified {
    Verified {
        activation: ActivationId([2; 16]),
        measurement: vec![0xaa; 32],
        simulated,
        freshness: Freshness::HardwareRng,
        start: SessionStart::Agreement { transcript: Vec::new() },
    }
}

fn appraised<'a>(platform: &'a str, verdict: Result<&'a Verified, &'a str>) -> Appraised<'a> {
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
fn opened(token: &str) -> String {
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
fn decoded(text: &str) -> Vec<u8> {
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

#[test]
fn results_are_what_another_implementation_reads() {
    let verified = [verified(true), verified(false)];
    let cases = [
        ("sgx", &verified[1], "affirming"),
        ("sancus", &verified[1], "warning"),
        ("sgx", &verified[0], "contraindicated"),
        ("native", &verified[0], "contraindicated"),
    ];
    for (platform, verified, status) in cases {
        let claims = opened(&ear(&appraised(platform, Ok(verified)), &owner()));
        let mut read: ::ear::Ear = serde_json::from_str(&claims).unwrap();
        read.validate().expect("it is valid");
        assert_eq!((read.profile.as_str(), read.iat), (EAR_PROFILE, 1_800_000_000));
        assert!(read.raw_evidence.is_some());
        let module = read.submods.get_mut("hub").unwrap();
        assert_eq!(module.status.as_str(), status, "{platform}");
        assert!(module.nonce.is_some() && module.attester_claims.contains_key("veritee_measurement"));
        // The status is no better than the vector, in the other implementation's judgement.
        module.status = ::ear::TrustTier::None;
        module.update_status_from_trust_vector();
        assert_eq!(module.status.as_str(), status, "{platform}");
    }
}

#[test]
fn refused_evidence_has_a_result_too() {
    let claims = opened(&ear(&appraised("sgx", Err("debug is on, expected off")), &owner()));
    let read: ::ear::Ear = serde_json::from_str(&claims).unwrap();
    let module = &read.submods["hub"];
    assert_eq!(module.status.as_str(), "contraindicated");
    assert!(!module.trust_vector.any_set() && module.attester_claims.is_empty(), "nothing was proved");
    assert!(claims.contains("debug is on"));
}
