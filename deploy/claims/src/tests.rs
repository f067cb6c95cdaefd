//! Tokens in the eyes of others' implementations.

use crate::{Appraised, EAR_PROFILE, EAT_PROFILE, base64url, ear, ear_claims, eat, jwk};
use coset::{CborSerializable as _, TaggedCborSerializable as _};
use ring::signature::{ED25519, UnparsedPublicKey};
use samples::{EVIDENCE, appraised, decoded, opened, owner, verified};
use veritee_session::OwnerIdentity;

mod samples;

#[test]
fn base64url_is_that_of_the_rfc() {
    for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64url(bytes.as_bytes()), text);
    }
    assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
}

#[test]
fn the_key_is_named_by_its_thumbprint() {
    // RFC 8037, appendix A.3.
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let key = jwk(&OwnerIdentity::from_seed(&seed));
    assert_eq!(key["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(key["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn results_say_how_far_evidence_carries() {
    let verified = [verified(true), verified(false)];
    let cases = [
        ("sgx", &verified[1], "affirming", 2, 2),
        ("sancus", &verified[1], "warning", 2, 32),
        ("sgx", &verified[0], "contraindicated", 96, 96),
        ("native", &verified[0], "contraindicated", 96, 96),
    ];
    for (platform, verified, status, hardware, runtime) in cases {
        let claims = opened(&ear(&appraised(platform, Ok(verified)), &owner()));
        let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
        assert_eq!(claims["eat_profile"], EAR_PROFILE);
        let module = &claims["submods"]["hub"];
        assert_eq!((&module["ear_status"], &module["eat_nonce"]), (&status.into(), &base64url(&[1; 16]).into()));
        let vector = &module["ear_trustworthiness_vector"];
        assert_eq!((&vector["hardware"], &vector["runtime-opaque"]), (&hardware.into(), &runtime.into()), "{platform}");
    }
}

#[test]
fn refused_evidence_has_a_result_too() {
    let claims = opened(&ear(&appraised("sgx", Err("debug is on, expected off")), &owner()));
    let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
    let module = &claims["submods"]["hub"];
    assert_eq!(module["ear_status"], "contraindicated");
    assert_eq!(module["ear_verifier_claims"]["veritee_refused"], "debug is on, expected off");
    assert!(module["ear_trustworthiness_vector"].is_null() && module["ear_attester_claims"].is_null());
}

#[test]
fn tokens_are_what_another_implementation_opens() {
    let verified = verified(true);
    let token = eat(&appraised("sgx", Ok(&verified)), &owner());
    // The tag of a CWT is in front of that of COSE.
    let cose = token.strip_prefix(&[0xd8, 61]).expect("a CWT");
    let cose = coset::CoseSign1::from_tagged_slice(cose).expect("a message of COSE");
    let key = UnparsedPublicKey::new(&ED25519, owner().public());
    cose.verify_signature(&[], |signature, signed| key.verify(signed, signature)).expect("the owner signed it");
    let algorithm = coset::RegisteredLabelWithPrivate::Assigned(coset::iana::Algorithm::EdDSA);
    assert_eq!(cose.protected.header.alg, Some(algorithm));
    assert_eq!(cose.unprotected.key_id, jwk(&owner())["kid"].as_str().unwrap().as_bytes());
    let claims = coset::cwt::ClaimsSet::from_slice(&cose.payload.expect("claims")).expect("claims of a CWT");
    assert_eq!(claims.subject.as_deref(), Some("home/hub"));
    assert_eq!(claims.issued_at, Some(coset::cwt::Timestamp::WholeSeconds(1_800_000_000)));
    let claim = |wanted: i64| {
        let found = claims.rest.iter().find(|(name, _)| match name {
            coset::cwt::ClaimName::Assigned(name) => coset::iana::EnumI64::to_i64(name) == wanted,
            coset::cwt::ClaimName::PrivateUse(name) => *name == wanted,
            coset::cwt::ClaimName::Text(_) => false,
        });
        found.unwrap_or_else(|| panic!("no claim {wanted}")).1.clone()
    };
    assert_eq!(claim(265).as_text(), Some(EAT_PROFILE));
    assert_eq!(claim(10).as_bytes(), Some(&vec![1; 16]));
    assert_eq!(claim(-65_538).as_bytes(), Some(&EVIDENCE.to_vec()));
    assert_eq!(claim(-65_539).as_bytes(), Some(&vec![0xaa; 32]));
    assert_eq!(claim(-65_542).as_bool(), Some(true));
    let mut forged = token;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = coset::CoseSign1::from_tagged_slice(&forged[2..]).unwrap();
    assert!(forged.verify_signature(&[], |signature, signed| key.verify(signed, signature)).is_err());
}

#[test]
fn a_result_carries_the_evidence_as_a_token() {
    let verified = verified(false);
    let appraised = appraised("sancus", Ok(&verified));
    let claims = ear_claims(&appraised, &owner());
    assert_eq!(decoded(claims["ear_raw_evidence"][1].as_str().unwrap()), eat(&appraised, &owner()));
}
