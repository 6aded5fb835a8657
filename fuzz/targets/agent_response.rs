//! Fuzzes [`chancery_fuzz::agent_response`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::agent_response(data));
