//! Fuzzes [`chancery_fuzz::x509_subject`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::x509_subject(data));
