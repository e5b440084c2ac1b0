use std::path::Path;

use keyviz_codec::rollup::{Chunk, Tier};
use keyviz_codec::{CellEntry, Contributor, WindowCover, envelope};
use keyviz_lineage::{
    Bucket, Cause, Counts, Flags, Hlc, KeyRange, LineageId, LineageRecord, ParentRef, Series,
    SourceId, Step, Window,
};
use uuid::Uuid;

use super::*;
use crate::finding::Finding;
use crate::offline::offline_test::files;
use crate::retention::Retention;
use crate::{Batch, Store, StoreOptions};

const HOUR: u64 = 500_000;
const A: LineageId = Uuid::from_u128(0x0197_7420_dc00_7000_83cb_469d_7667_bba1);
const B: LineageId = Uuid::from_u128(0x0197_7420_dc00_7000_83cb_469d_7667_bba2);

fn write(path: &Path, batch: &Batch) {
    let options = StoreOptions { retention: Retention::new(1) };
    Store::open(path, options).unwrap().commit(batch).unwrap();
}

fn record(
    id: LineageId,
    from_ms: u64,
    to_ms: Option<u64>,
    (start, end): (&str, &str),
) -> LineageRecord {
    LineageRecord {
        id,
        range: KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap(),
        route: 1,
        group: 1,
        valid_from: Hlc::new(from_ms, 0),
        valid_to: to_ms.map(|ms| Hlc::new(ms, 0)),
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Create,
        version: 0,
    }
}

fn block(index: u16) -> HourBlocks {
    let mut hour = HourBlocks::default();
    let counts = Counts { reads: 5, ..Counts::default() };
    let who = Contributor { node: "n".into(), group: 0, term: 0 };
    hour.block_mut(Step::MINUTE).add(&who, CellEntry { index, counts, flags: Flags::NONE });
    hour
}

fn put_record(batch: &mut Batch, record: &LineageRecord) {
    batch.put(1, &Key::Lineage { lineage: record.id }, lineage_record::encode(record));
}

/// A split of A into B and one more, with blocks, coverage, a bucket, an event and every mark.
fn whole() -> Batch {
    let mut batch = Batch::default();
    let (born, split) = (HOUR * 3_600_000, HOUR * 3_600_000 + 60_000);
    let parent = record(A, born, Some(split), ("", "m"));
    let mut child = record(B, split, None, ("", "f"));
    child.parents = vec![parent.as_parent()];
    child.cause = Cause::Split;
    put_record(&mut batch, &parent);
    put_record(&mut batch, &child);
    put_record(&mut batch, &record(Uuid::from_u128(7 << 76), split, None, ("f", "m")));
    let mut coverage = Coverage::default();
    let source = SourceId { node: "n".into(), boot: Uuid::from_u128(1) };
    for index in [3, 4] {
        coverage.add(
            Step::MINUTE,
            &source,
            index,
            WindowCover { covered_ms: 60_000, unattributed: 0 },
        );
    }
    batch.put(1, &Key::Coverage { hour: HOUR }, coverage.encode());
    batch.put(1, &Key::Range { lineage: A, hour: HOUR }, block(3).encode());
    batch.put(1, &Key::Range { lineage: B, hour: HOUR }, block(4).encode());
    let range = KeyRange::new(b"x".as_slice(), b"z".as_slice()).unwrap();
    let bucket = Bucket { group: 1, range, members: vec![4], member_count: 1, parts: Vec::new() };
    let mut index = BucketIndex::default();
    index.add(&bucket, Window::new(HOUR * 3_600_000, Step::MINUTE).unwrap());
    batch.put(1, &Key::Index { hour: HOUR }, index.encode());
    batch.put(1, &Key::Range { lineage: bucket.id(), hour: HOUR }, block(4).encode());
    batch.put_mark(1, &Key::Event { hlc: Hlc::new(born, 0) }, &LeaderEvent::default());
    batch.put_mark(1, &Key::Applied, &Applied::default());
    batch.put_mark(1, &Key::Swept, &3u64);
    batch.put_mark(1, &Key::Member { node: "n".into() }, &Member::default());
    batch.put_mark(
        0,
        &Key::Boot { boot: Uuid::from_u128(1), node: "n".into() },
        &BootMark::default(),
    );
    batch.put_mark(0, &Key::Hlc, &3u64);
    let stored = [(A, block(3)), (B, block(4)), (bucket.id(), block(4))];
    let ids: Vec<LineageId> = stored.iter().map(|(id, _)| *id).collect();
    batch.put(1, &Key::Numbers { chunk: 0 }, numbers::encode(&ids));
    for tier in Tier::ALL {
        for series in Series::ALL {
            let mut values = Chunk::new(tier);
            for (slot, (_, block)) in stored.iter().enumerate() {
                values.set(slot, Some(keyviz_codec::rollup::of(block, tier)[series as usize]));
            }
            let key = Key::Rollup { tier, series, hour: HOUR, chunk: 0 };
            batch.put(1, &key, values.encode());
        }
    }
    batch
}

fn look(path: &Path) -> CheckReport {
    let before = files(path);
    let report = check(&OfflineStore::open(path).unwrap(), HOUR - 10, &mut |_| {});
    assert_eq!(files(path), before, "nothing was changed");
    report
}

/// What a check finds once something was written over a whole store.
fn found(change: impl FnOnce(&mut Batch)) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &whole());
    let mut batch = Batch::default();
    change(&mut batch);
    write(folder.path(), &batch);
    look(folder.path()).findings.list().to_vec()
}

#[track_caller]
fn one(change: impl FnOnce(&mut Batch), severity: Severity, key: &str, what: &str) {
    let found = found(change);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, severity, "{found:?}");
    assert!(found[0].key.contains(key) && found[0].what.contains(what), "{found:?}");
    assert!(!found[0].advice.is_empty());
}

#[test]
fn a_whole_store_has_no_findings_and_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &whole());
    let report = look(folder.path());
    assert_eq!(report.findings.list(), []);
    assert_eq!((report.schema, report.groups), (Some(keyviz_migrations::CURRENT), 1));
    assert!(report.keys == 24 && report.bytes > 1_000, "{report:?}");
}

/// One key of every family, with one bit flipped.
#[test]
fn every_family_has_its_checksums_verified() {
    for (group, key) in [
        (1, Key::Range { lineage: A, hour: HOUR }),
        (1, Key::Coverage { hour: HOUR }),
        (1, Key::Index { hour: HOUR }),
        (1, Key::Lineage { lineage: A }),
        (1, Key::Event { hlc: Hlc::new(HOUR * 3_600_000, 0) }),
        (1, Key::Applied),
        (1, Key::Swept),
        (1, Key::Numbers { chunk: 0 }),
        (1, Key::Member { node: "n".into() }),
        (0, Key::Boot { boot: Uuid::from_u128(1), node: "n".into() }),
        (0, Key::Hlc),
        (0, Key::Schema),
        (1, Key::Rollup { tier: Tier::Hour, series: Series::Reads, hour: HOUR, chunk: 0 }),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &whole());
        let options = StoreOptions { retention: Retention::new(1) };
        let store = Store::open(folder.path(), options).unwrap();
        let mut value = store.view(0).raw(group, &key).unwrap().unwrap();
        let middle = value.len() / 2;
        value[middle] ^= 4;
        let mut batch = Batch::default();
        batch.put(group, &key, value);
        store.commit(&batch).unwrap();
        drop(store);
        let report = look(folder.path());
        let found = report.findings.list();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("fails its checksum"), "{found:?}");
        assert_eq!((found[0].group, &found[0].key), (Some(group), &key.to_string()));
    }
}

#[test]
fn what_contradicts_itself_is_told() {
    let range = |lineage| Key::Range { lineage, hour: HOUR };
    let lineage = |lineage| Key::Lineage { lineage };
    let says = |found: &[Finding], what: &str| {
        assert!(found.iter().any(|finding| finding.what.contains(what)), "{what}: {found:?}");
        assert!(found.iter().all(|finding| !finding.advice.is_empty()));
    };
    // Another window than the coverage knows; the five-minute roll-up says otherwise, too.
    says(&found(|b| b.put(1, &range(A), block(9).encode())), "no source recorded");
    says(&found(|b| b.put(1, &range(A), block(9).encode())), "does not say what the blocks");
    let stranger = Uuid::from_u128(0x0197_7420_dc00_7000_83cb_469d_7667_bba9);
    says(&found(|b| b.put(1, &range(stranger), block(3).encode())), "no record");
    says(&found(|b| b.put(1, &range(stranger), block(3).encode())), "has no number");
    let bucket = keyviz_lineage::id::virtual_id(&KeyRange::all());
    says(&found(|b| b.put(1, &range(bucket), block(3).encode())), "not in the index");
    let old = Key::Range { lineage: stranger, hour: HOUR - 11 };
    assert_eq!(found(|b| b.put(1, &old, block(3).encode())), [], "it has expired");
    let gone = found(|b| b.delete(1, &lineage(A)));
    assert!(gone.len() == 2 && gone[0].what.contains("no record"), "{gone:?}");
    let overlapping = record(stranger, HOUR * 3_600_000, None, ("e", "z"));
    let overlaps = found(|b| put_record(b, &overlapping));
    assert!(overlaps.len() == 2 && overlaps[0].severity == Severity::Error, "{overlaps:?}");
    assert!(overlaps[0].what.contains("overlaps"), "{overlaps:?}");
    let alive = record(A, HOUR * 3_600_000, None, ("n", "o"));
    one(|b| put_record(b, &alive), Severity::Warning, "lineage", "still lives");
    let misplaced = lineage_record::encode(&record(B, 5, Some(6), ("", "f")));
    says(&found(|b| b.put(1, &lineage(stranger), misplaced)), "the record of lineage");
}

#[test]
fn a_roll_up_that_is_gone_or_wrong_is_told_and_one_of_a_block_that_was_set_aside_is_not() {
    let key = |tier| Key::Rollup { tier, series: Series::Reads, hour: HOUR, chunk: 0 };
    let wrong = Chunk::new(Tier::FiveMinutes).encode();
    one(|b| b.put(1, &key(Tier::FiveMinutes), wrong), Severity::Error, "rollup", "does not say");
    one(|b| b.delete(1, &key(Tier::Hour)), Severity::Error, "rollup", "is not there");
    let block = Key::Range { lineage: A, hour: HOUR };
    let aside = found(|b| {
        b.delete(1, &block);
        b.put(1, &block.quarantine(), vec![1]);
    });
    assert!(aside.len() == 1 && aside[0].severity == Severity::Note, "{aside:?}");
}

#[test]
fn unknown_keys_versions_and_what_was_set_aside_are_told_apart() {
    let aside = Key::Range { lineage: A, hour: HOUR }.quarantine();
    one(|b| b.put(1, &aside, vec![1, 2, 3]), Severity::Note, "damaged", "3 damaged bytes");
    let newer = envelope::seal(200, b"?");
    one(|b| b.put(1, &Key::Applied, newer), Severity::Error, "applied", "version 200");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &whole());
    let options = StoreOptions { retention: Retention::new(1) };
    let store = Store::open(folder.path(), options).unwrap();
    store.db.put_cf(store.family(), b"\0\0\0\0\0\0\0\x01!admin|keyviz|what?", b"x").unwrap();
    drop(store);
    let report = look(folder.path());
    assert_eq!(report.findings.count(Severity::Error), 1);
    assert!(report.findings.list()[0].what.contains("not in the catalogue"));
    assert!(!report.findings.is_clean());
}

/// A parent that the retention has taken is nothing; one that should be there is worth a note.
#[test]
fn a_parent_that_is_gone_is_a_note_while_it_should_be_there() {
    let parent = ParentRef {
        group: 1,
        id: Uuid::from_u128(0x0197_7420_dc00_7000_83cb_469d_7667_bba8),
        range: KeyRange::all(),
        valid_from: Hlc::new(1, 0),
    };
    let mut child = record(Uuid::from_u128(8 << 76), (HOUR - 50) * 3_600_000, None, ("p", "q"));
    child.parents = vec![parent];
    assert_eq!(found(|b| put_record(b, &child)), []);
    child.valid_from = Hlc::new(HOUR * 3_600_000, 0);
    one(|b| put_record(b, &child), Severity::Note, "lineage", "has no record");
}
