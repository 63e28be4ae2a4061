//! Any bytes as a request in the dialect `responses`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::prompt(
    tollgate::dialect::Dialect::Responses,
    bytes
));
