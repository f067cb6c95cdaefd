//! The suite of all platforms, on native modules in their own sandboxed processes.

mod support;

use support::{Native, c_image, image};
use veritee_conformance::{CASES, run_all};

#[test]
fn the_native_platform_conforms() {
    assert_eq!(run_all(&|| Box::new(Native::start(image()))).len(), CASES.len());
}

#[test]
fn the_native_platform_conforms_with_modules_in_c() {
    assert_eq!(run_all(&|| Box::new(Native::start(c_image()))).len(), CASES.len());
}
