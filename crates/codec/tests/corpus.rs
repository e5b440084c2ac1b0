//! Property: what fuzzing found stays fixed. Every input that is committed under `fuzz/corpus` passes
//! its check (the checks of the fuzz targets themselves, without libFuzzer), and the seeds among them
//! are what today's encoders write.
//!
//! After a change of a format: `KEYVIZ_WRITE_SEEDS=1 cargo test ... --test corpus` writes the new
//! seeds; an old one that still has to be read is kept under another name.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

#[allow(unreachable_pub)] // public in the fuzz crate
#[path = "../../../fuzz/src/checks/mod.rs"]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};

use keyviz_codec::marks::{
    Applied, BootMark, Freeze, FreezeReason, LeaderEvent, Mark, Member, Upgrade,
};
use keyviz_codec::rollup::{self, Chunk, Entry, Tier};
use keyviz_codec::shed_record::{Held, ShedEntry};
use keyviz_codec::{
    BucketIndex, CellEntry, Contributor, Coverage, HourBlocks, Key, Pin, WindowCover,
    column_record, lineage_record, numbers, shed_record,
};
use keyviz_lineage::{
    Bucket, BucketPart, Cause, Column, Counts, Flags, Hlc, KeyRange, LineageRecord, Row, Series,
    SourceId, Step, Window,
};
use uuid::Uuid;

/// A target, a file name, an input.
type Seed = (&'static str, &'static str, Vec<u8>);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

#[test]
fn every_committed_input_passes_its_check() {
    for (target, check) in checks::ALL {
        let inputs = fs::read_dir(corpus(target)).unwrap();
        let mut names: Vec<PathBuf> = inputs.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert!(!names.is_empty(), "{target} has no seed");
        for name in names {
            // Shown if the check fails.
            println!("{}", name.display());
            check(&fs::read(name).unwrap());
        }
    }
}

#[test]
fn the_seeds_are_what_the_encoders_write() {
    let mut stale = Vec::new();
    for (target, name, input) in seeds() {
        let path = corpus(target).join(name);
        if fs::read(&path).is_ok_and(|held| held == input) {
            continue;
        }
        if std::env::var_os("KEYVIZ_WRITE_SEEDS").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(path, input).unwrap();
        } else {
            stale.push(format!("{target}/{name}"));
        }
    }
    assert!(stale.is_empty(), "run again with KEYVIZ_WRITE_SEEDS=1 and commit: {stale:?}");
}

/// What earlier versions stored is read as what it was.
#[test]
fn blocks_of_old_versions_are_still_read() {
    for (name, expected) in [("v1-two-steps", hour_blocks()), ("v2-bucket", bucket_blocks())] {
        let input = fs::read(corpus("hour_blocks").join(name)).unwrap();
        assert_eq!(format!("v{}", input[0]), name[..2]);
        let value = keyviz_codec::envelope::seal(input[0], &input[1..]);
        assert_eq!(HourBlocks::decode(&value), Ok(expected));
    }
}

/// And so are the records that an older keyviz left in its WAL.
#[test]
fn column_records_of_old_versions_are_still_read() {
    let old = [
        ("v1-idle", source(1), 1, column(0)),
        ("v1-rows", source(2), 77, column(5)),
        ("v2-buckets", source(2), 78, with_buckets()),
    ];
    for (name, source, sequence, column) in old {
        let input = fs::read(corpus("column_record").join(name)).unwrap();
        assert_eq!(format!("v{}", input[0]), name[..2]);
        assert_eq!(column_record::encode_as_before(&source, sequence, &column), input);
        let anew = column_record::of_this_version(&input).unwrap();
        assert_eq!(*anew, column_record::encode(&source, sequence, &column));
        assert_eq!(column_record::decode(&input), Ok((source, sequence, column)));
    }
}

fn seeds() -> Vec<Seed> {
    let mut seeds = vec![
        ("column_record", "v3-idle", column_record::encode(&source(1), 1, &column(0))),
        ("column_record", "v3-rows", column_record::encode(&source(2), 77, &column(5))),
        ("column_record", "v3-buckets", column_record::encode(&source(2), 78, &with_buckets())),
        ("column_record", "skip", column_record::encode_skip(&source(3), u64::MAX)),
        ("coverage", "two-sources", unsealed(coverage().encode())),
        ("envelope", "sealed", keyviz_codec::envelope::seal(1, b"payload")),
        ("hour_blocks", "v3-two-steps", unsealed(hour_blocks().encode())),
        ("hour_blocks", "v3-bucket", unsealed(bucket_blocks().encode())),
        ("hour_blocks", "v3-busy", unsealed(busy_blocks().encode())),
        ("rollup", "hour", unsealed(chunk(Tier::Hour).encode())),
        ("rollup", "five-minutes", unsealed(chunk(Tier::FiveMinutes).encode())),
        ("numbers", "three", unsealed(numbers::encode(&[1, 9, 4].map(Uuid::from_u128)))),
        ("shed_record", "all-kinds", shed_record::encode(&shed_entries())),
        ("bucket_index", "two-buckets", unsealed(bucket_index().encode())),
        ("lineage_record", "created", unsealed(lineage_record::encode(&created()))),
        ("lineage_record", "merged", unsealed(lineage_record::encode(&merged()))),
        ("key_range", "inside", b"\x01a\x01m\x02ab\x01c\x00\x03abc".to_vec()),
        ("key_range", "unbounded", b"\x00\x00\x02\xFF\xFF\x00\x01\x00\x02\xFF\xFE".to_vec()),
        ("graph", "a-life", A_LIFE.concat()),
        ("graph", "what-is-refused", WHAT_IS_REFUSED.concat()),
    ];
    seeds.extend(keys());
    seeds.extend(marks());
    seeds
}

/// A stored value as the checks take it: without its checksum.
fn unsealed(mut value: Vec<u8>) -> Vec<u8> {
    value.truncate(value.len() - 4);
    value
}

fn source(number: u8) -> SourceId {
    SourceId { node: format!("node-{number}"), boot: Uuid::from_u128(u128::from(number)) }
}

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

fn column(rows: u64) -> Column {
    let key = |at: u64| if at == 0 || at == rows { String::new() } else { format!("user:{at:03}") };
    let row = |at: u64| Row {
        route: at + 1,
        group: 1 + at % 2,
        term: at,
        range: range(&key(at), &key(at + 1)),
        counts: Counts { reads: at << 9, writes: 1, read_bytes: u64::MAX, write_bytes: 0 },
        flags: Flags(at as u16),
    };
    Column {
        window: Window::new(1_760_000_040_000, Step::MINUTE).unwrap(),
        covered_from_ms: 1_760_000_041_000,
        covered_to_ms: 1_760_000_100_000,
        unattributed: rows,
        groups: vec![1, 2],
        rows: (0..rows).map(row).collect(),
        buckets: Vec::new(),
    }
}

fn bucket(start: &str, end: &str) -> Bucket {
    let counts = Counts { reads: 5, writes: 1 << 20, read_bytes: 0, write_bytes: u64::MAX };
    let part = |group, term| BucketPart { group, term, counts, flags: Flags::SATURATED };
    Bucket {
        group: 1,
        range: range(start, end),
        members: vec![7, 8, 300],
        member_count: 1_000,
        parts: vec![part(1, 4), part(2, 0)],
    }
}

fn with_buckets() -> Column {
    Column { buckets: vec![bucket("b", "user:002"), bucket("x", "")], ..column(2) }
}

fn bucket_index() -> BucketIndex {
    let mut index = BucketIndex::default();
    with_buckets().buckets.iter().for_each(|bucket| index.add(bucket, column(0).window));
    index
}

fn bucket_blocks() -> HourBlocks {
    let mut hour = hour_blocks();
    hour.set_bounds(range("b", "user:002"));
    let who = Contributor { node: "a".into(), group: 2, term: 4 };
    let entry = CellEntry { index: 9, ..CellEntry::default() };
    hour.block_mut(Step::MINUTE).add(&who, entry);
    hour
}

fn coverage() -> Coverage {
    let mut coverage = Coverage::default();
    for (number, index, covered_ms) in [(1, 0, 60_000), (1, 59, 30_000), (2, 7, 61_000)] {
        let cover = WindowCover { covered_ms, unattributed: u64::from(index) };
        coverage.add(Step::MINUTE, &source(number), index, cover);
    }
    let cover = WindowCover { covered_ms: 1_000, unattributed: 0 };
    coverage.add(Step::from_ms(1_000).unwrap(), &source(1), 3_599, cover);
    coverage
}

fn hour_blocks() -> HourBlocks {
    let mut hour = HourBlocks::default();
    for (node, term, index, flags) in
        [("a", 1, 0, 0), ("a", 1, 59, 1), ("b", 1, 0, 0), ("b", 2, 3, 0)]
    {
        let counts =
            Counts { reads: 300, writes: index.into(), read_bytes: 1 << 40, write_bytes: 9 };
        let who = Contributor { node: node.into(), group: 0, term };
        hour.block_mut(Step::MINUTE).add(&who, CellEntry { index, counts, flags: Flags(flags) });
    }
    let who = Contributor { node: "a".into(), group: 0, term: 0 };
    let entry = CellEntry { index: 3_599, ..CellEntry::default() };
    hour.block_mut(Step::from_ms(1_000).unwrap()).add(&who, entry);
    hour
}

/// One contributor: every coding of a column, an escape, cells without reads, flags.
fn busy_blocks() -> HourBlocks {
    let mut hour = HourBlocks::default();
    for index in (0..60).filter(|index| index % 7 != 3) {
        let noise = u64::from(index) * 2_654_435_761 % 64;
        let reads = if index == 20 { 1 << 30 } else { noise / 9 };
        let writes = 1_000 + noise % 32;
        let counts =
            Counts { reads, writes, read_bytes: reads * 70, write_bytes: writes * 300 + noise };
        let who = Contributor { node: "node-1".into(), group: 0, term: 7 };
        let flags = Flags(u16::from(index > 50));
        hour.block_mut(Step::MINUTE).add(&who, CellEntry { index, counts, flags });
    }
    hour
}

fn chunk(tier: Tier) -> Chunk {
    let mut chunk = Chunk::new(tier);
    for (slot, hour) in [hour_blocks(), busy_blocks(), bucket_blocks()].iter().enumerate() {
        let [_, writes, read_bytes, _] = rollup::of(hour, tier);
        chunk.set(2 * slot, Some(writes));
        chunk.set(60 + slot, Some(read_bytes));
    }
    chunk.set(31, Some(Entry::Uneven));
    chunk
}

fn shed_entries() -> Vec<ShedEntry> {
    let window = column(0).window;
    let held = [
        Held::Column { window, groups: [1, 2].into() },
        Held::Nothing,
        Held::Column { window, groups: [1, 2].into() },
        Held::Leave,
    ];
    let numbered = (1..).zip(held);
    let entry = |(at, held)| ShedEntry {
        wal_sequence: 300 + 2 * at,
        source: source(at as u8 % 2),
        sequence: at,
        held,
    };
    numbered.map(entry).collect()
}

fn created() -> LineageRecord {
    LineageRecord {
        id: Uuid::from_u128(7),
        range: KeyRange::all(),
        route: 1,
        group: 1,
        valid_from: Hlc::new(1_760_000_000_000, 3),
        valid_to: None,
        parents: Vec::new(),
        successor: None,
        proposal: [9; 16],
        cause: Cause::Create,
        version: 0,
    }
}

fn merged() -> LineageRecord {
    let parent = |start: &str, end: &str| {
        LineageRecord { range: range(start, end), ..created() }.as_parent()
    };
    LineageRecord {
        range: range("a", "m"),
        valid_to: Some(Hlc::new(1_760_000_600_000, 0)),
        parents: vec![parent("a", "g"), parent("g", "m")],
        successor: Some((2, 8)),
        cause: Cause::Merge,
        version: 12,
        ..created()
    }
}

fn keys() -> Vec<Seed> {
    let lineage = Uuid::from_u128(0x0197_7420_dc00_7000_83cb_469d_7667_bba3);
    let named = [
        ("range", Key::Range { lineage, hour: 488_888 }),
        (
            "rollup",
            Key::Rollup { tier: Tier::Hour, series: Series::Writes, hour: 488_888, chunk: 3 },
        ),
        ("coverage", Key::Coverage { hour: 488_888 }),
        ("index", Key::Index { hour: 488_888 }),
        ("lineage", Key::Lineage { lineage }),
        ("event", Key::Event { hlc: Hlc::new(1_760_000_000_000, 1) }),
        ("damaged", Key::Applied.quarantine()),
        ("applied", Key::Applied),
        ("member", Key::Member { node: "node-1".into() }),
        ("boot", Key::Boot { boot: lineage, node: "node-1".into() }),
        ("schema", Key::Schema),
        ("upgrade", Key::Upgrade),
        ("hlc", Key::Hlc),
        ("pin", Key::Pin { id: lineage }),
        ("freeze", Key::Freeze),
    ];
    named.into_iter().map(|(name, key)| ("key", name, key.encode(1))).collect()
}

fn pin() -> Pin {
    let runs = vec![488_880..=488_881, 488_888..=488_888];
    Pin {
        created: Hlc::new(1_760_000_000_000, 1),
        first_hour: 488_800,
        first_fine_hour: 488_880,
        last_hour: 488_888,
        range: range("a", "m"),
        note: "the outage".to_owned(),
        bytes: 70_000,
        lineages: [(Uuid::from_u128(7), runs), (Uuid::from_u128(8), Vec::new())].into(),
    }
}

fn marks() -> Vec<Seed> {
    let boot = BootMark {
        last_sequence: 3,
        last_window_end_ms: 1_760_000_100_000,
        touched_ms: 1_760_000_100_500,
        digests: [1, 2, u64::MAX].into(),
    };
    let why = FreezeReason::Parted(7_200_000);
    let freeze = Freeze { since_ms: 1_760_000_100_000, left_ms: 86_400_000, why };
    let named = [
        ("applied", Applied { index: 7, wal_sequence: 300 }.encode()),
        ("member", Member { spans: vec![(60_000, Some(120_000)), (180_000, None)] }.encode()),
        ("boot", boot.encode()),
        ("leader", LeaderEvent { node: "node-1".into(), term: 4 }.encode()),
        ("number", u64::MAX.encode()),
        ("upgrade", Upgrade { from: 1, to: 3, position: vec![0, 7] }.encode()),
        ("freeze", freeze.encode()),
        ("pin", pin().encode()),
    ];
    let which = |at: usize, value| [vec![at as u8], unsealed(value)].concat();
    let numbered = named.into_iter().enumerate();
    numbered.map(|(at, (name, value))| ("marks", name, which(at, value))).collect()
}

/// Histories for the graph (`fuzz/src/checks/graph.rs` says how they are read); the last two bytes of
/// an operation are its moment and its catalogue version.
const A_LIFE: [&[u8]; 12] = [
    &[0, 1, 1, 1, 0, 0, 1, 1],                      // create route 1 in group 1
    &[3, 0, 2, 0x40, 0x80, 0xC0, 2, 3, 4, 5, 1, 2], // split it at three keys
    &[7, 1, 0, 3, 1, 3],                            // merge the second and the third
    &[4, 1, 0, 0x61, 6, 7, 1, 4],                   // split the survivor
    &[15],                                          // restart
    &[9, 1, 5, 2, 8, 1, 5],                         // route 5 leaves for group 2
    &[10, 0, 7, 1, 0],                              // and arrives there
    &[11, 1, 2, 1, 6],                              // drop route 2
    &[12, 1, 2, 0, 0x40, 1, 0],                     // meet it again
    &[13, 1, 7, 1, 0],                              // another leader
    &[14, 1, 14, 2, 142, 0, 142, 3],                // the same again, then from another leader
    &[7, 0, 2, 9, 1, 0x3E],                         // merge all
];
const WHAT_IS_REFUSED: [&[u8]; 8] = [
    &[0, 1, 2, 1, 0, 0x80, 2, 0x80, 0, 1, 9], // create two routes
    &[0, 1, 1, 3, 0x40, 0xA0, 1, 10],         // overlaps both
    &[2, 1, 1, 2, 4, 0, 0x40, 5, 0x40, 0xC0, 1, 10], // a child outside
    &[6, 1, 2, 1, 1, 6, 0, 0, 1, 10],         // a parent named twice
    &[11, 1, 1, 1, 3],                        // decided too long ago
    &[1, 1, 1, 7, 0xE0, 0, 0xFF, 0xC1],       // the last moment there is
    &[1, 0, 1, 7, 0xE0, 0, 1, 0x3F],          // group 0
    &[11, 1, 2, 0xD0, 11],                    // a clock that went back
];
