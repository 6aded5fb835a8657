//! Fuzzes [`chancery_fuzz::openpgp_message`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chancery_fuzz::openpgp_message(data));
