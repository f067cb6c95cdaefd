use crate::record::{HexKey, NodeSecret, Properties, VendorKey, json, name_of};
use crate::{TrustzoneOwner, TrustzoneProvider};
use std::sync::LazyLock;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ActivationId, Challenge, Freshness, Label};
use veritee_platform::{
    BoardOrder, BoardRecord, Credential, Expected, OwnerPlatform, PlatformError, ProviderPlatform, Verified,
    VerifyPolicy,
};
use veritee_seal::Secret;
use veritee_session::{Kdf, Symmetric};
use veritee_trustzone_format::Uuid;
use veritee_trustzone_image::sign::SigningKey;
use veritee_trustzone_secret::keys;
use veritee_wire::Layout;
use veritee_wire::layout::Transcript;

const CHALLENGE: Challenge = Challenge([1; 16]);
const MEASUREMENT: [u8; 32] = [0xaa; 32];

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(2048).unwrap());

fn properties(simulated: bool) -> Properties {
    Properties { simulated, freshness: Freshness::SoftwarePrng, signer: name_of(&KEY) }
}

fn record(secret: u8) -> BoardRecord {
    let kept =
        NodeSecret { properties: properties(true), secret: HexKey([secret; 16]), signing_key: KEY.to_pem().unwrap() };
    BoardRecord(json(&kept).unwrap())
}

/// What a module with this key states.
fn evidence(key: &Secret, challenge: Challenge, freshness: Freshness) -> Vec<u8> {
    let statement = Transcript {
        label: Label::Transcript,
        version: PROTOCOL_VERSION,
        challenge,
        activation: ActivationId([2; 16]),
        freshness,
        attest_number: 1,
    };
    let mut bytes = statement.bytes::<{ Transcript::BYTES }>().to_vec();
    let proof = Symmetric::new(Kdf::HkdfSha256, key, &bytes).unwrap().proof();
    bytes.extend_from_slice(proof.expose());
    bytes
}

/// The module key that follows from a node's secret by PROTOCOL, for the module of [`MEASUREMENT`].
fn key(node: u8, vendor: u16) -> Secret {
    keys::module_key(&keys::vendor_key(&Secret::new([node; 16]), vendor), Uuid([0xaa; 16]))
}

fn verify(
    evidence: &[u8], (expected, credential): (&Secret, &Credential), allow: &[&str],
) -> Result<Verified, PlatformError> {
    let allow_simulated = allow.iter().map(|name| (*name).to_owned()).collect();
    let policy = VerifyPolicy { allow_simulated, freshness: vec![Freshness::SoftwarePrng], ..VerifyPolicy::default() };
    let expected = Expected { measurement: &MEASUREMENT, key: Some(expected), credential: Some(credential) };
    TrustzoneOwner::default().verify(evidence, CHALLENGE, expected, &policy)
}

const ALLOW: &[&str] = &["trustzone-simulated"];

#[test]
fn sound_evidence_is_accepted_and_marked() {
    let credential = TrustzoneProvider::default().credential(&record(5), 9).unwrap();
    let sound = evidence(&key(5, 9), CHALLENGE, Freshness::SoftwarePrng);
    let verified = verify(&sound, (&key(5, 9), &credential), ALLOW).unwrap();
    assert!(verified.simulated);
    assert_eq!((verified.activation, verified.freshness), (ActivationId([2; 16]), Freshness::SoftwarePrng));
    assert_eq!(verified.measurement, MEASUREMENT);
}

#[test]
fn another_nodes_or_owners_key_a_stale_challenge_and_changed_bytes_are_refused() {
    let credential = TrustzoneProvider::default().credential(&record(5), 9).unwrap();
    let judged = |bytes: &[u8]| verify(bytes, (&key(5, 9), &credential), ALLOW).unwrap_err().to_string();
    let stated = |key: &Secret| judged(&evidence(key, CHALLENGE, Freshness::SoftwarePrng));
    assert!(stated(&key(6, 9)).contains("another node or owner's vendor key"));
    assert!(stated(&key(5, 10)).contains("another node or owner's vendor key"));
    let stale = evidence(&key(5, 9), Challenge([9; 16]), Freshness::SoftwarePrng);
    assert!(judged(&stale).starts_with("evidence refused: challenge is 0909"), "{}", judged(&stale));
    let sound = evidence(&key(5, 9), CHALLENGE, Freshness::SoftwarePrng);
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        judged(&changed);
    }
    for length in [0, 16, 46, sound.len() - 1, sound.len() + 1] {
        let mut cut = sound.clone();
        cut.resize(length, 0);
        judged(&cut);
    }
}

#[test]
fn a_module_that_claims_another_source_of_freshness_than_its_provider_is_refused() {
    let credential = TrustzoneProvider::default().credential(&record(5), 9).unwrap();
    let claimed = evidence(&key(5, 9), CHALLENGE, Freshness::HardwareRng);
    let error = verify(&claimed, (&key(5, 9), &credential), ALLOW).unwrap_err();
    assert!(error.to_string().contains("freshness is hardware-rng, expected software-prng"), "{error}");
}

#[test]
fn emulated_nodes_and_their_freshness_must_be_allowed_by_name() {
    let credential = TrustzoneProvider::default().credential(&record(5), 9).unwrap();
    let sound = evidence(&key(5, 9), CHALLENGE, Freshness::SoftwarePrng);
    let error = verify(&sound, (&key(5, 9), &credential), &["native", "trustzone"]).unwrap_err();
    assert!(
        matches!(&error, PlatformError::Policy { advice, .. } if advice.contains("trustzone-simulated")),
        "{error}"
    );
    let policy = VerifyPolicy {
        allow_simulated: vec!["trustzone-simulated".to_owned()],
        freshness: Vec::new(),
        ..VerifyPolicy::default()
    };
    let key = key(5, 9);
    let expected = Expected { measurement: &MEASUREMENT, key: Some(&key), credential: Some(&credential) };
    let error = TrustzoneOwner::default().verify(&sound, CHALLENGE, expected, &policy).unwrap_err();
    assert!(error.to_string().contains("activation ids from software-prng"), "{error}");
    let real = VendorKey { properties: properties(false), vendor: 9, key: HexKey([0; 16]) };
    assert!(!verify(&sound, (&key, &Credential(json(&real).unwrap())), &[]).unwrap().simulated);
}

#[test]
fn an_owner_is_given_nothing_but_his_own_key() {
    let provider = TrustzoneProvider::default();
    let credential = provider.credential(&record(5), 9).unwrap();
    let text = String::from_utf8(credential.0.to_vec()).unwrap();
    assert!(!text.contains(&"05".repeat(16)) && !text.contains("PRIVATE"), "{text}");
    assert_ne!(credential, provider.credential(&record(5), 10).unwrap());
    let foreign = provider.credential(&BoardRecord(b"{}".to_vec().into()), 9).unwrap_err();
    assert!(foreign.to_string().contains("no key of a TrustZone node"), "{foreign}");
}

#[test]
fn without_a_credential_nothing_is_judged() {
    let expected = Expected { measurement: &MEASUREMENT, key: None, credential: None };
    let error = TrustzoneOwner::default().verify(&[], CHALLENGE, expected, &VerifyPolicy::default()).unwrap_err();
    assert!(error.to_string().contains("vendor-key"), "{error}");
}

#[test]
fn what_only_other_boards_have_is_refused_before_anything_is_built() {
    let made = |drivers: &[String], bare| {
        let order = BoardOrder { drivers, simulated: true, bare, target: "nowhere".as_ref(), talk: &|_| {} };
        TrustzoneProvider::default().make(&order).map(drop).unwrap_err().to_string()
    };
    assert!(made(&["led".to_owned()], false).contains("no driver led"));
    assert!(made(&[], true).contains("no board profile"));
}
