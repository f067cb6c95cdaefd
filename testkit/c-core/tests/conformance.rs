//! The shared suite against the C core with the probe in C.

use veritee_c_core::{CModule, probe};
use veritee_conformance::{CASES, run_all};

#[test]
fn the_c_core_conforms() {
    println!("checked: {}", probe().is_checked());
    assert_eq!(run_all(&|| Box::new(CModule::new(probe()))).len(), CASES.len());
}
