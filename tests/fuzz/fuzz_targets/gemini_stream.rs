//! Any bytes as a streamed answer in the dialect `gemini`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::stream(tollgate::dialect::Dialect::Gemini, bytes));
