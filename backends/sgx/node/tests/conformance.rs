//! The suite of all platforms, on SGX enclaves in their own sandboxed processes, attested by quotes.

#[path = "support/images.rs"]
mod images;
mod support;

use support::Enclave;
use veritee_conformance::{CASES, run_all};

#[test]
fn sgx_conforms() {
    if !images::run_here() {
        return;
    }
    assert_eq!(run_all(&|| Box::new(Enclave::start(&images::probe()))).len(), CASES.len());
}
