//! Any bytes, for the oracle `fold`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::fold(data));
