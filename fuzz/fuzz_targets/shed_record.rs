//! Hands libFuzzer's bytes to [`keyviz_fuzz::checks::shed_record`].
#![no_main]

use keyviz_fuzz::{checks, within_memory};

libfuzzer_sys::fuzz_target!(|input: &[u8]| within_memory(checks::shed_record, input, 0));
