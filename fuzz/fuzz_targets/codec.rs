//! Any bytes, for the oracle `codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::codec(data));
