//! Hands libFuzzer's bytes to [`keyviz_fuzz::wal::segment`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keyviz_fuzz::wal::segment(input));
