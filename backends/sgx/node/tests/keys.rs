//! EGETKEY of the simulated platform: which sealing keys an enclave gets, and which it does not.

use veritee_sgx_node::platform::Simulated;
use veritee_sgx_node::platform::identity::Identity;

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
