//! Any bytes as a request in the dialect `completions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::prompt(
    tollgate::dialect::Dialect::Completions,
    bytes
));
