use keyviz_lineage::{BucketPart, Step, Window};
use keyviz_query::{CellState, MatrixCell};
use uuid::Uuid;

use super::super::identity::identity_test::record;
use super::*;

#[test]
fn a_series_that_is_not_there_is_refused() {
    let of = |series| series_from_wire(series).ok();
    let all =
        [Series::Writes, Series::Reads, Series::Writes, Series::ReadBytes, Series::WriteBytes];
    assert_eq!([0, 1, 2, 3, 4].map(of), all.map(Some));
    assert_eq!(series_from_wire(5).unwrap_err().code(), tonic::Code::InvalidArgument);
    assert_eq!(of(-1), None);
}

fn cell(counted: u64, inherited: u64, flags: Flags) -> MatrixCell {
    MatrixCell { counted, inherited, flags, state: CellState::Measured, ..MatrixCell::default() }
}

fn matrix_row(aggregate: bool, cells: Vec<MatrixCell>) -> MatrixRow {
    MatrixRow {
        bucket_id: "route:2".to_owned(),
        range: KeyRange::new(*b"a", *b"").unwrap(),
        aggregate,
        routes: vec![2],
        route_count: if aggregate { 300 } else { 1 },
        groups: vec![1],
        lineage: (!aggregate).then(|| Uuid::from_u128(2)),
        closed: false,
        valid_from_ms: 0,
        valid_to_ms: None,
        cells: cells.into_iter().collect(),
    }
}

#[test]
fn values_are_what_is_shown_and_parallel_arrays_are_as_long_or_empty() {
    let exact = matrix_row(false, vec![cell(1, 2, Flags::INHERITED), cell(3, 0, Flags::NONE)]);
    let soft = matrix_row(true, vec![cell(1, 0, Flags::NONE), cell(u64::MAX, 1, Flags::SOFT)]);
    let matrix = Matrix {
        series: Series::Writes,
        step_ms: 100,
        recorded_step_ms: 100,
        tier: None,
        columns_ms: vec![100, 200],
        rows: vec![exact, soft],
        totals: vec![],
        warnings: vec![],
    };
    let graph = LineageGraph::from_records([record(2, 1, (200, None), vec![])]);
    let found = matrix_to_wire(&matrix, &Identity::new(&graph, &[]));
    assert_eq!(found.column_unix_ms, [100, 200]);
    let [exact, soft] = &found.rows[..] else { panic!("{found:?}") };
    assert_eq!((&exact.values[..], &exact.soft_columns[..]), (&[3, 3][..], &[][..]));
    assert_eq!((&exact.raft_group_ids[..], &exact.leader_terms[..]), (&[0, 1][..], &[0, 0][..]));
    assert_eq!((&exact.start[..], &exact.end[..]), (&b"a"[..], &b""[..]));
    assert!(!exact.route_ids_truncated && exact.lineage_id == Uuid::from_u128(2).to_string());
    assert_eq!(
        (&soft.values[..], &soft.soft_columns[..]),
        (&[1, u64::MAX][..], &[false, true][..])
    );
    assert!(soft.raft_group_ids.is_empty() && soft.leader_terms.is_empty());
    assert!(soft.route_ids_truncated && soft.lineage_id.is_empty());
}

fn counted(rows: Vec<Row>, buckets: Vec<Bucket>) -> Column {
    Column {
        window: Window::new(1_700_000_000_000, Step::from_ms(1_000).unwrap()).unwrap(),
        covered_from_ms: 1_700_000_000_000,
        covered_to_ms: 1_700_000_001_000,
        unattributed: 0,
        groups: vec![1],
        rows,
        buckets,
    }
}

#[test]
fn a_hosts_column_is_one_message_a_series() {
    let counts = Counts { writes: 5, write_bytes: 50, ..Counts::default() };
    let range = |start: &str, end: &str| KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap();
    let row =
        Row { route: 2, group: 1, term: 7, range: range("", "m"), counts, flags: Flags::SOFT };
    let part = |term, reads| BucketPart {
        group: 1,
        term,
        counts: Counts { reads, ..Counts::default() },
        flags: Flags::NONE,
    };
    let bucket = Bucket {
        group: 1,
        range: range("m", ""),
        members: vec![3, 4],
        member_count: 9,
        parts: vec![part(6, 10), part(7, 20)],
    };
    let graph = LineageGraph::from_records([record(2, 1, (0, None), vec![])]);
    let found = column_to_wire(&counted(vec![row], vec![bucket.clone()]), &graph);
    let series: Vec<_> = found.iter().map(|column| (column.series, column.rows.len())).collect();
    assert_eq!(series, [(1, 1), (2, 1), (4, 1)], "reads, writes, write bytes");
    let (reads, writes) = (&found[0].rows[0], &found[1].rows[0]);
    assert_eq!(reads.bucket_id, format!("virtual:{}", bucket.id()));
    assert_eq!(
        (&reads.values[..], reads.route_count, reads.route_ids_truncated),
        (&[30][..], 9, true)
    );
    assert!(reads.aggregate && reads.sample_roles.is_empty() && reads.leader_terms.is_empty());
    assert_eq!((&*writes.bucket_id, &writes.values[..]), ("route:2", &[5][..]));
    assert_eq!((&writes.raft_group_ids[..], &writes.leader_terms[..]), (&[1][..], &[7][..]));
    assert_eq!((&writes.soft_columns[..], &writes.sample_roles[..]), (&[true][..], &[1][..]));
    assert_eq!(writes.lineage_id, Uuid::from_u128(2).to_string());
    assert_eq!(found[1].column_unix_ms, 1_700_000_000_000);
}

#[test]
fn an_idle_column_is_news() {
    let found = column_to_wire(&counted(vec![], vec![]), &LineageGraph::from_records([]));
    let series: Vec<_> = found.iter().map(|column| (column.series, column.rows.len())).collect();
    assert_eq!(series, [(2, 0)]);
}
