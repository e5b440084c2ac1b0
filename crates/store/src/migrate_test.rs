use std::cell::Cell;
use std::collections::BTreeMap;

use keyviz_codec::marks::Mark;
use keyviz_codec::{CellEntry, Contributor, HourBlocks};
use keyviz_lineage::{Counts, Flags, HOUR_MS};
use rocksdb::ReadOptions;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::retention::Retention;
use crate::tuning::Tuning;
use crate::{History as _, StoreOptions};

const GROUP: u64 = 1;
const BLOCKS: u64 = 10;

fn options() -> StoreOptions {
    StoreOptions { retention: Retention::new(u64::MAX) }
}

fn go_on(_: UpgradeProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn open_with(path: &Path, steps: &[Step], watch: WatchUpgrade<'_>) -> Result<Store, StoreError> {
    Store::open_with(path, options(), &Tuning::default(), steps, watch)
}

fn block(value: u64) -> Vec<u8> {
    let mut hour = HourBlocks::default();
    let counts = Counts { reads: value, ..Counts::default() };
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    let entry = CellEntry { index: 1, counts, flags: Flags::NONE };
    hour.block_mut(keyviz_lineage::Step::MINUTE).add(&who, entry);
    hour.encode()
}

fn range(hour: u64) -> Key {
    Key::Range { lineage: Uuid::from_u128(1), hour }
}

/// A folder of version 1 with some blocks, and one of them damaged.
fn old_folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = open_with(&path, &[], &go_on).unwrap();
    let mut batch = Batch::default();
    for hour in 0..BLOCKS {
        batch.put(GROUP, &range(hour), block(hour));
    }
    let mut spoiled = block(5);
    spoiled[3] ^= 1;
    batch.put(GROUP, &range(5), spoiled);
    store.commit(&batch).unwrap();
    (folder, path)
}

fn dump(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.view(0).dump().unwrap()
}

/// A step that writes one index for each block, two blocks a batch, and sets aside a block that is
/// damaged.
fn to_2(work: &mut Work<'_>) -> Result<(), StoreError> {
    let mut next = work.position().first().map_or(0, |&next| u64::from(next));
    while next < BLOCKS {
        let mut batch = Batch::default();
        for hour in next..next + 2 {
            let view = work.store().view(0);
            match view.block(GROUP, Uuid::from_u128(1), hour) {
                Ok(_) => batch.put_mark(GROUP, &Key::Index { hour }, &(hour * 7)),
                Err(_) => {
                    let bytes = view.raw(GROUP, &range(hour))?.unwrap_or_default();
                    batch.put(GROUP, &range(hour).quarantine(), bytes);
                    batch.delete(GROUP, &range(hour));
                }
            }
        }
        next += 2;
        work.commit(batch, &[next as u8], (next, BLOCKS))?;
    }
    Ok(())
}

/// A step that adds to what the one before wrote: taken twice, or before it, it would show.
fn to_3(work: &mut Work<'_>) -> Result<(), StoreError> {
    for hour in work.position().first().map_or(0, |&next| u64::from(next))..BLOCKS {
        let mut batch = Batch::default();
        if let Some(held) = work.store().view(0).raw(GROUP, &Key::Index { hour })? {
            batch.put_mark(GROUP, &Key::Index { hour }, &(u64::decode(&held).unwrap() + 1));
        }
        work.commit(batch, &[hour as u8 + 1], (hour + 1, BLOCKS))?;
    }
    Ok(())
}

const TWO: [Step; 2] = [Step { to: 2, run: to_2 }, Step { to: 3, run: to_3 }];

fn schema(store: &Store) -> u64 {
    u64::decode(&store.view(0).raw(NODE_GROUP, &Key::Schema).unwrap().unwrap()).unwrap()
}

#[test]
fn an_upgrade_that_stops_after_any_batch_is_gone_on_from() {
    let (_keep, path) = old_folder();
    let heard = Cell::new(0);
    let count = |_: UpgradeProgress| {
        heard.set(heard.get() + 1);
        ControlFlow::Continue(())
    };
    let whole = open_with(&path, &TWO, &count).unwrap();
    assert_eq!(schema(&whole), 3);
    let expected = dump(&whole);
    let damaged = Key::parse(
        expected.keys().find(|key| key.windows(7).any(|part| part == b"damaged")).unwrap(),
    );
    assert_eq!(damaged, Some((GROUP, range(5).quarantine())));
    assert!(heard.get() > 15, "{heard:?}");
    for stops in 1..=heard.get() {
        let (_keep, path) = old_folder();
        let before = dump(&open_with(&path, &[], &go_on).unwrap());
        // Stops again and again, each time after so many.
        let mut rounds = 0;
        let store = loop {
            let left = Cell::new(stops + u64::from(rounds > 0));
            let stop = |_: UpgradeProgress| {
                left.set(left.get() - 1);
                if left.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match open_with(&path, &TWO, &stop) {
                Ok(store) => break store,
                Err(StoreError::UpgradeStopped { from: 1, .. }) => rounds += 1,
                Err(error) => panic!("{error}"),
            }
            // The way back is whole all the while.
            let older = open_with(&beside(&path, 1), &[], &go_on).unwrap();
            assert_eq!(dump(&older), before);
        };
        assert_eq!(dump(&store), expected, "stopped after {stops}, {rounds} times");
        assert_eq!(store.forget_older().unwrap(), [beside(&path, 1)]);
        assert_eq!(store.forget_older().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_step_that_fails_names_the_way_back_and_is_taken_again() {
    fn fails(work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put_mark(GROUP, &Key::Index { hour: 1 }, &1u64);
        work.commit(batch, &[1], (1, 2))?;
        Err(StoreError::UnknownKey { group: GROUP, key: "!admin|keyviz|strange".to_owned() })
    }
    let (_keep, path) = old_folder();
    let steps = [Step { to: 2, run: fails }];
    for _ in 0..2 {
        let said = open_with(&path, &steps, &go_on).unwrap_err().to_string();
        for name in ["from schema version 1 to 2", "strange", "db.before-1", path.to_str().unwrap()]
        {
            assert!(said.contains(name), "{said}");
        }
    }
    let store = open_with(&path, &TWO, &go_on).unwrap();
    assert_eq!(schema(&store), 3);
    drop(store);
    // The way back, as the message says.
    std::fs::remove_dir_all(&path).unwrap();
    let said = Store::open(&path, options()).unwrap_err().to_string();
    assert!(said.contains("db.before-1"), "{said}");
    assert!(!path.exists(), "nothing was made");
    std::fs::rename(beside(&path, 1), &path).unwrap();
    assert_eq!(schema(&open_with(&path, &[], &go_on).unwrap()), 1);
}

#[test]
fn what_a_kill_left_of_a_checkpoint_is_thrown_away_and_a_new_one_taken() {
    let (_keep, path) = old_folder();
    let half = beside(&path, 1).with_file_name("db.before-1.tmp");
    for leftover in [beside(&path, 1), half.clone(), beside(&path, 7)] {
        std::fs::create_dir(&leftover).unwrap();
        std::fs::write(leftover.join("CURRENT"), "half").unwrap();
    }
    let store = open_with(&path, &TWO, &go_on).unwrap();
    assert_eq!(older(&path).unwrap(), [beside(&path, 1)]);
    let older = open_with(&beside(&path, 1), &[], &go_on).unwrap();
    assert_eq!(dump(&older).len() as u64, BLOCKS + 1);
    drop(older);
    // A kill while the checkpoint was being removed.
    std::fs::rename(beside(&path, 1), &half).unwrap();
    drop(store);
    let store = open_with(&path, &TWO, &go_on).unwrap();
    assert_eq!(store.forget_older().unwrap(), [half]);
}

#[test]
fn a_checkpoint_that_cannot_be_taken_changes_nothing() {
    let (_keep, path) = old_folder();
    // A file where the folder should go, and no folder that could be removed.
    std::fs::write(beside(&path, 1), "in the way").unwrap();
    let before = dump(&open_with(&path, &[], &go_on).unwrap());
    let said = open_with(&path, &TWO, &go_on).unwrap_err().to_string();
    assert!(said.contains("db.before-1"), "{said}");
    assert_eq!(dump(&open_with(&path, &[], &go_on).unwrap()), before);
}

/// Every file with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(path).unwrap())),
        }
    }
    found
}

#[test]
fn a_newer_version_is_refused_to_the_last_byte() {
    let (keep, path) = old_folder();
    drop(open_with(&path, &TWO, &go_on).unwrap());
    let before = files(keep.path());
    assert!(before.len() > 10, "{:?}", before.keys());
    for _ in 0..2 {
        let refused = open_with(&path, &TWO[..1], &go_on).unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { found: 3, known: 2, .. }), "{refused}");
        assert!(files(keep.path()) == before);
    }
}

#[test]
fn an_upgrade_mark_that_is_damaged_begins_the_step_again() {
    let (_keep, path) = old_folder();
    let left = Cell::new(3);
    let stop = |_: UpgradeProgress| {
        left.set(left.get() - 1);
        if left.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(open_with(&path, &TWO[..1], &stop).is_err());
    let store = open_with(&path, &[], &go_on).unwrap();
    let mut batch = Batch::default();
    batch.put(NODE_GROUP, &Key::Upgrade, b"nonsense".to_vec());
    store.commit(&batch).unwrap();
    drop(store);
    let store = open_with(&path, &TWO[..1], &go_on).unwrap();
    assert_eq!(schema(&store), 2);
    assert_eq!(store.view(0).raw(NODE_GROUP, &Key::Upgrade).unwrap(), None);
    let view = store.view(9 * HOUR_MS);
    assert_eq!(view.blocks(GROUP, Uuid::from_u128(1), 0..=99).len() as u64, BLOCKS);
    let mut count = 0;
    let mut cursor = store.db.raw_iterator_cf_opt(store.family(), ReadOptions::default());
    cursor.seek_to_first();
    while cursor.valid() {
        count +=
            usize::from(matches!(Key::parse(cursor.key().unwrap()), Some((_, Key::Index { .. }))));
        cursor.next();
    }
    assert_eq!(count as u64, BLOCKS - 1);
}
