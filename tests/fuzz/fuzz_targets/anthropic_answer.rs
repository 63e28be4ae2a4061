//! Any bytes as a whole answer in the dialect `anthropic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::answer(
    tollgate::dialect::Dialect::Anthropic,
    bytes
));
