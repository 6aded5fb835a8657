//! Fuzzes [`chancery_fuzz::pe_signature`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::pe_signature(data));
