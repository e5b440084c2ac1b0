//! Every byte that keyviz stores: keys, column records, hour blocks, the bucket
//! index, coverage, lineage records.
//!
//! Responsible for: layouts (drawn at the head of each module, and in `docs/storage-format.md`),
//! encoding, decoding, and the pure rules by which contributions merge into cells.
//! Invariants: every value starts with a format version and ends with a CRC32 (see [`envelope`]);
//! decoding what is damaged, cut short, foreign or from a newer version is an error, never a panic;
//! decode(encode(x)) = x.
//! Must not: do I/O, or know RocksDB.
//! Proof: the `*_test.rs` beside each module (round trips, every truncation, bit flips).

mod bits;
pub mod block;
pub mod bucket_index;
pub mod cell;
mod column;
pub mod column_record;
pub mod coverage;
pub mod envelope;
pub mod key_layout;
pub mod lineage_record;
pub mod marks;
pub mod numbers;
mod packed;
mod patched;
pub mod pin;
mod presence;
pub mod rollup;
pub mod shed_record;
mod varint;

pub use block::{
    Block, BlockRoom, CellEntry, Contributor, HourBlocks, SeriesCells, SeriesColumn, SeriesReader,
};
pub use bucket_index::{BucketIndex, IndexedBucket};
pub use cell::Cell;
pub use coverage::{Coverage, WindowCover};
pub use envelope::CodecError;
pub use key_layout::{Key, Period};
pub use pin::Pin;
