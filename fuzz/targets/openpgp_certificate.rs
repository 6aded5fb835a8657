//! Fuzzes [`chancery_fuzz::openpgp_certificate`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::openpgp_certificate(data));
