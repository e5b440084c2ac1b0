//! Hands libFuzzer's bytes to [`keyviz_fuzz::checks::column_record`].
#![no_main]

use keyviz_fuzz::{checks, within_memory};
use keyviz_lineage::column::MAX_COLUMN_KEY_BYTES;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // Shared prefixes and shared bounds may unfold, within a limit. A check holds the bounds, the
    // ranges between them, and both of them a second time.
    let unfolded = (input.len() * input.len()).min(MAX_COLUMN_KEY_BYTES);
    within_memory(checks::column_record, input, 4 * unfolded);
});
