//! Any bytes, for the oracle `admit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::admit(data));
