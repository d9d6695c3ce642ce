//! Any bytes, for the oracle `import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tress_oracles::import(data));
