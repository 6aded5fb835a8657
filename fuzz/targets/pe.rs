//! Fuzzes [`chancery_fuzz::pe`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::pe(data));
