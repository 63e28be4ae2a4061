//! Any bytes as a request in the dialect `gemini`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::prompt(tollgate::dialect::Dialect::Gemini, bytes));
