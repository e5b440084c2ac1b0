use keyviz_codec::Pin;
use keyviz_lineage::{HOUR_MS, Hlc, KeyRange};
use uuid::Uuid;

use super::*;
use crate::retention::Retention;
use crate::{Batch, StoreOptions};

fn rollup(series: Series, hour: u64, chunk: u32) -> Key {
    Key::Rollup { tier: Tier::Hour, series, hour, chunk }
}

/// Hours of hourly roll-ups on disk.
fn held(store: &Store) -> Vec<u64> {
    let keys = store.view(0).dump().unwrap().into_keys();
    let keys = keys.filter_map(|key| match Key::parse(&key)? {
        (_, Key::Rollup { series: Series::Reads, hour, .. }) => Some(hour),
        _ => None,
    });
    let mut hours: Vec<u64> = keys.collect();
    hours.dedup();
    hours
}

/// One file an hour, below the first level.
fn store(folder: &std::path::Path, hours: u64) -> Store {
    let options = StoreOptions { retention: Retention::new(10 * HOUR_MS) };
    let store = Store::open(folder, options).unwrap();
    // The schema in a file of its own.
    store.flush().unwrap();
    for hour in 0..hours {
        let mut batch = Batch::default();
        for chunk in 0..4 {
            batch.put(1, &rollup(Series::Reads, hour, chunk), vec![7; 1_000]);
        }
        store.commit(&batch).unwrap();
        store.flush().unwrap();
        let file = FileKeys {
            first: rollup(Series::Reads, hour, 0).encode(1),
            last: rollup(Series::Reads, hour, 9).encode(1),
        };
        store.compact_file(&file);
    }
    store
}

#[test]
fn whole_files_of_expired_roll_ups_go_and_pinned_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 30);
    let pin = Pin {
        created: Hlc(1),
        first_hour: 4,
        first_fine_hour: 5,
        last_hour: 6,
        range: KeyRange::all(),
        note: String::new(),
        bytes: 0,
        lineages: Default::default(),
    };
    store.retention().set_pins(Pins::default().with(1, Uuid::nil(), pin));
    store.drop_rollup_files().unwrap();
    assert_eq!(held(&store), (0..30).collect::<Vec<_>>(), "nothing may go yet");
    let before = store.file_bytes();
    store.retention().allow_gc_at(20 * HOUR_MS);
    store.drop_rollup_files().unwrap();
    let expected: Vec<u64> = (4..=6).chain(10..30).collect();
    assert_eq!(held(&store), expected);
    assert_eq!(store.retention().dropped(), 0, "no row was rewritten for it");
    assert!(store.file_bytes() < before);
}

#[test]
fn every_file_compacted_by_itself_drops_all_that_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 30);
    store.retention().allow_gc_at(20 * HOUR_MS);
    for file in store.files().unwrap() {
        store.compact_file(&file);
    }
    assert_eq!(held(&store), (10..30).collect::<Vec<_>>());
    assert_eq!(store.view(0).oldest_on_disk().unwrap().longest_hour, 10);
    assert!(store.write_amplification() >= 1.0, "{}", store.write_amplification());
}
