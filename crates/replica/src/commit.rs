//! The ingest thread and its WAL: logging, one commit for many entries, making room, releasing.
//!
//! Invariants: R2, R4 and R6 of the crate. A commit that fails is not undone: the WAL keeps the
//! records and writes them again, so they (and nothing newer) take effect with the next commit that
//! succeeds, and until then neither is the WAL released nor is anything said to be held.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::{Key, column_record};
use keyviz_lineage::{HOUR_MS, SourceId, unix_hour};
use keyviz_store::Batch;
use keyviz_wal::WalError;

use crate::counters::Counters;
use crate::ingest::{Effect, Ingest, Job, KIND_SKIP, Pending, Verdict};

/// How long ingest waits for a checkpoint when the WAL is nearly full.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// The least time between two lines about the same trouble.
const TELL_MS: u64 = 60_000;

impl Ingest {
    /// R6: a consumed sequence leaves its mark.
    pub(crate) fn log_skip(&mut self, source: &SourceId, sequence: u64) -> Result<(), String> {
        let payload = column_record::encode_skip(source, sequence);
        let logged = self.log(KIND_SKIP, 0, &payload).map_err(|error| error.to_string())?;
        self.shed.lock().skip(logged, source, sequence);
        Ok(())
    }

    pub(crate) fn log(&mut self, kind: u8, flags: u8, payload: &[u8]) -> Result<u64, WalError> {
        let hour = unix_hour(self.shared.clock.unix_ms());
        self.shed.lock().unix_hour = hour;
        let appended = self.wal.append(hour, kind, flags, payload);
        let cannot_write =
            matches!(&appended, Err(error) if !matches!(error, WalError::RecordTooLarge { .. }));
        if cannot_write {
            Counters::set(&self.shared.counters.wal_failing, 1);
        }
        self.batch_bytes += payload.len() as u64;
        self.sync_soon();
        self.tell_shed();
        appended
    }

    /// Counts what was shed, and says it once a minute.
    fn tell_shed(&mut self) {
        let counters = &self.shared.counters;
        Counters::set(&counters.shed_outstanding, u64::from(self.shed.lock().is_outstanding()));
        for shed in self.wal.take_shed() {
            Counters::add(&counters.shed_records, shed.records);
            Counters::add(&counters.shed_bytes, shed.bytes);
            self.shed_untold.0 += shed.records;
            self.shed_untold.1 += shed.bytes;
        }
        let (records, bytes) = self.shed_untold;
        let now_ms = self.shared.clock.monotonic_ms();
        if records > 0 && now_ms >= self.tell_shed_after_ms {
            self.shed_untold = (0, 0);
            self.tell_shed_after_ms = now_ms + TELL_MS;
            tracing::error!(
                records,
                bytes,
                "the WAL is at its cap and the store takes no checkpoint: its oldest records were shed. They are still in memory; what a kill loses of them will be shown as shed. Free disk space or check the device"
            );
        }
    }

    /// Whether the batch should be committed before it grows further.
    pub(crate) fn batch_is_large(&self) -> bool {
        self.batch_bytes > self.wal.options().max_bytes / 8
    }

    /// Near its cap the WAL would shed its oldest records. That is the last resort: first a
    /// checkpoint gets a chance to make them superfluous.
    pub(crate) fn make_room(&mut self) {
        let usage = self.wal.usage();
        if usage.bytes / 3 < usage.cap_bytes / 4 {
            return;
        }
        self.finish();
        self.shared.checkpoint.persist_and_wait(ROOM_WAIT);
        self.release();
    }

    /// Makes the batch durable, shows it to readers, and answers.
    pub(crate) fn finish(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.batch_bytes = 0;
        if pending.is_empty() {
            return;
        }
        let durable = self.wal.commit();
        let usage = self.wal.usage();
        if durable.is_err() {
            Counters::set(&self.shared.counters.wal_failing, 1);
        }
        Counters::set(&self.shared.counters.wal_bytes, usage.bytes);
        Counters::set(&self.shared.counters.wal_cap_bytes, usage.cap_bytes);
        let (mut effects, mut answers) = (std::mem::take(&mut self.limbo), Vec::new());
        for Pending { reply, sequence, verdict, effect } in pending {
            effects.extend(effect);
            answers.push((reply, sequence, verdict));
        }
        if let Err(error) = durable {
            tracing::error!(%error, "the WAL cannot be made durable: nothing is acknowledged");
            self.limbo = effects;
            for (reply, sequence, _) in answers {
                // The sender may be gone.
                let _ = reply.send((sequence, Verdict::Unavailable(error.to_string())));
            }
            return;
        }
        self.show(effects);
        if answers.iter().any(|(_, _, verdict)| matches!(verdict, Verdict::Stored { .. })) {
            Counters::set(&self.shared.counters.wal_failing, 0);
        }
        for (reply, sequence, verdict) in answers {
            let _ = reply.send((sequence, verdict));
        }
        if usage.bytes > usage.cap_bytes / 2 {
            self.shared.wake_checkpoint();
        }
    }

    /// The next job; while it waits, what has to be synced is. `None` when there will be none.
    pub(crate) fn wait_for_job(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        while let Some(due_ms) = self.sync_due_ms {
            let left_ms = due_ms.saturating_sub(self.shared.clock.monotonic_ms());
            match jobs.recv_timeout(Duration::from_millis(left_ms)) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => self.sync_at_interval(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        jobs.recv().ok()
    }

    /// The same under load, when no time is left to wait.
    pub(crate) fn sync_if_due(&mut self) {
        if self.sync_due_ms.is_some_and(|due_ms| due_ms <= self.shared.clock.monotonic_ms()) {
            self.sync_at_interval();
        }
    }

    /// What was acknowledged an interval ago is on disk.
    fn sync_at_interval(&mut self) {
        self.sync_due_ms = None;
        let counters = &self.shared.counters;
        match self.wal.sync() {
            Ok(_) if self.limbo.is_empty() => Counters::set(&counters.wal_failing, 0),
            Ok(_) => {}
            Err(error) => {
                Counters::set(&counters.wal_failing, 1);
                tracing::error!(%error, "the WAL cannot be synced: a power cut would lose what was acknowledged. It will be tried again");
                self.sync_soon();
            }
        }
    }

    fn sync_soon(&mut self) {
        if let Some(interval) = self.shared.config.wal_sync_interval {
            let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
            let due_ms = self.shared.clock.monotonic_ms().saturating_add(interval_ms);
            self.sync_due_ms.get_or_insert(due_ms);
        }
    }

    /// Tries a commit that failed again: what it held takes effect, and readiness comes back, also when
    /// no source sends anything.
    pub(crate) fn retry(&mut self) {
        self.finish();
        if self.limbo.is_empty() || self.wal.commit().is_err() {
            return;
        }
        let effects = std::mem::take(&mut self.limbo);
        self.show(effects);
        Counters::set(&self.shared.counters.wal_failing, 0);
    }

    fn show(&self, effects: Vec<Effect>) {
        let (counters, mut memory) = (&self.shared.counters, self.shared.memory_mut());
        for effect in effects {
            match effect {
                Effect::Column { wal_sequence, arrival } => {
                    Counters::add(&counters.columns, 1);
                    Counters::add(&counters.rows, arrival.placement.placed());
                    Counters::add(&counters.buckets, arrival.column.buckets.len() as u64);
                    memory.add(wal_sequence, arrival, |_| false);
                }
                Effect::Leave { wal_sequence, source, left_ms } => {
                    memory.leave(wal_sequence, &source.node, left_ms, |_| false);
                }
            }
        }
    }

    /// R4: unlinks what every group has applied. The order of every source is made durable first,
    /// and boots that were silent for the retention are forgotten.
    pub(crate) fn release(&mut self) {
        self.placements.forget_unused(self.shared.clock.monotonic_ms());
        if !self.limbo.is_empty() {
            return;
        }
        let needed = self.shared.memory().first_needed();
        let up_to = needed.unwrap_or_else(|| self.wal.next_sequence()) - 1;
        let mut batch = Batch::default();
        let key = |source: &SourceId| Key::Boot { boot: source.boot, node: source.node.clone() };
        for source in &self.changed_boots {
            if let Some(mark) = self.boots.get(source) {
                batch.put_mark(NODE_GROUP, &key(source), mark);
            }
        }
        let retention = self.shared.store.retention();
        let oldest_ms = retention.first_hour_at(self.shared.clock.unix_ms()) * HOUR_MS;
        let silent = self.boots.iter().filter(|(_, mark)| mark.touched_ms < oldest_ms);
        let silent: Vec<SourceId> = silent.map(|(source, _)| source.clone()).collect();
        silent.iter().for_each(|source| batch.delete(NODE_GROUP, &key(source)));
        if let Err(error) = self.shared.store.commit(&batch) {
            // Near its cap this is tried for every entry.
            let now_ms = self.shared.clock.monotonic_ms();
            if now_ms >= self.tell_kept_after_ms {
                self.tell_kept_after_ms = now_ms + TELL_MS;
                tracing::error!(%error, "the WAL is kept: marks could not be stored");
            }
            return;
        }
        self.changed_boots.clear();
        silent.iter().for_each(|source| drop(self.boots.remove(source)));
        match self.wal.release(up_to) {
            Ok(_) => Counters::set(&self.shared.counters.wal_bytes, self.wal.usage().bytes),
            Err(error) => tracing::warn!(%error, "WAL segments could not be removed yet"),
        }
        self.shed.lock().release(up_to);
        let outstanding = self.shed.lock().is_outstanding();
        Counters::set(&self.shared.counters.shed_outstanding, u64::from(outstanding));
        Counters::add(&self.shared.counters.releases, 1);
    }
}
