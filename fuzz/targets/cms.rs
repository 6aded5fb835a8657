//! Fuzzes [`chancery_fuzz::cms`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::cms(data));
