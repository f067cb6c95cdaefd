//! What the macros say of each mistake, word for word: authors read these lines before any documentation.
//!
//! One mistake a file. `TRYBUILD=overwrite cargo test -p veritee --test ui` records new words; read them before committing.

#[test]
fn mistakes_are_named_where_they_stand() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

#[test]
fn every_documented_form_compiles() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}
