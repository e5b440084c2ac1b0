use std::sync::Arc;

use keyviz_codec::{HourBlocks, Key};
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{LineageId, unix_hour};
use keyviz_store::retention::Retention;
use keyviz_store::{Batch, History, Store, StoreOptions};

use super::*;
use crate::recorder_test::{START_MS, column, open, range, row, send};
use crate::{Recorder, Verdict};

fn store(folder: &std::path::Path) -> Store {
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    Store::open(&folder.join("db"), options).unwrap()
}

/// Two ranges with counts in three hours each, persisted and stopped. Returns the first one's record.
fn recorded(folder: &std::path::Path, clock: &Arc<ManualClock>) -> LineageRecord {
    let recorder = open(folder, clock);
    for (sequence, window) in [1, 3_601, 7_201].into_iter().enumerate() {
        let rows = vec![row(1, range("", "m"), 5), row(2, range("m", ""), 7)];
        let verdict = send(&recorder, 1, sequence as u64 + 1, column(window, rows));
        assert!(matches!(verdict, Verdict::Stored { rows: 2, .. }));
    }
    recorder.graph().live_route(1, 1).unwrap().clone()
}

fn writes(recorder: &Recorder, id: LineageId) -> Vec<u64> {
    let hour = unix_hour(START_MS);
    let view = recorder.view().unwrap();
    let blocks = view.blocks(1, id, hour..=hour + 9).into_iter();
    let cells = |blocks: &HourBlocks| blocks.blocks()[0].cells();
    blocks.flat_map(|(_, b)| cells(&b.unwrap()).into_values()).map(|c| c.counts.writes).collect()
}

/// Spoils the record, restarts twice, and looks at the stand-in.
fn check(spoil: impl Fn(&Store, LineageId)) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 4 * HOUR_MS));
    let lost = recorded(folder.path(), &clock);
    spoil(&store(folder.path()), lost.id);
    for _ in 0..2 {
        let recorder = open(folder.path(), &clock);
        let graph = recorder.graph();
        let record = graph.get(lost.id).unwrap();
        assert_eq!((&record.range, record.group, record.route), (&lost.range, 1, 0));
        assert_eq!((record.cause, record.is_live()), (Cause::Recovered, false));
        assert_eq!(record.valid_from, Hlc::new(START_MS, 0));
        assert_eq!(record.valid_to, Some(Hlc::new(START_MS + 3 * HOUR_MS, 0)));
        assert_eq!(writes(&recorder, lost.id), [5, 5, 5]);
        let counters = recorder.counters();
        assert_eq!((counters.recovered_lineages, counters.lost_lineages), (1, 0));
        assert!(graph.live_route(1, 1).is_none() && graph.live_route(1, 2).is_some());
        let events = recorder.events(START_MS, START_MS + 5 * HOUR_MS).unwrap();
        assert!(events.iter().all(|event| !event.lineages.contains(&lost.id)), "{events:?}");
        drop(recorder);
        let stored = store(folder.path()).view(0).lineage_records(1).unwrap();
        let stored = stored.into_iter().filter_map(Result::ok);
        assert!(stored.map(|record| record.cause).all(|cause| cause != Cause::Recovered));
    }
    // The route goes on: it is backfilled, and its late counts are its own. The new record does not
    // name the stand-in, which other replicas do not have.
    let recorder = open(folder.path(), &clock);
    let verdict = send(&recorder, 1, 4, column(7_202, vec![row(1, range("", "m"), 9)]));
    assert_eq!(verdict, Verdict::Stored { rows: 1, refused_rows: vec![] });
    let graph = recorder.graph();
    let new = graph.live_route(1, 1).unwrap();
    assert_eq!(new.parents, []);
    assert_eq!((writes(&recorder, new.id), writes(&recorder, lost.id)), (vec![9], vec![5, 5, 5]));
}

#[test]
fn a_lineage_whose_record_is_gone_has_a_stand_in() {
    check(|store, lineage| {
        let mut batch = Batch::default();
        batch.delete(1, &Key::Lineage { lineage });
        store.commit(&batch).unwrap();
    });
}

#[test]
fn a_lineage_whose_record_is_damaged_has_a_stand_in() {
    check(|store, lineage| {
        let key = Key::Lineage { lineage };
        let mut value = store.view(0).raw(1, &key).unwrap().unwrap();
        value[7] ^= 1;
        let mut batch = Batch::default();
        batch.put(1, &key, value);
        store.commit(&batch).unwrap();
    });
}

#[test]
fn one_whose_blocks_say_no_keys_is_counted_and_does_not_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 4 * HOUR_MS));
    let lost = recorded(folder.path(), &clock);
    let store = store(folder.path());
    let mut batch = Batch::default();
    batch.delete(1, &Key::Lineage { lineage: lost.id });
    // Blocks of a time before blocks said any keys.
    for (hour, blocks) in store.view(0).blocks(1, lost.id, 0..=u64::MAX) {
        let mut silent = HourBlocks::default();
        blocks.unwrap().blocks().iter().for_each(|b| silent.block_mut(b.step()).merge(b));
        batch.put(1, &Key::Range { lineage: lost.id, hour }, silent.encode());
    }
    store.commit(&batch).unwrap();
    drop(store);
    let recorder = open(folder.path(), &clock);
    let counters = recorder.counters();
    assert_eq!((counters.recovered_lineages, counters.lost_lineages), (0, 1));
    assert!(recorder.graph().get(lost.id).is_none());
    assert!(recorder.graph().live_route(1, 2).is_some(), "the others are there");
}
