//! Fuzzes [`chancery_fuzz::module_compressed`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::module_compressed(data));
