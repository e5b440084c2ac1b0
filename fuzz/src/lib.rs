//! Fuzzing: what must hold of every decoder and of the lineage graph, whatever the bytes.
//!
//! Responsible for: the checks ([`checks`], [`wal`]) and the measure of what a decoder allocates. A target in
//! `fuzz_targets/` only hands libFuzzer's bytes to one check.
//! Invariant: a check is a pure function of its input, so that what libFuzzer finds can be committed under
//! `corpus/<target>/` and stays fixed: `crates/codec/tests/corpus.rs` and `crates/wal/tests/corpus.rs`
//! include the same checks and run every committed input in `make test`, without libFuzzer.
//! A finding: `cargo fuzz tmin` it, copy it to `corpus/<target>/crash-<what was wrong>`, fix the code.
//! Must not: do I/O, need RocksDB.

pub mod checks;
pub mod wal;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a check may hold for each byte of its input. A cell of an hour block is 40 bytes in
/// memory, at least one on disk, and a check holds an original, a copy and their encodings.
const BYTES_PER_BYTE: usize = 200;
/// Bytes that a check may hold whatever its input.
const BYTES_AT_LEAST: usize = 64 << 10;

/// Runs a check and fails if it ever held more memory than a small multiple of its input, and
/// `unfolded` bytes: a length field must not be believed before the bytes behind it are there.
pub fn within_memory(check: checks::Check, input: &[u8], unfolded: usize) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    check(input);
    let held = MEMORY.peak_usage().saturating_sub(before);
    let allowed = BYTES_AT_LEAST + BYTES_PER_BYTE * input.len() + unfolded;
    assert!(held <= allowed, "{held} bytes held for an input of {} bytes", input.len());
}
