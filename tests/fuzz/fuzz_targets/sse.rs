//! Any bytes as a stream of server-sent events.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_fuzz::sse(bytes));
