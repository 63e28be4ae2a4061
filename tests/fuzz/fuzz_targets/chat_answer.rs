//! Any bytes as a whole answer in the dialect `chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::answer(tollgate::dialect::Dialect::Chat, bytes));
