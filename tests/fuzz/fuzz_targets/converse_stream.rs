//! Any bytes as a streamed answer in the dialect `converse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::named_events(
    tollgate::dialect::Dialect::Converse,
    bytes
));
