//! What the macros say of each mistake, word for word: authors read these lines before any documentation.
//!
//! One mistake a file. `TRYBUILD=overwrite cargo test -p veritee --test ui` records new words; read them before committing.

use std::path::Path;
use std::process::Command;

#[test]
fn mistakes_are_named_where_they_stand() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

/// Mistakes that the compiler finds by computing. It quotes the standard library then, where its sources are installed:
/// the words are compared where they are not.
#[test]
fn mistakes_that_show_when_computed_are_named_too() {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc starts");
    let sysroot = String::from_utf8(sysroot.stdout).expect("a path");
    if Path::new(sysroot.trim()).join("lib/rustlib/src").exists() {
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/computed/*.rs");
}

#[test]
fn every_documented_form_compiles() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}
