//! Counts reads, writes and bytes per route on the hot path, and drains them into columns.
//!
//! ```text
//! thread A: observe() -> handle, or its view of the route table -> its own cell of that route
//! thread B: observe() -> ...                                    -> another cell, on other lines
//!           register, remove, lead -> registry (a lock) -> a new table, which views follow
//!           flush(now) -> what each cell holds less what was taken of it -> a column
//! ```
//! Beside it, and independent of it: [`live_summary`], what each operation is doing now.
//! Invariants: `observe` takes no lock and allocates nothing in steady state (S1; the first touch of
//! 64 routes, or of a route that is cut, by a thread makes a page of counters, the first look-up by id
//! after a change follows the table, and an operation of 8 MiB or more is counted under a lock of its
//! route; where hot keys are found, a chosen key of more than 64 bytes is copied into one); every count that was observed leaves in exactly one column, also when its route is removed
//! or its thread ends meanwhile (S2), and an operation's bytes leave in the column of its count;
//! rows come in `Row::order` and idle ones are left out (S3); a row carries one term (S4).
//! Must not: read a clock (the caller says when it flushes), do I/O, or know who takes the columns.
//! Proof: the `*_test.rs` beside each module; `tests/stress.rs` (every count arrives while routes and
//! threads come and go; `KEYVIZ_SAMPLER_OBSERVES=1000000000` makes it long; `make asan` runs it with
//! AddressSanitizer, for the one module with `unsafe`, `front.rs`); every interleaving of
//! observe, drain, retire and thread end in `tests/loom.rs`, run by
//! `RUSTFLAGS="--cfg loom" cargo test -p keyviz-sampler --release --test loom`
//! (in a target folder of its own).
#![allow(unexpected_cfgs)] // `cfg(loom)` is set by RUSTFLAGS

/// The program of `docs/embedding.md`, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;

mod budget;
mod cell;
mod chunk;
mod flush;
mod front;
mod handle;
mod history;
mod hot;
pub mod live_summary;
mod local;
mod mark;
#[cfg(loom)]
pub mod model;
mod rate;
mod registry;
mod sampler;
mod slot;
mod space_saving;
mod sub_range;
mod sync;
mod table;
mod varint;

use keyviz_lineage::{Column, Counts};

pub use budget::DEFAULT_TRACKED_ROUTES;
pub use flush::{Flush, SubRangeRow};
pub use handle::RouteHandle;
pub use history::{DEFAULT_HISTORY_COLUMNS, History, MAX_HISTORY_COLUMNS};
pub use hot::{HotKeySettings, MAX_HOT_KEY_QUEUE};
pub use live_summary::{InFlight, LiveSummary, OperationHandle};
pub use mark::Mark;
pub use rate::{Adaptive, COST_PER_OBSERVE_NS};
pub use sampler::{Coalesced, Sampler, Settings};
pub use sub_range::{MAX_SUB_RANGES, SubRanges};

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It read.
    Read,
    /// It wrote.
    Write,
}

/// Only for tests and proofs: what a column holds in all.
pub fn total(column: &Column) -> Counts {
    let mut total = Counts::default();
    for row in &column.rows {
        total.add(&row.counts);
    }
    for part in column.buckets.iter().flat_map(|bucket| &bucket.parts) {
        total.add(&part.counts);
    }
    total
}
