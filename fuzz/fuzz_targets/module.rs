//! The core of a module, entered by a hostile host and by an owner who knows his keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| veritee_fuzz::module(data));
