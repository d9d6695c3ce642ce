//! Any bytes, for the oracle `journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::journal(data));
