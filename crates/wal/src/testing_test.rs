//! The faulty file system is as bad as it promises, and no worse.

#![allow(clippy::unwrap_used)]

use super::*;

fn file(fs: &FaultyFs, path: &str) -> Box<dyn LogFile> {
    fs.create(Path::new(path)).unwrap()
}

#[test]
fn a_power_cut_keeps_what_was_synced() {
    let fs = FaultyFs::new();
    let mut a = file(&fs, "/d/a");
    a.write_at(0, b"synced").unwrap();
    a.sync_data().unwrap();
    a.write_at(6, b" and not").unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    file(&fs, "/d/b").sync_data().unwrap();
    let torn = fs.fork();
    torn.power_cut(PowerCut { keep_names: true, keep_bytes: 4 });
    assert_eq!(torn.content(Path::new("/d/a")).unwrap(), b"synced and");
    assert_eq!(torn.paths().len(), 2);
    fs.power_cut(PowerCut::HARD);
    assert_eq!(fs.content(Path::new("/d/a")).unwrap(), b"synced");
    assert_eq!(fs.paths(), [Path::new("/d/a")], "the name of b was not synced");
    assert!(a.write_at(0, b"x").is_err(), "a handle does not outlive its machine");
}

#[test]
fn a_failed_sync_loses_its_bytes_although_the_next_one_succeeds() {
    let fs = FaultyFs::new();
    let mut a = file(&fs, "/d/a");
    fs.sync_dir(Path::new("/d")).unwrap();
    a.write_at(0, b"lost").unwrap();
    fs.fail_next(Op::SyncData, 1, Fault::Error(io::ErrorKind::StorageFull));
    assert!(a.sync_data().is_err());
    a.write_at(4, b"kept").unwrap();
    a.sync_data().unwrap();
    assert_eq!(fs.content(Path::new("/d/a")).unwrap(), b"lostkept");
    fs.power_cut(PowerCut::HARD);
    assert_eq!(fs.content(Path::new("/d/a")).unwrap(), b"\0\0\0\0kept");
}

#[test]
fn writes_fail_short_torn_or_on_the_numbered_call() {
    let fs = FaultyFs::new();
    let mut a = file(&fs, "/d/a");
    fs.fail(Op::Write, 2..3, Fault::ShortWrite(1));
    fs.fail(Op::Write, 3..4, Fault::TornWrite(2));
    assert_eq!(a.write_at(0, b"abc").unwrap(), 3);
    assert_eq!(a.write_at(3, b"def").unwrap(), 1);
    assert!(a.write_at(4, b"efg").is_err());
    assert_eq!(fs.content(Path::new("/d/a")).unwrap(), b"abcdef");
    assert_eq!(fs.calls(Op::Write), 3);
}

#[test]
fn a_lying_sync_keeps_nothing_and_broken_blocks_do_not_read() {
    let fs = FaultyFs::new();
    let mut a = file(&fs, "/d/a");
    fs.sync_dir(Path::new("/d")).unwrap();
    a.write_at(0, b"abc").unwrap();
    fs.break_reads(Path::new("/d/a"), 1..2);
    let mut buf = [0; 3];
    assert!(a.read_at(0, &mut buf).is_err());
    assert_eq!(a.read_at(2, &mut buf).unwrap(), 1);
    fs.fail_next(Op::SyncData, 1, Fault::Lie);
    a.sync_data().unwrap();
    fs.power_cut(PowerCut::HARD);
    assert_eq!(fs.content(Path::new("/d/a")).unwrap(), b"");
}
