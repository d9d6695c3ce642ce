//! Any bytes, for the oracle `sync`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::sync(data));
