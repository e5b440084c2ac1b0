use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use keyviz_codec::marks::{Applied, BootMark, Member};
use keyviz_codec::{lineage_record, numbers};
use keyviz_lineage::{Cause, GroupId, Hlc, KeyRange, LineageId, LineageRecord, SourceId};
use uuid::Uuid;

use super::*;
use crate::offline::offline_test::files;
use crate::retention::Retention;
use crate::{Batch, History as _, OfflineStore, StoreOptions};

const GROUPS: std::ops::RangeInclusive<GroupId> = 1..=3;
const LINEAGES: u128 = 120;

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, StoreOptions { retention: Retention::new(u64::MAX) })
}

fn lineage(group: GroupId, n: u128) -> LineageId {
    Uuid::from_u128(u128::from(group) << 90 | n << 70 | 9)
}

fn record(group: GroupId, n: u128) -> LineageRecord {
    LineageRecord {
        id: lineage(group, n),
        range: KeyRange::new(format!("{n:05}").as_bytes(), format!("{:05}", n + 1).as_bytes())
            .unwrap(),
        route: n as u64 + 1,
        group,
        valid_from: Hlc::new(7, 0),
        valid_to: None,
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Create,
        version: 0,
    }
}

fn source(n: u128) -> SourceId {
    SourceId { node: format!("node-{n}"), boot: Uuid::from_u128(n << 100) }
}

/// Three groups with everything that is kept twice, between blocks and records that are not.
fn fill(path: &Path) {
    let store = open(path).unwrap();
    let mut batch = Batch::default();
    for group in GROUPS {
        let applied = Applied { index: group, wal_sequence: 100 + group };
        batch.put_mark(group, &Key::Applied, &applied);
        let member = Member { spans: vec![(group, None)] };
        batch.put_mark(group, &Key::Member { node: "n".into() }, &member);
        let ids: Vec<LineageId> = (0..LINEAGES).map(|n| lineage(group, n)).collect();
        batch.put(group, &Key::Numbers { chunk: 0 }, numbers::encode(&ids));
        for n in 0..LINEAGES {
            let record = record(group, n);
            batch.put(group, &Key::Lineage { lineage: record.id }, lineage_record::encode(&record));
            let key = Key::Range { lineage: record.id, hour: 5 };
            batch.put(group, &key, vec![n as u8; 700]);
        }
    }
    for n in 0..20 {
        let SourceId { node, boot } = source(n);
        let mark = BootMark { last_sequence: n as u64, ..BootMark::default() };
        batch.put_mark(NODE_GROUP, &Key::Boot { boot, node }, &mark);
    }
    batch.put_mark(NODE_GROUP, &Key::Hlc, &77u64);
    store.commit(&batch).unwrap();
    store.flush().unwrap();
}

/// The file of a family that holds nearly all of it.
fn file_of(path: &Path, family: &str) -> PathBuf {
    let files = OfflineStore::open(path).unwrap().files().unwrap();
    let found = files.into_iter().filter(|file| file.column_family_name == family);
    let file = found.max_by_key(|file| file.size).unwrap();
    path.join(file.name.trim_start_matches('/'))
}

/// Everything that has to be known, whatever single file is hit; and some of the rest.
fn assert_all_is_known(store: &Store, what: &str) {
    let view = store.view(0);
    assert_eq!(view.groups().unwrap(), BTreeSet::from_iter(GROUPS), "{what}");
    assert_eq!(view.hlc().unwrap(), Hlc(77), "{what}");
    let boots: BTreeMap<_, _> = view.boot_marks().unwrap().into_iter().collect();
    assert_eq!(boots.len(), 20, "{what}");
    for n in 0..20 {
        assert_eq!(boots[&source(n)].last_sequence, n as u64, "{what}");
    }
    for group in GROUPS {
        let applied = Applied { index: group, wal_sequence: 100 + group };
        assert_eq!(view.applied(group).unwrap(), applied, "{what}");
        assert_eq!(view.members(group).unwrap().len(), 1, "{what}");
        let numbers = view.numbers(group).unwrap();
        assert!(numbers.damage().is_empty() && numbers.len() == LINEAGES as usize, "{what}");
        let records = view.lineage_records(group).unwrap();
        for held in records {
            let held = held.unwrap();
            assert!((0..LINEAGES).any(|n| record(group, n) == held), "{what}: {held:?}");
        }
        view.newest_coverage_hour().unwrap();
        let blocks = view.lineages_of_blocks(group).unwrap();
        assert!(blocks.len() <= LINEAGES as usize, "{what}");
    }
}

#[test]
fn a_bit_anywhere_in_either_file_costs_no_mark_and_no_number() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let whole = files(folder.path());
    let (mut opened, mut told) = (0, 0);
    let places = [FAMILY, COPIES].map(|family| (family, file_of(folder.path(), family)));
    for (family, path) in places {
        let good = whole[&path].clone();
        let step = good.len() / 41;
        for (round, at) in (0..good.len()).step_by(step.max(1)).enumerate() {
            let what = format!("{family}: bit {} of byte {at} of {}", round % 8, good.len());
            let mut bad = good.clone();
            bad[at] ^= 1 << (round % 8);
            for (file, bytes) in &whole {
                fs::write(file, bytes).unwrap();
            }
            fs::write(&path, &bad).unwrap();
            match open(folder.path()) {
                Ok(store) => {
                    assert_all_is_known(&store, &what);
                    opened += 1;
                    told += u64::from(store.damage_count() > 0);
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("sst") && error.contains("backup"), "{what}: {error}");
                }
            }
            // What an opening adds is of that round alone.
            for (file, _) in
                files(folder.path()).iter().filter(|(file, _)| !whole.contains_key(*file))
            {
                fs::remove_file(file).unwrap();
            }
        }
    }
    assert!(opened > 40 && told > 10, "{opened} opened, {told} had something to tell");
}

/// The place of a mark of the node's group in a file: its value lies in the first block.
fn flip_first_block(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[40] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn where_both_places_are_hit_the_start_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    flip_first_block(&file_of(folder.path(), FAMILY));
    assert_all_is_known(&open(folder.path()).unwrap(), "the first alone");
    let copies = OfflineStore::open(folder.path()).unwrap().files().unwrap();
    for file in copies.into_iter().filter(|file| file.column_family_name == COPIES) {
        flip_first_block(&folder.path().join(file.name.trim_start_matches('/')));
    }
    let before = files(folder.path());
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(".sst") && error.contains("backup"), "{error}");
    let after = files(folder.path());
    for (file, bytes) in before.iter().filter(|(file, _)| !file.ends_with("LOG")) {
        assert_eq!(after.get(file), Some(bytes), "{}", file.display());
    }
}

#[test]
fn what_is_removed_is_removed_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let store = open(folder.path()).unwrap();
    let mut batch = Batch::default();
    for n in 0..19 {
        let SourceId { node, boot } = source(n);
        batch.delete(NODE_GROUP, &Key::Boot { boot, node });
    }
    store.commit(&batch).unwrap();
    let mut cursor = store.db.raw_iterator_cf(store.copies());
    cursor.seek(prefix::boot());
    let mut left = 0;
    while cursor.key().is_some_and(|key| key.starts_with(&prefix::boot())) {
        left += 1;
        cursor.next();
    }
    assert_eq!(left, 1);
}

/// A value that went wrong before RocksDB took it: the block around it is as it should be.
#[test]
fn a_damaged_value_is_read_from_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let store = open(folder.path()).unwrap();
    for pair in store.db.iterator_cf(store.family(), rocksdb::IteratorMode::Start) {
        let (key, mut value) = pair.unwrap();
        if keyviz_codec::key_layout::is_kept_twice(&key) {
            let at = value.len() / 2;
            value[at] ^= 1;
            store.db.put_cf(store.family(), key, value).unwrap();
        }
    }
    assert_all_is_known(&store, "every value is damaged in one place");
}
