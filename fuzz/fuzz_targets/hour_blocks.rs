//! Hands libFuzzer's bytes to [`keyviz_fuzz::checks::hour_blocks`].
#![no_main]

use keyviz_fuzz::{checks, within_memory};

/// A block may have this many cells whatever its bytes, and this many more a byte (V3 of
/// `keyviz_codec::block`).
const CELLS: usize = 4_096;
const CELLS_A_BYTE: usize = 4;
/// A cell in a block, in a copy of it, and merged, in a map.
const BYTES_A_CELL: usize = 2 * 40 + 160;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let unfolded = (CELLS + CELLS_A_BYTE * input.len()) * BYTES_A_CELL;
    within_memory(checks::hour_blocks, input, 2 * unfolded);
});
