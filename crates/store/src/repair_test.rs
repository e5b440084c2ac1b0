use std::fs;
use std::path::Path;

use keyviz_codec::marks::{Applied, Mark};
use keyviz_codec::rollup::Tier;
use keyviz_codec::{Coverage, HourBlocks, lineage_record, numbers};
use keyviz_lineage::{Cause, Hlc, KeyRange, LineageRecord, Series};
use uuid::Uuid;

use super::*;
use crate::offline::offline_test::files;

const LINEAGE: Uuid = Uuid::from_u128(7);

fn record() -> LineageRecord {
    LineageRecord {
        id: LINEAGE,
        range: KeyRange::all(),
        route: 1,
        group: 1,
        valid_from: Hlc::new(1, 0),
        valid_to: None,
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Create,
        version: 0,
    }
}

/// A data folder; each key's value has a bit flipped if it is among `spoiled`.
fn folder_with(path: &Path, spoiled: &[Key]) {
    let folder = DataDir::lock(path).unwrap();
    let store = Store::open(&folder.db(), StoreOptions { retention: Retention::new(1) }).unwrap();
    let mut batch = Batch::default();
    batch.put(1, &Key::Numbers { chunk: 0 }, numbers::encode(&[LINEAGE]));
    let rollups = [5, 6].into_iter().flat_map(|hour| {
        let of = move |tier, series| Key::Rollup { tier, series, hour, chunk: 0 };
        let keys =
            Tier::ALL.into_iter().flat_map(move |tier| Series::ALL.map(|series| of(tier, series)));
        keys.map(|key| {
            let Key::Rollup { tier, series, .. } = key else { unreachable!() };
            let mut values = Chunk::new(tier);
            let entries = rollup::of(&HourBlocks::default(), tier);
            values.set(0, Some(entries[series as usize]));
            (key, values.encode())
        })
    });
    let others = [
        (Key::Range { lineage: LINEAGE, hour: 5 }, HourBlocks::default().encode()),
        (Key::Range { lineage: LINEAGE, hour: 6 }, HourBlocks::default().encode()),
        (Key::Coverage { hour: 5 }, Coverage::default().encode()),
        (Key::Lineage { lineage: LINEAGE }, lineage_record::encode(&record())),
        (Key::Applied, Applied::default().encode()),
        (Key::Swept, 3u64.encode()),
    ];
    for (key, mut value) in rollups.chain(others) {
        if spoiled.contains(&key) {
            value[1] ^= 1;
        }
        batch.put(1, &key, value);
    }
    store.commit(&batch).unwrap();
}

fn look(path: &Path) -> RepairPlan {
    let folder = DataDir::lock_for_reading(path).unwrap();
    let before = files(path);
    let plan = plan(&OfflineStore::open(&folder.db()).unwrap(), &mut |_| {});
    assert_eq!(files(path), before, "planning changes nothing");
    plan
}

#[test]
fn what_does_not_decode_is_set_aside_and_the_rest_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let spoiled = [Key::Coverage { hour: 5 }, Key::Swept, Key::Range { lineage: LINEAGE, hour: 6 }];
    folder_with(folder.path(), &spoiled);
    let plan = look(folder.path());
    assert_eq!(plan.steps.iter().map(|step| step.key.clone()).collect::<Vec<_>>(), spoiled);
    assert_eq!(plan.left.list(), []);
    let held = DataDir::lock(folder.path()).unwrap();
    let kept = repair(&held, &plan).unwrap().unwrap();
    drop(held);
    let again = look(folder.path());
    assert!(again.steps.is_empty() && again.left.is_clean(), "{again:?}");
    let store = OfflineStore::open(&folder.path().join("db")).unwrap();
    let report = crate::check(&store, 0, &mut |_| {});
    assert_eq!(report.set_aside, spoiled.len() as u64);
    assert!(report.findings.is_clean(), "{:?}", report.findings);
    // What it was before is beside it, whole, and a node takes the folder with it.
    let before = super::plan(&OfflineStore::open(&kept).unwrap(), &mut |_| {});
    assert_eq!(before.steps.len(), spoiled.len());
    assert!(DataDir::lock(folder.path()).is_ok());
    let empty = DataDir::lock(folder.path()).unwrap();
    assert_eq!(repair(&empty, &again).unwrap(), None);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn what_cannot_be_mended_is_named_and_left() {
    let folder = tempfile::tempdir().unwrap();
    folder_with(folder.path(), &[Key::Lineage { lineage: LINEAGE }, Key::Applied]);
    let plan = look(folder.path());
    assert!(plan.steps.is_empty());
    let left = plan.left.list();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|finding| finding.advice.contains("restore a backup")), "{left:?}");
}
