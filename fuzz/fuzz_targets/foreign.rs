//! Any bytes, for the oracle `foreign`; the panics that the documents catch are no finds.
#![no_main]

libfuzzer_sys::fuzz_target!(init: tress_oracles::catch_panics(), |data: &[u8]| {
    tress_oracles::foreign(data)
});
