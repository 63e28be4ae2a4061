//! Any bytes as a request in the dialect `chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::prompt(tollgate::dialect::Dialect::Chat, bytes));
