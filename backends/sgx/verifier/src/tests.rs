//! Evidence of a simulated platform: accepted when it is sound and the policy names it, refused by name otherwise.

use crate::{SIMULATED, SgxOwner};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use time::{Duration, OffsetDateTime};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ActivationId, Challenge, Freshness, Label};
use veritee_platform::{Expected, PlatformError, QuotePolicy, Verified, VerifyPolicy};
use veritee_sgx_image::SgxBuilder;
use veritee_sgx_node::platform::Simulated;
use veritee_sgx_node::platform::identity::Identity;
use veritee_sgx_node::platform::pki::Terms;
use veritee_sgx_node::platform::quote::quoting_enclave;
use veritee_wire::Layout;
use veritee_wire::layout::Transcript;

const CHALLENGE: Challenge = Challenge([1; 16]);
const MEASUREMENT: [u8; 32] = [0xaa; 32];
const SIGNER: [u8; 32] = [0xbb; 32];
const EXPECTED: Expected<'static> = Expected { measurement: &MEASUREMENT, key: None, credential: None };

fn platform() -> &'static Simulated {
    static PLATFORM: OnceLock<Simulated> = OnceLock::new();
    PLATFORM.get_or_init(|| Simulated::generate().unwrap())
}

fn enclave() -> Identity {
    Identity { measurement: MEASUREMENT, signer: SIGNER, product: 3, version: 2, attributes: (5, 7) }
}

fn quoted(challenge: Challenge) -> Vec<u8> {
    let mut bytes = vec![7; Transcript::BYTES + 32];
    let statement = Transcript {
        label: Label::Transcript,
        version: PROTOCOL_VERSION,
        challenge,
        activation: ActivationId([2; 16]),
        freshness: Freshness::HardwareRng,
        attest_number: 1,
    };
    statement.encode(&mut bytes[..Transcript::BYTES]).unwrap();
    bytes
}

fn quote(enclave: &Identity, quoted: &[u8]) -> Vec<u8> {
    let mut data = [0; 64];
    data[..32].copy_from_slice(&Sha256::digest(quoted));
    let report = platform().report(enclave, &quoting_enclave().target(), &data);
    platform().quote(&report).unwrap()
}

fn bundle(quoted: &[u8], quote: &[u8], collateral: &str) -> Vec<u8> {
    let length = u32::try_from(quote.len()).unwrap().to_le_bytes();
    [quoted, &length, quote, collateral.as_bytes()].concat()
}

fn evidence_of(enclave: &Identity, terms: &Terms) -> Vec<u8> {
    let quoted = quoted(CHALLENGE);
    bundle(&quoted, &quote(enclave, &quoted), &platform().collateral_on(terms).unwrap())
}

fn sound() -> Vec<u8> {
    evidence_of(&enclave(), &Terms::now())
}

fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap()
}

fn judge_at(evidence: &[u8], quotes: QuotePolicy, allow: &[&str], now: u64) -> Result<Verified, PlatformError> {
    let allow_simulated = allow.iter().map(|word| (*word).to_owned()).collect();
    let allowed = VerifyPolicy { allow_simulated, freshness: Vec::new(), quotes };
    SgxOwner::new(SgxBuilder::default()).verify_at(evidence, CHALLENGE, EXPECTED, &allowed, now)
}

fn judge(evidence: &[u8]) -> Result<Verified, PlatformError> {
    judge_at(evidence, QuotePolicy::default(), &[SIMULATED], now())
}

/// The refusal names this claim.
#[track_caller]
fn refused(result: Result<Verified, PlatformError>, wanted: &str) {
    match result.unwrap_err() {
        PlatformError::ClaimDiffers { claim, actual, .. } => assert_eq!(claim, wanted, "{actual}"),
        other => panic!("{other}"),
    }
}

#[test]
fn sound_evidence_is_accepted_and_marked() {
    let verified = judge(&sound()).unwrap();
    assert!(verified.simulated);
    assert_eq!((verified.measurement, verified.signer), (MEASUREMENT.to_vec(), Some(SIGNER.to_vec())));
    assert_eq!(verified.activation, ActivationId([2; 16]));
}

#[test]
fn a_policy_that_does_not_name_simulation_refuses_it() {
    let error = judge_at(&sound(), QuotePolicy::default(), &["native"], now()).unwrap_err();
    assert!(matches!(&error, PlatformError::Policy { advice, .. } if advice.contains(SIMULATED)), "{error}");
}

#[test]
fn intels_root_does_not_vouch_for_it() {
    let (quoted, terms) = (quoted(CHALLENGE), Terms::now());
    let collateral = serde_json::from_str(&platform().collateral_on(&terms).unwrap()).unwrap();
    let quote = quote(&enclave(), &quoted);
    dcap_qvl::verify::QuoteVerifier::new(platform().root().to_vec()).verify(&quote, &collateral, now()).unwrap();
    dcap_qvl::verify::QuoteVerifier::new_prod().verify(&quote, &collateral, now()).unwrap_err();
}

#[test]
fn the_code_and_who_signed_it_are_compared() {
    let of = |change: &dyn Fn(&mut Identity)| {
        let mut enclave = enclave();
        change(&mut enclave);
        evidence_of(&enclave, &Terms::now())
    };
    refused(judge(&of(&|enclave| enclave.measurement[31] ^= 1)), "measurement");
    // dcap-qvl refuses it already.
    refused(judge(&of(&|enclave| enclave.attributes.0 |= 2)), "debug");
    refused(judge(&of(&|enclave| enclave.attributes.0 |= 0x10)), "attributes");
    refused(judge(&of(&|enclave| enclave.attributes.1 = 3)), "XFRM");
    let policy = |signer, version_min| QuotePolicy { signer: Some(signer), version_min, tcb: Vec::new() };
    judge_at(&sound(), policy(SIGNER, 2), &[SIMULATED], now()).unwrap();
    refused(judge_at(&sound(), policy([0; 32], 2), &[SIMULATED], now()), "signer");
    refused(judge_at(&sound(), policy(SIGNER, 3), &[SIMULATED], now()), "security version (ISVSVN)");
}

#[test]
fn a_replayed_quote_is_refused() {
    let (old, terms) = (quoted(Challenge([9; 16])), Terms::now());
    let collateral = platform().collateral_on(&terms).unwrap();
    let old_quote = quote(&enclave(), &old);
    refused(judge(&bundle(&old, &old_quote, &collateral)), "challenge");
    // The same under a transcript that the host made up for the new challenge.
    refused(judge(&bundle(&quoted(CHALLENGE), &old_quote, &collateral)), "report data");
}

#[test]
fn collateral_must_hold_now() {
    let terms = |days| Terms { now: OffsetDateTime::now_utc() - Duration::days(40), days, ..Terms::now() };
    judge(&evidence_of(&enclave(), &terms(60))).unwrap();
    refused(judge(&evidence_of(&enclave(), &terms(30))), "collateral dates");
    refused(judge_at(&sound(), QuotePolicy::default(), &[SIMULATED], now() + 31 * 24 * 3600), "collateral dates");
}

#[test]
fn a_revoked_key_is_refused() {
    refused(judge(&evidence_of(&enclave(), &Terms { revoked: true, ..Terms::now() })), "certified key");
}

#[test]
fn status_and_advisories_of_the_platform_are_explicit() {
    let old = evidence_of(&enclave(), &Terms { status: "OutOfDate", advisories: &["INTEL-SA-00837"], ..Terms::now() });
    refused(judge(&old), "TCB status");
    let accepting = |words: &[&str]| QuotePolicy {
        tcb: words.iter().map(|word| (*word).to_owned()).collect(),
        ..QuotePolicy::default()
    };
    refused(judge_at(&old, accepting(&["INTEL-SA-00837"]), &[SIMULATED], now()), "TCB status");
    refused(judge_at(&old, accepting(&["OutOfDate"]), &[SIMULATED], now()), "advisories");
    judge_at(&old, accepting(&["OutOfDate", "INTEL-SA-00837"]), &[SIMULATED], now()).unwrap();
    let revoked = evidence_of(&enclave(), &Terms { status: "Revoked", ..Terms::now() });
    judge_at(&revoked, accepting(&["Revoked"]), &[SIMULATED], now()).unwrap_err();
}

#[test]
fn edited_collateral_is_refused() {
    let (quoted, terms) = (quoted(CHALLENGE), Terms::now());
    let (quote, collateral) = (quote(&enclave(), &quoted), platform().collateral_on(&terms).unwrap());
    let mut parsed: serde_json::Value = serde_json::from_str(&collateral).unwrap();
    let info = parsed["tcb_info"].as_str().unwrap().replace("\"pcesvn\":13", "\"pcesvn\":12");
    assert_ne!(info, parsed["tcb_info"]);
    parsed["tcb_info"] = info.into();
    refused(judge(&bundle(&quoted, &quote, &parsed.to_string())), "TCB info");
}

#[test]
fn no_flipped_bit_of_a_quote_is_accepted() {
    let (quoted, terms) = (quoted(CHALLENGE), Terms::now());
    let (quote, collateral) = (quote(&enclave(), &quoted), platform().collateral_on(&terms).unwrap());
    let signed = 48 + 384 + 4 + 64 + 64 + 384 + 64 + 2 + 32;
    for at in (0..signed).step_by(7) {
        // Bytes 20 to 47 of the header are the quoting enclave's to choose, but they are signed all the same.
        let mut edited = quote.clone();
        edited[at] ^= 0x10;
        assert!(judge(&bundle(&quoted, &edited, &collateral)).is_err(), "byte {at}");
    }
}

#[test]
fn cut_evidence_is_malformed() {
    let sound = sound();
    for length in [0, 77, 78, 81, 82, 500, 4000, sound.len() - 1] {
        let error = judge(&sound[..length]).unwrap_err();
        assert!(
            matches!(error, PlatformError::MalformedEvidence | PlatformError::ClaimDiffers { .. }),
            "{length}: {error}"
        );
    }
}
