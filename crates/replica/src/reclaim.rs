//! Space that RocksDB does not give back by itself.
//!
//! Once an hour the oldest row on disk is looked for. Is it overdue by a day (by a quarter of the
//! period, where that is less), the files are compacted one after the other, one a round of the
//! checkpoint thread, so that no checkpoint waits for more than one file. Not again for a day.
//! Must not: decide what may go (`keyviz_store::retention`).
//! Proof: `reclaim_test.rs`; what it takes is measured by `keyviz-bench retention`.

use keyviz_codec::Period;
use keyviz_lineage::{HOUR_MS, unix_hour};
use keyviz_store::reclaim::FileKeys;
use keyviz_store::retention::{Cutoffs, Retention};

use crate::gc;
use crate::recorder::Shared;

const DAY_HOURS: u64 = 24;

/// What is still to be compacted.
#[derive(Debug, Default)]
pub(crate) struct Reclaim {
    looked_hour: Option<u64>,
    began_hour: Option<u64>,
    files: Vec<FileKeys>,
}

impl Reclaim {
    /// A round of the checkpoint thread.
    pub(crate) fn round(&mut self, shared: &Shared, wall_ms: u64, may_drop: bool) {
        let hour = unix_hour(wall_ms);
        if self.looked_hour.replace(hour) != Some(hour) {
            match gc::note_oldest(shared, wall_ms) {
                Ok(oldest) if may_drop => self.begin(shared, oldest, hour),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the oldest row on disk is not known"),
            }
        }
        if let Some(file) = self.files.pop().filter(|_| may_drop) {
            shared.store.compact_file(&file);
        }
    }

    fn begin(&mut self, shared: &Shared, oldest: Cutoffs, hour: u64) {
        let retention = shared.store.retention();
        let late_hours = overdue_hours(retention, oldest);
        let pause_hours = grace_hours(retention, Period::Fine);
        let is_recent = self.began_hour.is_some_and(|began| hour.abs_diff(began) < pause_hours);
        if late_hours == 0 || is_recent || !self.files.is_empty() {
            return;
        }
        self.began_hour = Some(hour);
        tracing::info!(
            late_hours,
            "expired rows are still on disk; the files are compacted one by one"
        );
        let files = shared.store.drop_rollup_files().and_then(|()| shared.store.files());
        match files {
            Ok(mut files) => {
                // The largest first; they are taken from the end.
                files.reverse();
                self.files = files;
            }
            Err(error) => tracing::warn!(%error, "expired rows stay on disk for another hour"),
        }
    }
}

/// By how many hours the oldest row is overdue, beyond the grace.
fn overdue_hours(retention: &Retention, oldest: Cutoffs) -> u64 {
    let cutoffs = retention.cutoffs();
    let late = |period| {
        let allowed = oldest.of(period).saturating_add(grace_hours(retention, period));
        cutoffs.of(period).saturating_sub(allowed)
    };
    late(Period::Fine).max(late(Period::Longest))
}

fn grace_hours(retention: &Retention, period: Period) -> u64 {
    (retention.period_ms(period) / HOUR_MS / 4).clamp(1, DAY_HOURS)
}

#[cfg(test)]
#[path = "reclaim_test.rs"]
mod reclaim_test;
