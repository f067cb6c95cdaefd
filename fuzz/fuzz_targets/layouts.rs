//! Fixed layouts, frames and outputs, read from arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| veritee_fuzz::layouts(data));
