//! Fuzzes [`chancery_fuzz::x509_certificate`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::x509_certificate(data));
