use keyviz_lineage::clock::ManualClock;

use super::*;
use crate::keys::NODE_META;

fn store(folder: &Path) -> (Kv, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    (Kv::new(open_database(folder, Arc::clone(&shared)).unwrap(), shared), clock)
}

#[test]
fn compaction_removes_what_has_expired_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (kv, clock) = store(folder.path());
    let put = |key: &[u8], expires_ms| {
        let stored = Stored { data: Bytes::from_static(b"v"), expires_ms };
        kv.edit(key, &Edit::Put(stored)).unwrap();
    };
    put(b"gone", Some(1_000_500));
    put(b"later", Some(2_000_000));
    put(b"never", None);
    // A record of the system whose bytes look like an expired value.
    kv.db.put(NODE_META, [2, 0, 0, 0, 0, 0, 0, 0, 1, 9]).unwrap();
    clock.advance(500);
    kv.db.flush().unwrap();
    let mut whole = rocksdb::CompactOptions::default();
    whole.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
    kv.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &whole);
    assert_eq!(kv.db.get(b"gone").unwrap(), None);
    assert!(kv.db.get(b"later").unwrap().is_some());
    assert!(kv.db.get(b"never").unwrap().is_some());
    assert!(kv.db.get(NODE_META).unwrap().is_some());
}

#[test]
fn a_damaged_value_is_an_error_that_names_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (kv, _) = store(folder.path());
    for bytes in [&b""[..], b"\x07x", b"\x02short"] {
        kv.db.put(b"bad\xff", bytes).unwrap();
        let error = kv.get(b"bad\xff").unwrap_err().to_string();
        assert!(error.contains("bad\\xff") && error.contains("damaged"), "{error}");
    }
}

#[test]
fn a_foreign_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("CURRENT"), "nonsense").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
    let error = open_database(folder.path(), clock).unwrap_err().to_string();
    assert!(error.contains("cannot open the database in"), "{error}");
}
