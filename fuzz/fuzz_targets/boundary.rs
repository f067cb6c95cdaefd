//! The wall of an enclave, and a host that orders what it likes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| veritee_fuzz::boundary(data));
