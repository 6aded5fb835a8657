//! Fuzzes [`chancery_fuzz::key_name`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::key_name(data));
