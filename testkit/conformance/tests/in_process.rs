//! The suite against the Rust core in this process: on a fake X25519 platform and on a fake symmetric one.

use veritee_conformance::{CASES, run_all, subjects};

#[test]
fn the_core_conforms_on_an_agreement_platform() {
    assert_eq!(run_all(subjects::agreement()).len(), CASES.len());
}

#[test]
fn the_core_conforms_on_a_symmetric_platform() {
    assert_eq!(run_all(subjects::symmetric()).len(), CASES.len());
}
