//! A router whose peer, modules and disk say whatever they like.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| veritee_fuzz::links(data));
