//! Fuzzes [`chancery_fuzz::hello`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::hello(data));
