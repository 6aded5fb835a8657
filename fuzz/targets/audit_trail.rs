//! Fuzzes [`chancery_fuzz::audit_trail`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::audit_trail(data));
