//! Results of all platforms, read and judged by the `ear` crate.

use samples::{appraised, opened, owner, verified};
use veritee_claims::{Appraised, EAR_PROFILE, ear, jwk};

// What is judged is the same as in the tests of the crate itself.
#[path = "../../../deploy/claims/src/tests/samples.rs"]
mod samples;

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
