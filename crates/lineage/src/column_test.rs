use super::*;
use crate::Step;

fn row(route: RouteId, start: &[u8], end: &[u8]) -> Row {
    Row {
        route,
        group: 1,
        term: 0,
        range: KeyRange::new(start, end).unwrap(),
        counts: Counts { reads: 1, ..Counts::default() },
        flags: Flags::NONE,
    }
}

fn column(rows: Vec<Row>) -> Column {
    let window = Window::new(60_000, Step::MINUTE).unwrap();
    Column {
        window,
        covered_from_ms: 60_000,
        covered_to_ms: 120_000,
        unattributed: 0,
        groups: vec![1],
        rows,
        buckets: Vec::new(),
    }
}

#[test]
fn a_good_column_passes() {
    assert_eq!(column(vec![row(7, b"", b"m"), row(3, b"m", b"")]).validate(), Ok(()));
    assert_eq!(column(vec![]).validate(), Ok(()));
}

#[test]
fn every_violation_is_named() {
    let zero = column(vec![row(0, b"", b"")]).validate().unwrap_err();
    assert_eq!(zero, ColumnError::Zero { row: 0, what: "route" });
    let order = column(vec![row(1, b"m", b""), row(2, b"a", b"m")]).validate().unwrap_err();
    assert_eq!(order, ColumnError::Order { row: 1, route: 2 });
    let twice = column(vec![row(1, b"m", b""), row(1, b"m", b"")]).validate().unwrap_err();
    assert_eq!(twice, ColumnError::Order { row: 1, route: 1 });
    let mut unlisted = column(vec![row(1, b"m", b"")]);
    unlisted.groups = vec![2];
    assert!(matches!(unlisted.validate(), Err(ColumnError::UnlistedGroup { group: 1, .. })));
    unlisted.groups = vec![2, 2];
    assert!(matches!(unlisted.validate(), Err(ColumnError::Groups { index: 1, .. })));
    let long = vec![0xFF; MAX_KEY_BYTES];
    let wide = |route| row(route, b"", &long);
    let most = (MAX_COLUMN_KEY_BYTES / MAX_KEY_BYTES) as u64;
    assert_eq!(column((1..=most).map(wide).collect()).validate(), Ok(()));
    let large = column((0..=most).map(|at| wide(at + 1)).collect()).validate();
    let bytes = MAX_COLUMN_KEY_BYTES + MAX_KEY_BYTES;
    assert_eq!(large, Err(ColumnError::TooManyKeyBytes { bytes }));
    let mut covered = column(vec![]);
    covered.covered_to_ms = 1;
    assert!(matches!(covered.validate(), Err(ColumnError::Covered { .. })));
}

#[test]
fn any_covered_interval_can_be_judged() {
    let covered = |from_ms, to_ms| {
        let mut column = column(vec![]);
        (column.covered_from_ms, column.covered_to_ms) = (from_ms, to_ms);
        (column.validate(), column.is_short(), column.is_stretched())
    };
    assert_eq!(covered(60_000, 126_000), (Ok(()), false, false));
    assert_eq!(covered(60_000, 126_001), (Ok(()), false, true));
    assert_eq!(covered(0, u64::MAX), (Ok(()), false, true));
    assert_eq!(covered(u64::MAX, u64::MAX), (Ok(()), true, false));
}

#[test]
fn counts_saturate_and_say_so() {
    let mut counts = Counts { reads: u64::MAX - 1, ..Counts::default() };
    assert!(counts.add(&Counts { reads: 5, ..Counts::default() }));
    assert_eq!(counts.reads, u64::MAX);
}
