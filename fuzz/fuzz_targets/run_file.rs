//! Any bytes, for the oracle `run_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::run_file(data));
