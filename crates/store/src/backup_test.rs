use std::collections::BTreeMap;

use keyviz_codec::marks::Mark;
use keyviz_codec::{HourBlocks, Key};
use uuid::Uuid;

use super::*;
use crate::offline::offline_test::{files, largest_sst};
use crate::retention::Retention;
use crate::{Batch, StoreOptions};

fn open(path: &Path) -> Store {
    Store::open(path, StoreOptions { retention: Retention::new(1) }).unwrap()
}

fn fill(store: &Store, lineage: u128) {
    let mut batch = Batch::default();
    for hour in 0..200 {
        let key = Key::Range { lineage: Uuid::from_u128(lineage), hour };
        // Only what the store does with bytes is looked at here.
        batch.put(1, &key, vec![lineage as u8; 2_000]);
    }
    store.commit(&batch).unwrap();
}

fn segment(name: &str, bytes: &[u8]) -> WalFile {
    let reader = Box::new(io::Cursor::new(bytes.to_vec()));
    WalFile { name: name.to_owned(), bytes: bytes.len() as u64, reader }
}

fn size(path: &Path) -> usize {
    files(path).values().map(Vec::len).sum()
}

fn dump(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.view(0).dump().unwrap()
}

#[test]
fn backups_share_what_did_not_change_and_each_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backups");
    let store = open(&folder.path().join("db"));
    let (mut sizes, mut dumps) = (Vec::new(), Vec::new());
    for number in 1..=4u128 {
        match number {
            1 | 2 => fill(&store, number),
            // From here on RocksDB has nothing left to do by itself.
            3 => drop(store.compact_all().unwrap()),
            _ => {}
        }
        let wal = vec![segment("wal-1.log", format!("records {number}").as_bytes())];
        let taken = Backups::open(&to).unwrap().take(&store, wal, 1_000).unwrap();
        assert_eq!(u128::from(taken.id), number);
        sizes.push(size(&to));
        dumps.push(dump(&store));
    }
    assert!(sizes[3] - sizes[2] < 20_000, "the fourth added nothing but metadata: {sizes:?}");
    let backups = Backups::open_for_reading(&to).unwrap();
    let listed = backups.list().unwrap();
    assert_eq!(listed.iter().map(|listed| listed.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(listed.iter().all(|listed| listed.manifest.is_ok()));
    let before = files(&to);
    for (id, dumped) in (1..).zip(&dumps) {
        let into = folder.path().join(format!("back-{id}"));
        let manifest = restore(&backups, Some(id), &into).unwrap();
        finish_restore(&into).unwrap();
        assert_eq!(manifest.wal[0].name, "wal-1.log");
        let wal = fs::read(into.join("wal/wal-1.log")).unwrap();
        assert_eq!(wal, format!("records {id}").as_bytes());
        assert_eq!(dump(&open(&into.join("db"))), *dumped);
    }
    assert_eq!(files(&to), before, "reading changes nothing");
}

/// Killed at each step: before RocksDB's copy, after it, and before the last rename.
#[test]
fn a_backup_that_was_killed_is_not_listed_and_the_next_one_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backups");
    let store = open(&folder.path().join("db"));
    fill(&store, 1);
    let take = || Backups::open(&to).unwrap().take(&store, vec![segment("wal-1.log", b"x")], 1);
    take().unwrap();
    let ids = || {
        let listed = Backups::open_for_reading(&to).unwrap().list().unwrap();
        listed.into_iter().map(|listed| listed.id).collect::<Vec<_>>()
    };
    fill(&store, 2);
    take().unwrap();
    // As if it had been killed just before its folder got its name.
    fs::rename(to.join("2"), to.join("incoming")).unwrap();
    assert_eq!(ids(), [1]);
    assert_eq!(take().unwrap().id, 2);
    assert!(!to.join("incoming").exists());
    assert_eq!(ids(), [1, 2]);
    // As if it had been killed while RocksDB's files were copied.
    fs::create_dir_all(to.join("incoming/wal")).unwrap();
    fs::write(to.join("incoming/wal/wal-1.log"), b"half").unwrap();
    fs::create_dir_all(to.join("db/private/3")).unwrap();
    fs::write(to.join("db/private/3/MANIFEST-000999"), b"half").unwrap();
    fs::write(to.join("db/shared_checksum/000999_s1_5.sst.tmp"), b"half").unwrap();
    assert_eq!(ids(), [1, 2]);
    assert_eq!(take().unwrap().id, 3);
    assert!(!to.join("db/private/3/MANIFEST-000999").exists());
    assert!(!to.join("db/shared_checksum/000999_s1_5.sst.tmp").exists());
    restore(&Backups::open_for_reading(&to).unwrap(), None, &folder.path().join("back")).unwrap();
}

/// One flipped bit, in every file of a backup in turn.
#[test]
fn a_flipped_bit_anywhere_is_found_by_a_restore() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backups");
    let store = open(&folder.path().join("db"));
    fill(&store, 1);
    let wal = vec![segment("wal-1.log", b"records")];
    Backups::open(&to).unwrap().take(&store, wal, 1).unwrap();
    let mut tried = 0;
    for (path, good) in files(&to).into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).unwrap();
        let into = folder.path().join(format!("back-{tried}"));
        let restored = restore(&Backups::open_for_reading(&to).unwrap(), None, &into);
        assert!(restored.is_err(), "{}", path.display());
        if into.exists() {
            let refused = crate::DataDir::lock(&into).unwrap_err();
            assert!(refused.to_string().contains("RESTORE-INCOMPLETE"), "{refused}");
        }
        fs::write(&path, &good).unwrap();
        tried += 1;
    }
    assert!(tried >= 6, "{tried}");
    assert!(largest_sst(&to).exists());
    restore(&Backups::open_for_reading(&to).unwrap(), None, &folder.path().join("back")).unwrap();
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backups");
    let store = open(&folder.path().join("db"));
    let backups = Backups::open(&to).unwrap();
    backups.take(&store, Vec::new(), 1).unwrap();
    let said = |error: StoreError| error.to_string();
    assert!(said(Backups::open(&to).unwrap_err()).contains("in use"));
    assert!(
        said(restore(&backups, Some(9), &folder.path().join("x")).unwrap_err())
            .contains("no backup 9")
    );
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("photo"), b"").unwrap();
    assert!(said(restore(&backups, None, &full).unwrap_err()).contains("photo"));
    assert!(said(Backups::open(&full).unwrap_err()).contains("photo"));
    assert!(
        said(Backups::open_for_reading(&folder.path().join("none")).unwrap_err()).contains("none")
    );
    let short = WalFile { bytes: 5, ..segment("wal-1.log", b"x") };
    assert!(backups.take(&store, vec![short], 1).is_err());
    // Of a newer keyviz.
    let path = to.join("1/manifest");
    let text = fs::read_to_string(&path).unwrap();
    let json = text.lines().next().unwrap();
    let schema = format!("\"schema\":{}", keyviz_migrations::CURRENT);
    let newer = json.replace(&schema, "\"schema\":99");
    let crc = crc32fast::hash(newer.as_bytes());
    fs::write(&path, format!("{newer}\ncrc32 {crc:08x}\n")).unwrap();
    let refused = restore(&backups, None, &folder.path().join("y")).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }));
    assert!(HourBlocks::default().blocks().is_empty() && u64::decode(b"").is_err());
}
