use keyviz_codec::Key;
use uuid::Uuid;

use crate::retention::Retention;
use crate::stats::Level;
use crate::{Batch, Store, StoreOptions};

/// Overwritten values go, expired ones stay: nobody has said that the clock can be trusted.
#[test]
fn everything_is_rewritten_into_one_level_and_nothing_expires() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention: Retention::new(1) };
    let store = Store::open(folder.path(), options).unwrap();
    for round in 0..3u8 {
        let mut batch = Batch::default();
        for hour in 0..100 {
            let key = Key::Range { lineage: Uuid::from_u128(1), hour };
            batch.put(1, &key, vec![round; 1_000]);
        }
        store.commit(&batch).unwrap();
        store.flush().unwrap();
    }
    let dump = store.view(0).dump().unwrap();
    let done = store.compact_all().unwrap();
    assert_eq!(store.view(0).dump().unwrap(), dump);
    assert_eq!(dump.len(), 101);
    let bytes = |levels: &std::collections::BTreeMap<i32, Level>| {
        levels.values().map(|level| level.bytes).sum::<u64>()
    };
    assert!(bytes(&done.after) < bytes(&done.before) / 2, "{done:?}");
    assert_eq!(done.after.values().map(|level| level.entries).sum::<u64>(), 101);
    assert_eq!(store.retention().dropped(), 0);
    assert_eq!(store.compact_all().unwrap().after.len(), 1);
}
