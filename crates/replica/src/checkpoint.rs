//! The checkpoint thread: writes each group's window to the store, every persist interval.
//!
//! Groups have their own phase within the interval, so that they never fire together. After a round
//! the WAL is released, retention is moved on, and once an hour the memtable is flushed so that
//! compaction can see (and drop) what has expired, what is overdue is compacted by hand
//! (`reclaim.rs`), and lineage records that nothing needs any more are
//! swept. While a clock is not trusted (see `clock_guard.rs`), neither happens.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use keyviz_lineage::{GroupId, unix_hour};

use crate::command::Command;
use crate::counters::Counters;
use crate::ingest::Job;
use crate::reclaim::Reclaim;
use crate::recorder::Shared;
use crate::stuck::Stuck;
use crate::{gc, sweep};

const TICK: Duration = Duration::from_millis(250);
const RETRY_PAUSE_MS: u64 = 2_000;

pub(crate) fn run(shared: &Shared, jobs: &Sender<Job>) {
    let mut last_turn: HashMap<GroupId, u64> = HashMap::new();
    let mut flushed_hour = unix_hour(shared.clock.unix_ms());
    let (mut reclaim, mut stuck) = (Reclaim::default(), Stuck::default());
    // The first sweep is due at once: a node that never runs for an hour must not keep all.
    let mut swept_hour = None;
    // After a failure, being woken does not count for a moment: a full disk must not make this spin.
    let mut retry_after_ms = 0;
    let mut keeps_older = true;
    let mut retry_wal_after_ms = 0;
    loop {
        let pausing = shared.clock.monotonic_ms() < retry_after_ms;
        let (now, stop) = wait(shared, pausing);
        let interval_ms = shared.config.persist_interval_ms;
        let monotonic_ms = shared.clock.monotonic_ms();
        let mut groups: Vec<GroupId> = shared.memory().groups().collect();
        groups.retain(|&group| {
            let turn = monotonic_ms.wrapping_add(phase_ms(group, interval_ms)) / interval_ms;
            let due = last_turn.insert(group, turn).is_some_and(|last| last != turn);
            due || now || stop
        });
        let took = groups.iter().filter(|&&group| persist(shared, group)).count();
        if took > 0 || now || stop {
            // The ingest thread outlives this one.
            let _ = jobs.send(Job::Release);
        }
        let failed = took < groups.len();
        if !groups.is_empty() {
            Counters::set(&shared.counters.store_failing, u64::from(failed));
        }
        if keeps_older && took > 0 && !failed {
            keeps_older = false;
            forget_older(shared);
        }
        if shared.counters.snapshot().wal_failing > 0 && monotonic_ms >= retry_wal_after_ms {
            retry_wal_after_ms = monotonic_ms + RETRY_PAUSE_MS;
            let _ = jobs.send(Job::Retry);
        }
        for what in shared.store.damage().1 {
            tracing::error!(what, "damage in the store; the rest is served");
        }
        stuck.look(shared, monotonic_ms);
        retry_after_ms = if failed { monotonic_ms + RETRY_PAUSE_MS } else { 0 };
        shared.checkpoint.round_ended(now, failed);
        let wall_ms = shared.clock.unix_ms();
        let may_drop = gc::look(shared, wall_ms);
        if may_drop && !stop && swept_hour.replace(unix_hour(wall_ms)) != Some(unix_hour(wall_ms)) {
            sweep::order(shared, jobs, wall_ms);
        }
        // Every group has had its turn since the hour ended.
        let settled_hour = unix_hour(wall_ms.saturating_sub(interval_ms));
        if settled_hour != flushed_hour || stop {
            flushed_hour = settled_hour;
            if let Err(error) = shared.store.flush() {
                tracing::warn!(%error, "the memtable could not be flushed");
            }
        }
        if stop {
            return;
        }
        reclaim.round(shared, wall_ms, may_drop);
    }
}

/// Waits a tick, or less when woken. Returns whether to persist every group now, and whether to stop.
fn wait(shared: &Shared, pausing: bool) -> (bool, bool) {
    let state = shared.checkpoint.state.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut state, _) = shared
        .checkpoint
        .changed
        .wait_timeout_while(state, TICK, |state| (!state.now || pausing) && !state.stop)
        .unwrap_or_else(PoisonError::into_inner);
    let now = !pausing && std::mem::take(&mut state.now);
    (now, state.stop)
}

/// This version is open and has written: what an upgrade kept of the folder as it was may go. It was a
/// way back while the WAL held every newer column.
fn forget_older(shared: &Shared) {
    match shared.store.forget_older() {
        Ok(gone) => gone.iter().for_each(|path| {
            tracing::info!(path = %path.display(), "the folder as it was before its upgrade is removed");
        }),
        Err(error) => tracing::warn!(%error, "it will be tried again at the next start"),
    }
}

/// Where in the interval a group's turn lies.
fn phase_ms(group: GroupId, interval_ms: u64) -> u64 {
    group.wrapping_mul(0x9E37_79B9_7F4A_7C15) % interval_ms
}

/// Writes what a group has gathered. Returns whether the store took all of it.
fn persist(shared: &Shared, group: GroupId) -> bool {
    // Twice: what was waiting from a failed round first, then what has gathered since.
    for _ in 0..2 {
        let Some(delta) = shared.memory_mut().seal(group) else { return true };
        let command = Command::PersistColumns { delta: Arc::clone(&delta) };
        let began_ns = shared.clock.monotonic_ns();
        match futures::executor::block_on(shared.log.propose(group, command)) {
            Ok(_) => {
                shared.memory_mut().persisted(group, &delta);
                let took_us = shared.clock.monotonic_ns().saturating_sub(began_ns) / 1_000;
                let counters = &shared.counters;
                Counters::add(&counters.persists, 1);
                Counters::add(&counters.persist_us, took_us);
                Counters::set(&counters.last_persist_us, took_us);
                Counters::set(&counters.last_persist_ms, shared.clock.unix_ms());
            }
            Err(error) => {
                Counters::add(&shared.counters.persist_failures, 1);
                tracing::error!(group, %error, "a checkpoint failed and will be tried again; the WAL still holds it");
                return false;
            }
        }
    }
    true
}
