//! Messages of the control interface, read from arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| veritee_fuzz::protocol(data));
