//! Settings of the recorder, and why it could not start.

use std::path::PathBuf;
use std::time::Duration;

use keyviz_lineage::Step;
use keyviz_store::StoreError;
use keyviz_wal::{SyncPolicy, WalError};
use thiserror::Error;

/// Plain settings; defaults as in the contract.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// The data folder.
    pub data_dir: PathBuf,
    /// How long the finest columns are kept, in milliseconds. Default 7 days.
    pub retention_ms: u64,
    /// How long hourly roll-ups are kept, and lineage records, coverage and events with them, in
    /// milliseconds. Default 90 days; never less than `retention_ms`.
    pub rollup_retention_ms: u64,
    /// The most bytes that pins keep, over all groups. Default 1 GiB.
    pub pin_max_bytes: u64,
    /// The most bytes of stored blocks that are held in memory, of the newest 24 hours and the open one.
    /// Default 128 MiB: 10,000 ranges take about 70. 0 = none are.
    pub memory_max_bytes: u64,
    /// How often each group's window is written to the store, in milliseconds. Default 5 min,
    /// 1 s to 1 h.
    pub persist_interval_ms: u64,
    /// The most bytes of WAL. Default 64 MiB.
    pub wal_max_bytes: u64,
    /// The step of answers over a span in which nothing was recorded. Default 1 min.
    pub default_step: Step,
    /// When the WAL syncs.
    pub wal_sync: SyncPolicy,
    /// With [`SyncPolicy::Os`], how long a column waits at most until it is synced all the same; `None` =
    /// as long as the system likes.
    pub wal_sync_interval: Option<Duration>,
}

impl RecorderConfig {
    /// The defaults, in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            retention_ms: 7 * 24 * keyviz_lineage::HOUR_MS,
            rollup_retention_ms: 90 * 24 * keyviz_lineage::HOUR_MS,
            pin_max_bytes: 1 << 30,
            memory_max_bytes: 128 << 20,
            persist_interval_ms: 300_000,
            wal_max_bytes: 64 << 20,
            default_step: Step::MINUTE,
            wal_sync: SyncPolicy::EveryRecord,
            wal_sync_interval: None,
        }
    }
}

/// Why the recorder could not start, or has stopped.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum RecorderError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error("cannot start the {name} thread: {source}")]
    Thread { name: &'static str, source: std::io::Error },
    #[error("the recorder is stopping; send again after its restart")]
    Stopping,
}
