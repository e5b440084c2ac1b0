//! Hands libFuzzer's bytes to [`keyviz_fuzz::checks::rollup`].
#![no_main]

use keyviz_fuzz::{checks, within_memory};

/// A chunk is this large whatever its bytes, and a check holds a few.
const CHUNKS: usize = 8 * 64 * 12 * 24;

libfuzzer_sys::fuzz_target!(|input: &[u8]| within_memory(checks::rollup, input, CHUNKS));
