use keyviz_codec::marks::{Applied, LeaderEvent, Mark};
use keyviz_codec::rollup::Tier;
use keyviz_codec::{BucketIndex, CellEntry, Contributor, Coverage, HourBlocks, Key, Period};
use keyviz_lineage::{Bucket, Counts, Flags, HOUR_MS, Hlc, KeyRange, Series, Step, Window};
use uuid::Uuid;

use crate::retention::Retention;
use crate::{Batch, DataDir, History, Store, StoreError, StoreOptions};

const DAY_MS: u64 = 24 * HOUR_MS;

fn open(path: &std::path::Path, retention_ms: u64) -> Store {
    Store::open(path, StoreOptions { retention: Retention::new(retention_ms) }).unwrap()
}

fn block(value: u64) -> HourBlocks {
    let mut hour = HourBlocks::default();
    let counts = Counts { reads: value, ..Counts::default() };
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    hour.block_mut(Step::MINUTE).add(&who, CellEntry { index: 1, counts, flags: Flags::NONE });
    hour
}

#[test]
fn a_second_process_is_kept_out_and_a_foreign_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let held = DataDir::lock(folder.path()).unwrap();
    assert!(matches!(DataDir::lock(folder.path()), Err(StoreError::Locked { .. })));
    drop(held);
    assert!(DataDir::lock(folder.path()).is_ok());
    std::fs::write(folder.path().join("photos.zip"), b"x").unwrap();
    let refused = DataDir::lock(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("photos.zip"), "{refused}");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"), DAY_MS);
    let mut batch = Batch::default();
    batch.put_mark(0, &Key::Schema, &99u64);
    store.commit(&batch).unwrap();
    drop(store);
    let options = StoreOptions { retention: Retention::new(DAY_MS) };
    let refused = Store::open(&folder.path().join("db"), options.clone()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }));
    assert!(matches!(
        Store::open(&folder.path().join("db"), options),
        Err(StoreError::NewerSchema { found: 99, .. })
    ));
}

/// Blocks of version 1 are read as they are; who opens the folder makes it one of the new version, so
/// that an older keyviz will not take what is written now for damage.
#[test]
fn a_folder_of_schema_1_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let lineage = Uuid::from_u128(1);
    let old = include_bytes!("../../../fuzz/corpus/hour_blocks/v1-two-steps");
    let store = open(&folder.path().join("db"), DAY_MS);
    let mut batch = Batch::default();
    batch.put_mark(0, &Key::Schema, &1u64);
    batch.put(1, &Key::Range { lineage, hour: 5 }, keyviz_codec::envelope::seal(1, &old[1..]));
    store.commit(&batch).unwrap();
    drop(store);
    let store = open(&folder.path().join("db"), DAY_MS);
    let view = store.view(5 * HOUR_MS);
    let schema = view.raw(0, &Key::Schema).unwrap().unwrap();
    assert_eq!(u64::decode(&schema), Ok(keyviz_migrations::CURRENT));
    let found = view.blocks(1, lineage, 0..=9);
    assert!(!found[0].1.as_ref().unwrap().blocks().is_empty());
}

#[test]
fn groups_never_see_each_others_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"), DAY_MS);
    let lineage = Uuid::from_u128(1);
    let mut batch = Batch::default();
    for group in [1, 2, u64::MAX] {
        batch.put(group, &Key::Range { lineage, hour: 5 }, block(group).encode());
        batch.put_mark(group, &Key::Applied, &Applied { index: group, wal_sequence: 0 });
    }
    store.commit(&batch).unwrap();
    let view = store.view(5 * HOUR_MS);
    assert_eq!(view.groups().unwrap().into_iter().collect::<Vec<_>>(), [1, 2, u64::MAX]);
    for group in [1, 2, u64::MAX] {
        let found = view.blocks(group, lineage, 0..=9);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.as_ref().unwrap(), &block(group));
        assert_eq!(view.applied(group).unwrap().index, group);
    }
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"), DAY_MS);
    let lineage = Uuid::from_u128(1);
    let mut batch = Batch::default();
    for hour in 4..7 {
        batch.put(1, &Key::Range { lineage, hour }, block(hour).encode());
    }
    let mut spoiled = block(5).encode();
    spoiled[3] ^= 1;
    batch.put(1, &Key::Range { lineage, hour: 5 }, spoiled);
    store.commit(&batch).unwrap();
    let found = store.view(7 * HOUR_MS).blocks(1, lineage, 0..=9);
    assert_eq!(found.iter().filter(|(_, block)| block.is_ok()).count(), 2);
    let error = found[1].1.as_ref().unwrap_err().to_string();
    assert!(error.contains(&format!("!admin|keyviz|range|{lineage}|5 of group 1")), "{error}");
    // Read by series it is the same: each hour in its place, the damaged one as an error.
    let (view, mut told) = (store.view(7 * HOUR_MS), Vec::new());
    for (hours, expected) in [(0..=9, vec![4, 0, 6]), (5..=5, vec![0]), (6..=9, vec![6])] {
        told.clear();
        view.series(1, lineage, Series::Reads, hours, &mut |hour, column| {
            let value = column.map_or(0, |column| column.values.iter().sum());
            assert!(value == hour || hour == 5);
            told.push(value);
        });
        assert_eq!(told, expected);
    }
}

#[test]
fn expired_hours_are_hidden_at_once_and_dropped_by_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"), DAY_MS);
    let lineage = Uuid::from_u128(1);
    let mut batch = Batch::default();
    for hour in 0..48 {
        batch.put(1, &Key::Range { lineage, hour }, block(hour).encode());
    }
    store.commit(&batch).unwrap();
    let hours_at = |now_hour: u64| {
        let (view, mut columns) = (store.view(now_hour * HOUR_MS), 0);
        view.series(1, lineage, Series::Writes, 0..=99, &mut |_, _| columns += 1);
        assert_eq!(columns, view.blocks(1, lineage, 0..=99).len());
        columns
    };
    assert_eq!((hours_at(24), hours_at(30), hours_at(48)), (48, 42, 24));
    store.flush().unwrap();
    store.compact();
    assert_eq!(store.retention().dropped(), 0, "nothing goes before GC is allowed");
    store.retention().allow_gc_at(48 * HOUR_MS);
    store.compact();
    assert_eq!(store.retention().dropped(), 24);
    assert_eq!(hours_at(24), 24, "gone from disk, not only hidden");
    assert_eq!(u64::decode(&1u64.encode()), Ok(1));
}

#[test]
fn bucket_indexes_are_of_their_group_and_expire_by_hour() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"), DAY_MS);
    let index = |group| {
        let range = KeyRange::new(*b"b", *b"d").unwrap();
        let mut index = BucketIndex::default();
        let bucket = Bucket { group, range, members: vec![7], member_count: 9, parts: vec![] };
        index.add(&bucket, Window::new(60_000, Step::MINUTE).unwrap());
        index
    };
    let mut batch = Batch::default();
    for (group, hour) in (1..3).flat_map(|group| (0..48).map(move |hour| (group, hour))) {
        batch.put(group, &Key::Index { hour }, index(group).encode());
    }
    batch.put(2, &Key::Index { hour: 40 }, b"\x01\0damaged".to_vec());
    store.commit(&batch).unwrap();
    let found = store.view(30 * HOUR_MS).buckets(1, 0..=99);
    assert_eq!(
        found.iter().map(|(hour, _)| *hour).collect::<Vec<_>>(),
        (6..48).collect::<Vec<_>>()
    );
    assert!(found.into_iter().all(|(_, held)| held.unwrap() == index(1)));
    let found = store.view(30 * HOUR_MS).buckets(2, 39..=41);
    let error = found[1].1.as_ref().unwrap_err().to_string();
    assert!(error.contains("!admin|keyviz|index|40 of group 2"), "{error}");
    assert_eq!(found[2].1.as_ref().unwrap(), &index(2));
    store.flush().unwrap();
    store.retention().allow_gc_at(48 * HOUR_MS);
    store.compact();
    assert_eq!(store.retention().dropped(), 2 * 24);
    assert_eq!(store.view(24 * HOUR_MS).buckets(1, 0..=99).len(), 24, "gone from disk");
}

/// What tells about a time outlives its finest columns.
#[test]
fn each_tier_has_its_own_retention() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention::with_rollups(DAY_MS, 2 * DAY_MS);
    let store = Store::open(folder.path(), StoreOptions { retention }).unwrap();
    let lineage = Uuid::from_u128(1);
    let rollup = |tier, hour| Key::Rollup { tier, series: Series::Reads, hour, chunk: 0 };
    let mut batch = Batch::default();
    for hour in 0..72 {
        batch.put(1, &Key::Range { lineage, hour }, block(hour).encode());
        batch.put(1, &Key::Coverage { hour }, Coverage::default().encode());
        batch.put(1, &rollup(Tier::FiveMinutes, hour), Vec::new());
        batch.put(1, &rollup(Tier::Hour, hour), Vec::new());
        batch.put(1, &Key::Coverage { hour }.quarantine(), Vec::new());
        let event = LeaderEvent { node: "n".into(), term: hour };
        batch.put_mark(1, &Key::Event { hlc: Hlc::new(hour * HOUR_MS, 0) }, &event);
    }
    store.commit(&batch).unwrap();
    let view = store.view(72 * HOUR_MS);
    assert_eq!((view.oldest_ms(), view.oldest_rollup_ms()), (48 * HOUR_MS, 24 * HOUR_MS));
    assert_eq!(view.blocks(1, lineage, 0..=99).len(), 24);
    let coverage = view.coverage(1, 0..=99);
    assert_eq!(coverage.iter().filter(|(_, held)| held.is_ok()).count(), 48);
    // What was set aside is told of as long.
    assert_eq!(coverage.len(), 2 * 48);
    assert_eq!(view.leader_events(1, 0, u64::MAX >> 16).unwrap().len(), 48);
    assert_eq!(view.expired(1, lineage, 30..=60), [30..=47]);
    assert!(view.expired(1, lineage, 48..=60).is_empty());
    drop(view);
    store.retention().allow_gc_at(72 * HOUR_MS);
    store.flush().unwrap();
    store.compact();
    assert_eq!(store.retention().dropped(), 2 * 48 + 4 * 24);
    let (hours, mut left) = (0..72, [0; 3]);
    for key in store.view(0).dump().unwrap().keys() {
        match Key::parse(key).and_then(|(_, key)| key.expiry()) {
            Some((Period::Fine, hour)) if hour >= 48 => left[0] += 1,
            Some((Period::Longest, hour)) if hour >= 24 => left[1] += 1,
            found => left[2] += usize::from(found.is_some_and(|(_, hour)| hours.contains(&hour))),
        }
    }
    assert_eq!(left, [2 * 24, 4 * 48, 0]);
}

/// What was dropped under a shorter period is not there under a longer one, and does not look idle.
#[test]
fn a_longer_retention_does_not_bring_back_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let open = |days: u64| {
        let retention = Retention::with_rollups(days * DAY_MS, 90 * DAY_MS);
        Store::open(folder.path(), StoreOptions { retention }).unwrap()
    };
    let (lineage, now_ms) = (Uuid::from_u128(1), 100 * DAY_MS);
    let store = open(1);
    assert_eq!(store.view(now_ms).oldest_ms(), 99 * DAY_MS);
    store.allow_gc_at(now_ms).unwrap();
    drop(store);
    let store = open(7);
    let view = store.view(now_ms + HOUR_MS);
    assert_eq!(view.oldest_ms(), 99 * DAY_MS, "not 93 days");
    assert_eq!(view.expired(1, lineage, 98 * 24..=100 * 24), [98 * 24..=99 * 24 - 1]);
    drop(view);
    assert_eq!(store.view(now_ms + 10 * DAY_MS).oldest_ms(), 103 * DAY_MS);
}
