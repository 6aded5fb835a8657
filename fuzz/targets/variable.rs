//! Fuzzes [`chancery_fuzz::variable`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::variable(data));
