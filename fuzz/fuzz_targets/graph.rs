//! Hands libFuzzer's bytes to [`keyviz_fuzz::checks::graph::graph`].
#![no_main]

use keyviz_fuzz::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::graph::graph(input));
