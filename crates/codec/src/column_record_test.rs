use keyviz_lineage::column::{MAX_COLUMN_KEY_BYTES, MAX_KEY_BYTES};
use keyviz_lineage::{BucketPart, KeyRange};
use proptest::prelude::*;

use super::*;

pub(super) fn source() -> SourceId {
    SourceId { node: "n1".into(), boot: Uuid::from_u128(5) }
}

fn column(rows: u64, seed: u64) -> Column {
    let key =
        |i: u64| if i == 0 || i == rows { Vec::new() } else { format!("user:{i:05}").into_bytes() };
    let row = |i: u64| Row {
        route: i + 1,
        group: 1 + i % 2,
        term: seed % 3,
        range: KeyRange::new(key(i), key(i + 1)).unwrap(),
        counts: Counts { reads: seed ^ i, writes: i, read_bytes: u64::MAX - i, write_bytes: 0 },
        flags: Flags((i % 5) as u16),
    };
    Column {
        window: Window::new(120_000, Step::MINUTE).unwrap(),
        covered_from_ms: 119_000,
        covered_to_ms: 180_000,
        unattributed: seed,
        groups: vec![1, 2],
        rows: (0..rows).map(row).collect(),
        buckets: Vec::new(),
    }
}

/// The same with buckets that share bounds with the rows, and members and parts of their own.
pub(super) fn with_buckets(rows: u64, buckets: u64, seed: u64) -> Column {
    let key = |i: u64| format!("user:{i:05}").into_bytes();
    let part = |term: u64| BucketPart {
        group: 1 + term % 2,
        term,
        counts: Counts { reads: seed, writes: term, read_bytes: 0, write_bytes: u64::MAX - term },
        flags: Flags((seed % 3) as u16),
    };
    let bucket = |i: u64| {
        let mut parts: Vec<BucketPart> = (0..(seed ^ i) % 5).map(part).collect();
        parts.sort_by_key(|part| (part.group, part.term));
        Bucket {
            group: 1 + i % 2,
            range: KeyRange::new(key(i * 3), key(i * 3 + 2)).unwrap(),
            members: (1..=(seed % 257)).map(|member| member * (1 + i)).collect(),
            member_count: 300 + i,
            parts,
        }
    };
    Column { buckets: (0..buckets).map(bucket).collect(), ..column(rows, seed) }
}

/// The bytes of a column whose `rows` rows all end at one key, which is spelled `copies` times.
fn unfolding(key_bytes: usize, copies: u64, rows: u64) -> Vec<u8> {
    let mut out = Writer::default();
    put_origin(&mut out, VERSION, &source(), 1);
    [0, 60_000, 0, 120_000, 0, 1, 1].into_iter().for_each(|field| out.uint(field));
    out.uint(rows);
    let mut places = Writer::default();
    places.uint(copies);
    let lengths = [key_bytes as u64].into_iter().chain((1..copies).map(|_| 0));
    packed::put(&lengths.collect::<Vec<_>>(), Kind::Dense, &mut places);
    let shared = [0].into_iter().chain((1..copies).map(|_| key_bytes as u64));
    packed::put(&shared.collect::<Vec<_>>(), Kind::Plain, &mut places);
    places.raw(&vec![b'k'; key_bytes]);
    let same = |value: u64| vec![value; rows as usize];
    packed::put(&same(0), Kind::Ordered, &mut places); // starts
    packed::put(&same(1), Kind::Plain, &mut places); // ends
    packed::put(&(1..=rows).collect::<Vec<_>>(), Kind::Ordered, &mut places);
    packed::put(&same(1), Kind::Plain, &mut places); // groups
    out.prefixed(&places.bytes);
    for kind in [Kind::Plain, Kind::Plain, Kind::Dense, Kind::Plain, Kind::Plain, Kind::Plain] {
        packed::put(&same(0), kind, &mut out);
    }
    out.uint(0);
    out.bytes
}

#[test]
fn a_small_record_cannot_unfold_to_a_large_column() {
    let most = (MAX_COLUMN_KEY_BYTES / MAX_KEY_BYTES) as u64;
    let rows_of = |bytes: &[u8]| decode(bytes).map(|(_, _, column)| column.rows.len() as u64);
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES, 1, most)), Ok(most));
    let large = Err(invalid("keys of more than 64 MiB together"));
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES, 1, most + 1)), large);
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES, most + 1, 1)), large);
    let long = Err(invalid("a bound of more than 65,536 bytes"));
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES + 1, 1, 1)), long);
}

#[test]
fn a_skip_mark_comes_back() {
    let payload = encode_skip(&source(), 9);
    assert_eq!(decode_skip(&payload), Ok((source(), 9)));
    (0..payload.len()).for_each(|cut| assert!(decode_skip(&payload[..cut]).is_err()));
}

#[test]
fn a_newer_version_is_told() {
    let mut record = encode(&source(), 1, &with_buckets(9, 1, 4));
    assert_eq!(record[0], VERSION);
    record[0] += 1;
    assert!(matches!(decode(&record), Err(CodecError::Version { found: 4, known: 3, .. })));
    record[0] = old::WITH_BUCKETS;
    assert!(matches!(ColumnRecord::parse(&record), Err(CodecError::Version { found: 2, .. })));
}

#[test]
fn ranges_that_follow_each_other_take_no_bytes_to_say_so() {
    let mut column = column(1_000, 4);
    column.rows.iter_mut().for_each(|row| (row.group, row.term) = (1, 1));
    let record = encode(&source(), 1, &column);
    let record = ColumnRecord::parse(&record).unwrap();
    // A key is five digits, of which one or two change; its bytes and its two lengths.
    assert!(record.places().len() < 1_000 * 5, "{}", record.places().len());
    // What differs is who has the rows.
    column.rows.iter_mut().for_each(|row| row.counts.reads += 1);
    column.window = Window::new(180_000, Step::MINUTE).unwrap();
    let next = encode(&source(), 2, &column);
    assert_eq!(ColumnRecord::parse(&next).unwrap().places(), record.places());
    column.rows[7].route = 70_000;
    let other = encode(&source(), 3, &column);
    assert_ne!(ColumnRecord::parse(&other).unwrap().places(), record.places());
}

#[test]
fn ranges_in_any_order_come_back() {
    let range = |start: &str, end: &str| KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap();
    let ranges = [("", ""), ("", "b"), ("a", "c"), ("a", "c"), ("b", ""), ("b", "c"), ("c", "d")];
    let mut column = column(ranges.len() as u64, 1);
    for (row, (start, end)) in column.rows.iter_mut().zip(ranges) {
        row.range = range(start, end);
    }
    column.rows.sort_by(|a, b| a.order().cmp(&b.order()));
    let record = encode(&source(), 1, &column);
    assert_eq!(decode(&record), Ok((source(), 1, column)));
}

#[test]
fn malformed_buckets_are_refused() {
    let refused = |spoil: fn(&mut Bucket)| {
        let mut column = with_buckets(3, 2, 9);
        spoil(&mut column.buckets[1]);
        decode(&encode(&source(), 1, &column)).unwrap_err()
    };
    let wrong: [fn(&mut Bucket); 4] = [
        |b| b.group = 9,
        |b| b.member_count = 1,
        |b| b.parts.push(b.parts[0].clone()),
        |b| b.members[0] = 0,
    ];
    for spoil in wrong {
        assert_eq!(refused(spoil), invalid("a malformed column"));
    }
    let crowded = refused(|b| b.members = (1..=257).collect());
    assert_eq!(crowded, invalid("a list that is too long"));
}

proptest! {
    #[test]
    fn round_trip_and_every_cut(rows in 0u64..40, buckets in 0u64..9, seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let column = with_buckets(rows, buckets, seed);
        column.validate().unwrap();
        let payload = encode(&source(), seed, &column);
        prop_assert_eq!(&*of_this_version(&payload).unwrap(), &payload[..]);
        prop_assert_eq!(decode(&payload).unwrap(), (source(), seed, column.clone()));
        let record = ColumnRecord::parse(&payload).unwrap();
        let cells = Cells::parse(record.cells(), record.rows()).unwrap();
        let (mut reader, mut tile) = (cells.reader(), CellTile::default());
        for rows in column.rows.chunks(8) {
            reader.read(rows.len(), &mut tile);
            for (at, row) in rows.iter().enumerate() {
                prop_assert_eq!(tile.cell(at), (row.counts, row.flags));
                prop_assert_eq!(tile.term(at), row.term);
            }
        }
        prop_assert!(decode(&payload[..cut.index(payload.len())]).is_err());
    }

    #[test]
    fn noise_never_panics(mut payload in prop::collection::vec(any::<u8>(), 1..300)) {
        payload[0] = VERSION;
        let _ = decode(&payload);
    }

    #[test]
    fn spoiled_records_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), seed in any::<u64>()) {
        let mut payload = encode(&source(), 1, &with_buckets(20, 6, seed));
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = decode(&payload);
    }
}
