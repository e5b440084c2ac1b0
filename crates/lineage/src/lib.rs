//! Time, ids, key ranges, columns and the lineage graph: the words every other crate speaks.
//!
//! Responsible for: what an [`Hlc`], a [`Step`], a [`KeyRange`], a [`Column`], a [`Transition`] and
//! a [`LineageRecord`] *are*, and for the one deterministic rule by which a transition changes the
//! [`LineageGraph`].
//! Must not: do I/O, read a clock (it takes the time as an argument, see [`clock::Clock`]), draw
//! random numbers, or know how anything is stored or sent.
//! Proof: the `*_test.rs` beside each module; ids against the vectors of the contract.

pub mod clock;
pub mod column;
pub mod entry;
pub mod graph;
pub mod hlc;
pub mod hot_keys;
pub mod id;
pub mod key_range;
mod plan;
pub mod record;
mod repeat;
pub mod step;
pub mod summary;
pub mod transition;

pub use clock::Clock;
pub use column::{
    Bucket, BucketError, BucketPart, Column, ColumnError, Counts, Flags, MAX_LISTED_MEMBERS, Row,
    Series, SourceId,
};
pub use entry::Entry;
pub use graph::{GraphError, Life, LineageGraph, Links, Slot, SlotSet};
pub use hlc::{Hlc, HlcClock, HlcError};
pub use hot_keys::{HotKey, HotKeys, HotKeysError, HottestKeys, RouteHotKeys};
pub use id::{LineageId, ProposalId};
pub use key_range::{KeyRange, KeyRangeError};
pub use record::{Cause, LineageRecord, ParentRef};
pub use step::{Step, StepError, Window};
pub use summary::OperationSummary;
pub use transition::{Change, RouteSpec, Transition};

/// A route (range) as its host numbers it. Non-zero; a hint, never an identity.
pub type RouteId = u64;
/// A consensus group as its host numbers it. Non-zero: group 0 is reserved.
pub type GroupId = u64;

/// Milliseconds in an hour: the length of a stored block.
pub const HOUR_MS: u64 = 3_600_000;

/// The Unix hour that holds `unix_ms`.
pub const fn unix_hour(unix_ms: u64) -> u64 {
    unix_ms / HOUR_MS
}
