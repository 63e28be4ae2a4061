//! Any bytes as a whole answer in the dialect `gemini`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::answer(tollgate::dialect::Dialect::Gemini, bytes));
