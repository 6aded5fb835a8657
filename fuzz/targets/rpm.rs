//! Fuzzes [`chancery_fuzz::rpm`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::rpm(data));
