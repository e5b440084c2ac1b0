use proptest::prelude::*;

use super::*;

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..1_000_u64, Just(u64::MAX), any::<u64>()]
}

fn any_counts() -> impl Strategy<Value = Counts> {
    [any_count(), any_count(), any_count(), any_count()].prop_map(
        |[reads, writes, read_bytes, write_bytes]| Counts {
            reads,
            writes,
            read_bytes,
            write_bytes,
        },
    )
}

fn range(n: u8) -> KeyRange {
    KeyRange::new([n], [n + 1]).unwrap()
}

fn any_row() -> impl Strategy<Value = Row> {
    (1..9_u64, 1..3_u64, 0..3_u64, 0..4_u8, any_counts(), 0..4_u16).prop_map(
        |(route, group, term, n, counts, flags)| Row {
            route,
            group,
            term,
            range: range(n),
            counts,
            flags: Flags(flags),
        },
    )
}

fn any_bucket() -> impl Strategy<Value = Bucket> {
    let part = (1..3_u64, any::<u64>(), any_counts(), any::<u16>()).prop_map(
        |(group, term, counts, flags)| BucketPart { group, term, counts, flags: Flags(flags) },
    );
    (1..3_u64, 0..4_u8, prop::collection::vec(1..9_u64, 0..3), prop::collection::vec(part, 0..3))
        .prop_map(|(group, n, members, parts)| {
            let member_count = members.len() as u64 + u64::from(n);
            Bucket { group, range: range(n), members, member_count, parts }
        })
}

fn any_column() -> impl Strategy<Value = Column> {
    (
        (any::<bool>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>()),
        prop::collection::vec(1..4_u64, 0..3),
        prop::collection::vec(any_row(), 0..12),
        prop::collection::vec(any_bucket(), 0..3),
    )
        .prop_map(|((is_minute, at, from, to, unattributed), groups, rows, buckets)| {
            let step = if is_minute { Step::MINUTE } else { Step::from_ms(1_000).unwrap() };
            let window = Window { start_ms: u64::from(at) * step.ms(), step };
            let (covered_from_ms, covered_to_ms) = (from, to);
            Column { window, covered_from_ms, covered_to_ms, unattributed, groups, rows, buckets }
        })
}

proptest! {
    /// Y1 and Y2, whatever the columns hold.
    #[test]
    fn the_newest_columns_come_back_as_they_were(
        columns in prop::collection::vec(any_column(), 0..40),
        capacity in 1..50_usize,
    ) {
        let mut history = History::new(capacity);
        for (pushed, column) in columns.iter().enumerate() {
            history.push(column);
            prop_assert_eq!(history.len(), (pushed + 1).min(capacity));
        }
        let kept = &columns[columns.len() - history.len()..];
        prop_assert_eq!(history.columns().collect::<Vec<_>>(), kept);
    }

    #[test]
    fn numbers_come_back(n in any::<u64>()) {
        let mut bytes = Vec::new();
        put(&mut bytes, n);
        prop_assert_eq!(get(&mut &bytes[..]), n);
        prop_assert_eq!(unzigzag(zigzag(n)), n);
    }
}

/// Columns of `routes` routes with some noise, minute after minute.
fn day(routes: u64, columns: u64) -> impl Iterator<Item = Column> {
    let mut state = 7_u64;
    let mut noise = move |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    (0..columns).map(move |minute| {
        let rows = (1..=routes).map(|route| {
            let (reads, writes) = (3_000 / route + noise(20), noise(20));
            let counts = Counts {
                reads,
                writes,
                read_bytes: reads * 120 + noise(200),
                write_bytes: writes * 130,
            };
            let range = KeyRange::new(route.to_be_bytes(), (route + 1).to_be_bytes()).unwrap();
            Row { route, group: 1, term: 3, range, counts, flags: Flags::NONE }
        });
        let window = Window { start_ms: minute * 60_000, step: Step::MINUTE };
        Column {
            window,
            covered_from_ms: window.start_ms,
            covered_to_ms: window.end_ms(),
            unattributed: 0,
            groups: vec![1],
            rows: rows.collect(),
            buckets: Vec::new(),
        }
    })
}

#[test]
fn a_day_takes_little_room_and_old_blocks_go() {
    let mut history = History::default();
    for column in day(100, 1_600) {
        history.push(&column);
    }
    assert_eq!(history.len(), 1_440);
    assert!(history.columns().eq(day(100, 1_600).skip(160)));
    let cells = 1_440 * 100 * 4;
    assert!(history.coded_bytes() < cells * 3 / 2, "{} bytes", history.coded_bytes());
    assert!(history.blocks.len() <= 25, "Y3");
}

#[test]
fn the_capacity_is_kept_within_its_limits() {
    assert_eq!(History::new(0).capacity, 1);
    assert_eq!(History::new(usize::MAX).capacity, MAX_HISTORY_COLUMNS);
}
