//! Groups: the command log, the state machine, ingest, checkpoints and replay.
//!
//! ```text
//! submit() -> ingest thread: order, dedup, resolve/backfill -> WAL (one fsync a batch) -> memory -> ack
//!                 | transitions                                                        |
//!                 v                                                                    v  every persist interval, per group
//!            GroupLog::propose(Transitions)                     checkpoint thread: GroupLog::propose(PersistColumns)
//!                 \______________ StateMachine::apply: one RocksDB batch, applied index included ______/
//! ```
//! Responsible for: one path in for every column and transition ([`Recorder`]), exactly-once over
//! restarts, the one seam for replication ([`GroupLog`]), a consistent view over store and memory
//! ([`RecorderView`]).
//! Invariants: an acknowledged entry is in the WAL or in the store (R2); a WAL record is applied to a
//! group at most once, whatever the crash point, because the applied WAL sequence is in the same batch
//! as the blocks (R3); a record leaves the WAL only when every group has applied it (R4); a view sees
//! every acknowledged column exactly once (R5).
//! Must not: know the wire, or answer queries.
//! Proof: `recorder_test.rs`, and `tests/tests/kill_and_compare.rs` with real processes.

mod admit;
mod bounds;
mod checkpoint;
mod clock_guard;
mod command;
mod commit;
mod config;
mod counters;
mod events;
mod group_log;
mod ingest;
mod memory;
mod recorder;
mod recovery;
mod stand_ins;
mod state_machine;
mod view;

pub use command::{Command, Outcome, ProposeError};
pub use config::{RecorderConfig, RecorderError};
pub use counters::CountersSnapshot;
pub use events::{Event, EventKind};
pub use group_log::{GroupLog, LocalGroupLog, Proposed};
pub use ingest::Verdict;
pub use memory::Delta;
pub use recorder::{Progress, Recorder};
pub use state_machine::StateMachine;
pub use view::RecorderView;

#[cfg(test)]
mod bucket_test;
#[cfg(test)]
mod recorder_test;
