use std::collections::BTreeMap;
use std::fs;

use keyviz_codec::marks::Applied;
use uuid::Uuid;

use super::*;
use crate::retention::Retention;
use crate::{Batch, Store, StoreOptions};

#[derive(Default)]
struct Seen {
    keys: Vec<Vec<u8>>,
    stretches: Vec<(Vec<u8>, Option<Vec<u8>>, String)>,
}

impl Walker for Seen {
    fn pair(&mut self, key: &[u8], _: &[u8]) {
        self.keys.push(key.to_vec());
    }

    fn unreadable(&mut self, stretch: &Unreadable<'_>) {
        let before = stretch.before.map(<[u8]>::to_vec);
        self.stretches.push((stretch.after.to_vec(), before, stretch.source.to_string()));
    }
}

fn walk(path: &Path) -> Seen {
    let mut seen = Seen::default();
    OfflineStore::open(path).unwrap().walk(&mut seen);
    seen
}

/// Some hundred blocks of RocksDB in one file; returns the keys, in order.
fn fill(path: &Path) -> Vec<Vec<u8>> {
    let store = Store::open(path, StoreOptions { retention: Retention::new(1) }).unwrap();
    let mut batch = Batch::default();
    let mut keys = vec![Key::Schema.encode(NODE_GROUP)];
    for number in 0..2_000u128 {
        let key = Key::Range { lineage: Uuid::from_u128(number << 64 | 7), hour: 5 };
        batch.put(1, &key, vec![number as u8; 300]);
        keys.push(key.encode(1));
    }
    store.commit(&batch).unwrap();
    store.flush().unwrap();
    keys.sort();
    keys
}

pub(crate) fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

/// The SST with the most bytes.
pub(crate) fn largest_sst(path: &Path) -> PathBuf {
    let ssts =
        files(path).into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "sst"));
    ssts.max_by_key(|(_, bytes)| bytes.len()).unwrap().0
}

#[test]
fn every_pair_is_visited_and_no_byte_changes() {
    let folder = tempfile::tempdir().unwrap();
    let keys = fill(folder.path());
    let before = files(folder.path());
    let seen = walk(folder.path());
    assert_eq!(seen.keys, keys);
    assert!(seen.stretches.is_empty());
    assert_eq!(files(folder.path()), before);
}

/// A bad block costs its own keys and no others, at the beginning, in the middle and at the end.
#[test]
fn a_walk_goes_on_behind_blocks_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let keys = fill(folder.path());
    let sst = largest_sst(folder.path());
    let good = fs::read(&sst).unwrap();
    for spots in [&[10][..], &[300_000], &[100_000, 104_500, 400_000], &[590_000]] {
        let mut bad = good.clone();
        spots.iter().for_each(|&at: &usize| bad[at] ^= 1);
        fs::write(&sst, &bad).unwrap();
        let before = files(folder.path());
        let seen = walk(folder.path());
        assert!(!seen.stretches.is_empty() && seen.stretches.len() <= spots.len(), "{spots:?}");
        assert!(seen.keys.is_sorted());
        let lost = keys.len() - seen.keys.len();
        let stretches = &seen.stretches;
        assert!(
            (1..=60 * spots.len()).contains(&lost),
            "{spots:?} cost {lost} keys: {stretches:?}"
        );
        for (after, before, error) in &seen.stretches {
            assert!(error.contains(".sst"), "{error}");
            let between =
                |key: &&Vec<u8>| *key > after && before.as_ref().is_none_or(|before| *key < before);
            assert!(keys.iter().filter(between).count() > 0);
            assert!(!seen.keys.iter().any(|key| between(&key)));
        }
        assert_eq!(files(folder.path()), before);
    }
}

#[test]
fn a_file_that_is_cut_short_or_gone_does_not_keep_the_rest_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let store = Store::open(folder.path(), StoreOptions { retention: Retention::new(1) }).unwrap();
    // Into a level whose files do not overlap. (A file of level 0 takes part in every read.)
    store.compact_all().unwrap();
    let mut batch = Batch::default();
    batch.put_mark(9, &Key::Applied, &Applied::default());
    store.commit(&batch).unwrap();
    store.flush().unwrap();
    drop(store);
    let sst = largest_sst(folder.path());
    let good = fs::read(&sst).unwrap();
    fs::write(&sst, &good[..good.len() / 2]).unwrap();
    let opened = OfflineStore::open(folder.path()).unwrap();
    assert!(opened.refusal.as_ref().is_some_and(|error| error.to_string().contains(".sst")));
    let mut seen = Seen::default();
    opened.walk(&mut seen);
    assert_eq!(seen.keys.last(), Some(&Key::Applied.encode(9)));
    assert_eq!(seen.stretches.len(), 1);
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(OfflineStore::open(folder.path()), Err(StoreError::Open { .. })));
    let store = Store::open(folder.path(), StoreOptions { retention: Retention::new(1) }).unwrap();
    let mut batch = Batch::default();
    batch.put_mark(NODE_GROUP, &Key::Schema, &99u64);
    store.commit(&batch).unwrap();
    drop(store);
    let refused = OfflineStore::open(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }));
}
