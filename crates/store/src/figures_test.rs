use keyviz_codec::Key;
use uuid::Uuid;

use crate::retention::Retention;
use crate::{Batch, Store, StoreOptions};

#[test]
fn what_is_on_disk_is_told_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention: Retention::new(1) };
    let store = Store::open(folder.path(), options).unwrap();
    let mut batch = Batch::default();
    for (group, lineage) in [(1, 1), (1, 2), (9, 3)] {
        for hour in 0..50 {
            let key = Key::Range { lineage: Uuid::from_u128(lineage), hour };
            batch.put(group, &key, vec![7; 10_000]);
        }
    }
    store.commit(&batch).unwrap();
    let before = store.figures(&[1, 9]);
    assert!(before.memtable_bytes >= 1_500_000, "{before:?}");
    assert_eq!(before.levels.values().map(|level| level.files).sum::<u64>(), 0);

    store.flush().unwrap();
    let after = store.figures(&[1, 9]);
    let bytes: u64 = after.levels.values().map(|level| level.bytes).sum();
    assert!((1_500_000..1_700_000).contains(&bytes), "{after:?}");
    // RocksDB's estimates are off by a block or two a range.
    let finest = after.tiers[0].1;
    assert!(finest.abs_diff(bytes) < 100_000, "{after:?}");
    assert_eq!(after.tiers.iter().map(|(_, bytes)| bytes).sum::<u64>(), bytes, "{after:?}");
    let one = store.figures(&[9]).tiers[0].1;
    assert!(one.abs_diff(bytes / 3) < 100_000, "{one} of {bytes}");
    assert_eq!((after.cache_max_bytes, after.background_errors), (32 << 20, 0));
    assert_eq!((after.writes_stopped, after.delayed_write_bytes_per_second), (0, 0));

    // A block that is read twice comes from the cache once.
    let key = Key::Range { lineage: Uuid::from_u128(3), hour: 7 };
    for _ in 0..2 {
        store.view(0).raw(9, &key).unwrap();
    }
    let read = store.figures(&[]);
    assert!(read.cache_hits > after.cache_hits && read.cache_misses > after.cache_misses);
    assert!(read.cache_bytes > 0, "{read:?}");
}
