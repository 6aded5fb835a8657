//! Fuzzes [`chancery_fuzz::module`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::module(data));
