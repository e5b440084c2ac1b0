use keyviz_codec::{CellEntry, Contributor, HourBlocks};
use keyviz_lineage::{Counts, Flags, HOUR_MS, LineageId, Series, Step};
use uuid::Uuid;

use super::*;
use crate::retention::Retention;
use crate::{Batch, History as _, Store, StoreOptions};

const DAY_MS: u64 = 24 * HOUR_MS;

fn block() -> Vec<u8> {
    let mut hour = HourBlocks::default();
    let counts = Counts { reads: 1, ..Counts::default() };
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    hour.block_mut(Step::MINUTE).add(&who, CellEntry { index: 1, counts, flags: Flags::NONE });
    hour.encode()
}

/// Hour and whether it is an error, as both ways to read tell it.
fn told(store: &Store, lineage: LineageId, now_hour: u64) -> Vec<(u64, Option<String>)> {
    let view = store.view(now_hour * HOUR_MS);
    let blocks = view.blocks(1, lineage, 0..=99).into_iter();
    let mut blocks: Vec<_> =
        blocks.map(|(hour, held)| (hour, held.err().map(|e| e.to_string()))).collect();
    let mut columns = Vec::new();
    view.series(1, lineage, Series::Reads, 0..=99, &mut |hour, column| {
        columns.push((hour, column.err().map(|error| error.to_string())));
    });
    blocks.sort();
    columns.sort();
    assert_eq!(blocks, columns);
    blocks
}

#[test]
fn an_hour_that_lost_something_says_so_besides_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention: Retention::new(DAY_MS) };
    let store = Store::open(&folder.path().join("db"), options).unwrap();
    let lineage = Uuid::from_u128;
    let mut batch = Batch::default();
    for (id, hour) in [(1, 4), (1, 5), (1, 6), (2, 5)] {
        batch.put(1, &Key::Range { lineage: lineage(id), hour }, block());
    }
    let lost = [
        (1, Key::Range { lineage: lineage(1), hour: 5 }),
        // Nothing was stored there since.
        (1, Key::Range { lineage: lineage(1), hour: 8 }),
        // Another group's, another lineage's, and what is no block.
        (2, Key::Range { lineage: lineage(2), hour: 5 }),
        (1, Key::Coverage { hour: 4 }),
        (1, Key::Lineage { lineage: lineage(2) }),
    ];
    for (group, key) in &lost {
        batch.put(*group, &key.quarantine(), b"as it was found".to_vec());
    }
    store.commit(&batch).unwrap();
    let hours = |told: &[(u64, Option<String>)]| -> Vec<(u64, bool)> {
        told.iter().map(|(hour, error)| (*hour, error.is_some())).collect()
    };
    let of_1 = told(&store, lineage(1), 9);
    assert_eq!(hours(&of_1), [(4, false), (5, false), (5, true), (6, false), (8, true)]);
    let error = of_1[2].1.clone().unwrap();
    let named = format!("!admin|keyviz|range|{}|5 of group 1", lineage(1));
    assert!(error.contains(&named), "{error}");
    assert_eq!(hours(&told(&store, lineage(2), 9)), [(5, false)]);
    let view = store.view(9 * HOUR_MS);
    let coverage = view.coverage(1, 0..=9);
    assert!(coverage.len() == 1 && coverage[0].0 == 4, "{coverage:?}");
    assert!(coverage[0].1.as_ref().unwrap_err().to_string().contains("coverage|4 of group 1"));
    drop(view);
    // It goes with its hour: hidden at once, then dropped.
    assert_eq!(hours(&told(&store, lineage(1), 30)), [(6, false), (8, true)]);
    store.flush().unwrap();
    store.retention().allow_gc_at(99 * HOUR_MS);
    store.compact();
    let left = store.view(0).dump().unwrap();
    let left: Vec<Key> = left.keys().filter_map(|key| Some(Key::parse(key)?.1)).collect();
    assert_eq!(left, [Key::Schema, Key::Lineage { lineage: lineage(2) }.quarantine()]);
}
