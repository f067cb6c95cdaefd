//! EGETKEY of the simulated platform: which sealing keys an enclave gets, and which it does not.

use veritee_sgx_node::platform::Simulated;
use veritee_sgx_node::platform::identity::{FAULT, Identity};

const REPORT: u16 = 3;
const SEAL: u16 = 4;
const BY_ENCLAVE: u16 = 1;
const BY_SIGNER: u16 = 2;

fn enclave() -> Identity {
    Identity { measurement: [1; 32], signer: [2; 32], product: 3, version: 5, attributes: (5, 7) }
}

/// KEYREQUEST for a sealing key of a version.
fn request(policy: u16, version: u16) -> [u8; 512] {
    let mut request = [0; 512];
    request[..2].copy_from_slice(&SEAL.to_le_bytes());
    request[2..4].copy_from_slice(&policy.to_le_bytes());
    request[4..6].copy_from_slice(&version.to_le_bytes());
    request[24..40].fill(0xff);
    request
}

#[test]
fn sealing_keys_follow_the_policy_of_the_request() {
    let platform = Simulated::generate().expect("a platform");
    let key = |enclave: &Identity, policy, version| platform.key(enclave, &request(policy, version));
    let update = Identity { measurement: [9; 32], version: 6, ..enclave() };
    let stranger = Identity { signer: [9; 32], ..enclave() };
    assert_eq!(key(&enclave(), BY_ENCLAVE, 5), key(&enclave(), BY_ENCLAVE, 5));
    assert_ne!(key(&enclave(), BY_ENCLAVE, 5), key(&update, BY_ENCLAVE, 5), "another enclave");
    assert_eq!(key(&enclave(), BY_SIGNER, 5), key(&update, BY_SIGNER, 5), "an update reads what was sealed before it");
    assert_ne!(key(&enclave(), BY_SIGNER, 5), key(&stranger, BY_SIGNER, 5), "another signer");
    assert_ne!(key(&enclave(), BY_SIGNER, 4), key(&enclave(), BY_SIGNER, 5), "each version has its own");
    let other = Simulated::generate().expect("a platform");
    assert_ne!(key(&enclave(), BY_ENCLAVE, 5), other.key(&enclave(), &request(BY_ENCLAVE, 5)), "another machine");
}

#[test]
fn keys_of_the_future_and_unknown_ones_are_refused() {
    let platform = Simulated::generate().expect("a platform");
    assert_eq!(platform.key(&enclave(), &request(BY_SIGNER, 6)), Err(64), "SGX_INVALID_ISVSVN");
    let mut later = request(BY_SIGNER, 5);
    later[8] = 0xff;
    assert_eq!(platform.key(&enclave(), &later), Err(32), "SGX_INVALID_CPUSVN");
    let mut unknown = request(BY_SIGNER, 5);
    unknown[0] = 9;
    assert_eq!(platform.key(&enclave(), &unknown), Err(256), "SGX_INVALID_KEYNAME");
}

#[test]
fn every_field_of_a_request_counts() {
    let platform = Simulated::generate().expect("a platform");
    let sound = request(BY_ENCLAVE, 5);
    let key = |request: &[u8; 512]| platform.key(&enclave(), request);
    let changed = |at: usize, value: u8| {
        let mut changed = sound;
        changed[at] = value;
        key(&changed)
    };
    // CPUSVN, KEYID from end to end, the masks of attributes and of MISCSELECT.
    for (at, value) in [(8, 1), (23, 2), (40, 1), (71, 1), (24, 0xfe), (39, 0), (72, 1), (75, 0x80)] {
        assert!(changed(at, value).is_ok() && changed(at, value) != key(&sound), "byte {at}");
    }
    assert_ne!(key(&request(BY_ENCLAVE, 5)), key(&request(BY_ENCLAVE | BY_SIGNER, 5)));
    assert_ne!(key(&request(BY_SIGNER, 5)), key(&request(BY_ENCLAVE | BY_SIGNER, 5)));
    let product = Identity { product: 4, ..enclave() };
    assert_ne!(platform.key(&product, &request(BY_SIGNER, 5)), key(&request(BY_SIGNER, 5)), "another product");
}

#[test]
fn an_enclave_for_debugging_has_other_keys_whatever_it_masks() {
    let platform = Simulated::generate().expect("a platform");
    let debug = Identity { attributes: (7, 7), ..enclave() };
    let vectors = Identity { attributes: (5, 0xe7), ..enclave() };
    let mut masked = request(BY_ENCLAVE, 5);
    masked[24..40].fill(0);
    assert_ne!(platform.key(&debug, &masked), platform.key(&enclave(), &masked), "DEBUG always counts");
    assert_eq!(platform.key(&vectors, &masked), platform.key(&enclave(), &masked), "XFRM only if it is asked for");
    assert_ne!(platform.key(&vectors, &request(BY_ENCLAVE, 5)), platform.key(&enclave(), &request(BY_ENCLAVE, 5)));
}

#[test]
fn a_key_of_neither_policy_is_given_and_is_nobodys_in_particular() {
    let platform = Simulated::generate().expect("a platform");
    let stranger = Identity { measurement: [8; 32], signer: [9; 32], ..enclave() };
    let key = platform.key(&enclave(), &request(0, 5));
    assert!(key.is_ok(), "the manual does not refuse it");
    assert_eq!(key, platform.key(&stranger, &request(0, 5)));
    assert_ne!(key, platform.key(&enclave(), &request(BY_ENCLAVE, 5)));
}

#[test]
fn reserved_fields_fault() {
    let platform = Simulated::generate().expect("a platform");
    for name in [SEAL, REPORT] {
        for (at, value) in [(2, 4), (2, 0x20), (3, 0x80), (6, 1), (7, 1), (76, 1), (511, 1)] {
            let mut request = request(BY_ENCLAVE, 5);
            (request[0], request[at]) = (u8::try_from(name).expect("small"), value);
            assert_eq!(platform.key(&enclave(), &request), Err(FAULT), "byte {at}");
        }
    }
}
