//! Fuzzes [`chancery_fuzz::pe_attributes`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::pe_attributes(data));
