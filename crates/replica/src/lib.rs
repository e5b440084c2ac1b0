//! Groups: the command log, the state machine, ingest, checkpoints and replay.
//!
//! ```text
//! submit() -> ingest thread: order, dedup, resolve/backfill -> WAL (one fsync a batch) -> memory -> ack
//!                 | transitions                                                        |
//!                 v                                                                    v  every persist interval, per group
//!            GroupLog::propose(Transitions, SweepLineage)       checkpoint thread: GroupLog::propose(PersistColumns)
//!                 \______________ StateMachine::apply: one RocksDB batch, applied index included ______/
//! ```
//! Responsible for: one path in for every column and transition ([`Recorder`]), exactly-once over
//! restarts, the one seam for replication ([`GroupLog`]), a consistent view over store and memory
//! ([`RecorderView`]).
//! Invariants: an acknowledged entry is in the WAL or in the store (R2); a WAL record is applied to a
//! group at most once, whatever the crash point, because the applied WAL sequence is in the same batch
//! as the blocks (R3); a record leaves the WAL only when every group has applied it (R4); a view sees
//! every acknowledged column exactly once (R5); two replicas that apply the same commands hold the
//! same bytes (R7); a roll-up is stored with the merged block that it is computed from (R9); what memory holds of stored blocks is read
//! in their place only as of the same applied mark (R10); a lineage that something retained or
//! acknowledged needs is not removed (R8).
//! Must not: know the wire, or answer queries.
//! Proof: `recorder_test.rs`, `race_test.rs` and `state_machine_test.rs`, and
//! `tests/tests/kill_and_compare.rs` with real processes.

mod admit;
mod backup;
mod bounds;
mod checkpoint;
mod clock_guard;
mod command;
mod commit;
mod config;
mod counters;
mod events;
mod gc;
mod group_log;
mod group_state;
mod ingest;
mod issuer;
mod memory;
mod memory_tier;
mod moves;
mod newest;
mod numbers;
mod persist;
mod pins;
mod reclaim;
mod recorder;
mod recovery;
mod rehome;
mod shed;
mod stand_ins;
mod state_machine;
mod stuck;
mod sweep;
mod view;
mod wal_check;

pub use backup::{BackupError, files as backup_files};
pub use command::{Command, Outcome, ProposeError, Sweep};
pub use config::{RecorderConfig, RecorderError};
pub use counters::CountersSnapshot;
pub use events::{Event, EventKind};
pub use gc::GcStatus;
pub use group_log::{GroupLog, LocalGroupLog, Proposed};
pub use group_state::{GroupState, Leadership};
pub use ingest::Verdict;
pub use memory::Delta;
pub use memory_tier::MemoryTierStatus;
pub use pins::{MAX_PINS, PinError, PinOrder, PinSummary};
pub use recorder::{Progress, Recorder};
pub use state_machine::StateMachine;
pub use sweep::removable;
pub use view::RecorderView;
pub use wal_check::{EntrySeen, RecordSeen, check_wal, read_record};

#[cfg(test)]
mod bucket_test;
#[cfg(test)]
mod day_test;
#[cfg(test)]
mod race_test;
#[cfg(test)]
mod recorder_test;
#[cfg(test)]
mod rollup_test;
