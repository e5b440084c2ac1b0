use keyviz_codec::marks::Applied;
use keyviz_codec::{CellEntry, Contributor};
use keyviz_lineage::{Counts, Flags, Step};
use uuid::Uuid;

use super::*;
use crate::retention::Retention;
use crate::{Batch, Store, StoreOptions};

#[test]
fn everything_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention: Retention::new(1) };
    let store = Store::open(folder.path(), options).unwrap();
    let mut batch = Batch::default();
    let mut hour = HourBlocks::default();
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    let counts = Counts { reads: 5, ..Counts::default() };
    for index in 0..10 {
        hour.block_mut(Step::MINUTE).add(&who, CellEntry { index, counts, flags: Flags::NONE });
    }
    let value = hour.encode();
    for (group, at) in [(1, 7), (1, 9), (2, 8)] {
        let key = Key::Range { lineage: Uuid::from_u128(1), hour: at };
        batch.put(group, &key, value.clone());
    }
    batch.put(2, &Key::Range { lineage: Uuid::from_u128(2), hour: 8 }, vec![0; 9]);
    batch.put_mark(1, &Key::Applied, &Applied::default());
    store.commit(&batch).unwrap();
    store.flush().unwrap();
    drop(store);
    let stats = stats(&OfflineStore::open(folder.path()).unwrap(), &mut |_, _| {}).unwrap();
    assert_eq!(stats.total.keys, 6);
    assert_eq!(stats.groups[&1].keys, 3);
    assert_eq!(stats.groups.values().map(Space::bytes).sum::<u64>(), stats.total.bytes());
    assert_eq!(stats.families.values().map(Space::bytes).sum::<u64>(), stats.total.bytes());
    assert_eq!(stats.families.keys().collect::<Vec<_>>(), ["meta|applied", "meta|schema", "range"]);
    assert_eq!(stats.blocks.value_bytes, 3 * value.len() as u64 + 9);
    assert_eq!((stats.cells, stats.hours, stats.unreadable), (30, Some((7, 9)), 1));
    assert_eq!(stats.schema, Some(keyviz_migrations::CURRENT));
    assert_eq!(stats.levels[&0].entries, 6);
}
