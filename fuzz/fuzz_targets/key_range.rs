//! Hands libFuzzer's bytes to [`keyviz_fuzz::checks::key_range::key_range`].
#![no_main]

use keyviz_fuzz::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::key_range::key_range(input));
