//! Fuzzes [`chancery_fuzz::admin_response`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::admin_response(data));
