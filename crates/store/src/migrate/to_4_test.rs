use std::ops::ControlFlow;
use std::path::Path;

use keyviz_codec::key_layout::is_kept_twice;
use keyviz_codec::marks::{Applied, BootMark};
use uuid::Uuid;

use super::*;
use crate::migrate::STEPS;
use crate::retention::Retention;
use crate::{Store, StoreOptions, Tuning};

fn open(path: &Path, steps: usize) -> Store {
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    let go_on = |_| ControlFlow::Continue(());
    Store::open_with(path, options, &Tuning::default(), &STEPS[..steps], &go_on).unwrap()
}

fn copies(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    let mut cursor = store.db.raw_iterator_cf(store.copies());
    cursor.seek_to_first();
    while let Some((key, value)) = cursor.item() {
        pairs.push((key.to_vec(), value.to_vec()));
        cursor.next();
    }
    pairs
}

#[test]
fn every_mark_and_number_of_an_older_folder_gets_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = open(&path, 2);
    let mut batch = Batch::default();
    for group in [1, 2, u64::MAX] {
        batch.put_mark(group, &Key::Applied, &Applied { index: group, wal_sequence: 4 });
        batch.put(group, &Key::Numbers { chunk: 0 }, vec![group as u8; 40]);
        batch.put(group, &Key::Range { lineage: Uuid::from_u128(1), hour: 1 }, vec![0; 30]);
    }
    let boot = Key::Boot { boot: Uuid::from_u128(3), node: "n".into() };
    batch.put_mark(NODE_GROUP, &boot, &BootMark::default());
    store.commit(&batch).unwrap();
    // As a version wrote it that kept no copies.
    for (key, _) in copies(&store) {
        store.db.delete_cf(store.copies(), key).unwrap();
    }
    assert!(!store.copies_are_whole());
    drop(store);

    let store = open(&path, 3);
    assert!(store.copies_are_whole());
    let mut expected = store.view(0).dump().unwrap();
    expected.retain(|key, _| is_kept_twice(key));
    assert_eq!(expected.len(), 2 * 3 + 2, "two of each group, a boot, the version");
    assert_eq!(copies(&store), expected.into_iter().collect::<Vec<_>>());
}
