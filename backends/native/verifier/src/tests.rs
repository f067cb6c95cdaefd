use crate::NativeOwner;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ActivationId, Challenge, Freshness, Label};
use veritee_platform::{Expected, OwnerPlatform, PlatformError, Verified, VerifyPolicy};
use veritee_wire::Layout;
use veritee_wire::layout::Transcript;

const CHALLENGE: Challenge = Challenge([1; 16]);

fn evidence() -> Vec<u8> {
    let mut bytes = vec![0; Transcript::BYTES + 32 + 32];
    let statement = Transcript {
        label: Label::Transcript,
        version: PROTOCOL_VERSION,
        challenge: CHALLENGE,
        activation: ActivationId([2; 16]),
        freshness: Freshness::HardwareRng,
        attest_number: 1,
    };
    statement.encode(&mut bytes).unwrap();
    bytes[Transcript::BYTES + 32..].fill(0xaa);
    bytes
}

fn verify(
    evidence: &[u8], challenge: Challenge, measurement: &[u8], allow: &[&str],
) -> Result<Verified, PlatformError> {
    let allow_simulated = allow.iter().map(|name| (*name).to_owned()).collect();
    let policy = VerifyPolicy { allow_simulated, freshness: Vec::new(), ..VerifyPolicy::default() };
    let expected = Expected { measurement, key: None, credential: None };
    NativeOwner::default().verify(evidence, challenge, expected, &policy)
}

#[test]
fn sound_evidence_is_accepted_and_marked() {
    let verified = verify(&evidence(), CHALLENGE, &[0xaa; 32], &["native"]).unwrap();
    assert!(verified.simulated);
    assert_eq!(verified.activation, ActivationId([2; 16]));
}

#[test]
fn each_difference_is_named() {
    let other = verify(&evidence(), Challenge([9; 16]), &[0xaa; 32], &["native"]).unwrap_err();
    assert!(other.to_string().starts_with("evidence refused: challenge is 0101"), "{other}");
    let other = verify(&evidence(), CHALLENGE, &[0xbb; 32], &["native"]).unwrap_err();
    assert!(other.to_string().contains("measurement is aaaa") && other.to_string().contains("expected bbbb"));
    let other = verify(&evidence(), CHALLENGE, &[0xaa; 32], &["sgx-simulated"]).unwrap_err();
    assert!(matches!(other, PlatformError::Policy { .. }), "{other}");
    for length in [0, 46, 109, 111] {
        let mut cut = evidence();
        cut.resize(length, 0);
        assert!(matches!(verify(&cut, CHALLENGE, &[0xaa; 32], &["native"]), Err(PlatformError::MalformedEvidence)));
    }
}
