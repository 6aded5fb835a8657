//! Fuzzes [`chancery_fuzz::timestamp`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::timestamp(data));
