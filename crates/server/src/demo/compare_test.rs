use keyviz_api::wire::history::ColumnTotals;

use super::*;

const FROM_MS: u64 = 10_000;
const TO_MS: u64 = 14_000;

fn key(route: u64, start: &[u8], end: &[u8]) -> RowKey {
    RowKey { range: KeyRange::new(start, end).unwrap(), route, group: 1 }
}

/// Two routes, of which the second is split into 3 and 4 at 12.5 s; the first window is short, the
/// last is not there.
fn ledger() -> Ledger {
    let keys = [key(1, b"", b"m"), key(2, b"m", b""), key(3, b"m", b"t"), key(4, b"t", b"")];
    let window = |covered_ms, rows: &[(usize, u64)]| Sums {
        columns: 1,
        covered_ms,
        unattributed: 3,
        rows: rows.iter().map(|&(at, n)| (keys[at].clone(), [n, 2 * n, 10 * n, 20 * n])).collect(),
    };
    Ledger {
        step_ms: 1_000,
        windows: BTreeMap::from([
            (10_000, window(400, &[(0, 1)])),
            (11_000, window(1_000, &[(1, 5)])),
            (12_000, window(1_000, &[(0, 7), (1, 2), (2, 3)])),
        ]),
        opened: keys.into_iter().collect(),
        ..Ledger::default()
    }
}

fn row(key: &RowKey, valid: (i64, i64), values: [u64; 4], states: [u8; 4]) -> MatrixRow {
    MatrixRow {
        bucket_id: format!("route:{}", key.route),
        start: key.range.start().to_vec().into(),
        end: key.range.end().to_vec().into(),
        route_ids: vec![key.route],
        raft_group_ids: vec![1],
        valid_from_unix_ms: valid.0,
        valid_to_unix_ms: valid.1,
        values: values.to_vec(),
        states: states.to_vec().into(),
        ..MatrixRow::default()
    }
}

/// What a node answers that holds exactly the ledger, in reads.
fn answer() -> GetMatrixResponse {
    GetMatrixResponse {
        step_ms: 1_000,
        column_unix_ms: vec![10_000, 11_000, 12_000, 13_000],
        rows: vec![
            row(&key(1, b"", b"m"), (9_000, 0), [1, 0, 7, 0], [PARTIAL, IDLE, MEASURED, MISSING]),
            row(
                &key(2, b"m", b""),
                (9_000, 12_500),
                [0, 5, 2, 0],
                [PENDING, MEASURED, MEASURED, NONEXISTENT],
            ),
            row(
                &key(3, b"m", b"t"),
                (12_500, 0),
                [0, 0, 3, 0],
                [NONEXISTENT, NONEXISTENT, MEASURED, MISSING],
            ),
            row(&key(4, b"t", b""), (12_500, 0), [0; 4], [NONEXISTENT, NONEXISTENT, IDLE, MISSING]),
        ],
        column_totals: Some(ColumnTotals {
            recorded: vec![1, 5, 12, 0],
            counted: vec![1, 5, 12, 0],
            inherited: vec![0; 4],
            unattributed: vec![3, 3, 3, 0],
        }),
        ..GetMatrixResponse::default()
    }
}

fn outcome(answer: &GetMatrixResponse) -> Outcome {
    let (ledger, mut outcome) = (ledger(), Outcome::default());
    compare(&ledger, Series::Reads, (FROM_MS, TO_MS), answer, &mut outcome);
    require_all(&ledger, Series::Reads, std::slice::from_ref(answer), &mut outcome);
    outcome
}

/// `(lost, wrong)` after `change`, and the first words.
fn after(change: impl FnOnce(&mut GetMatrixResponse)) -> (u64, u64, String) {
    let mut answer = answer();
    change(&mut answer);
    let outcome = outcome(&answer);
    assert!(!outcome.is_good());
    (outcome.lost, outcome.wrong, outcome.shown.into_iter().next().unwrap())
}

#[test]
fn an_exact_answer_is_good() {
    let outcome = outcome(&answer());
    assert_eq!(outcome, Outcome { cells: 5, ..Outcome::default() });
    assert!(outcome.is_good());
}

#[test]
fn values_are_compared_both_ways() {
    let (lost, _, words) = after(|answer| answer.rows[0].values[2] = 8);
    assert_eq!(lost, 1);
    assert_eq!(
        words,
        "reads of (-inf, m) route 1 at 1970-01-01T00:00:12.000Z: the host counted 7, keyviz has 8"
    );
    assert_eq!(after(|answer| answer.rows[0].values[1] = 1).0, 1, "nothing was counted there");
    assert_eq!(after(|answer| answer.rows[1].values[3] = 1).0, 1, "not even a column");
    let (lost, wrong, words) = after(|answer| drop(answer.rows.remove(1)));
    assert_eq!((lost, wrong), (2, 1), "{words}");
    assert!(words.contains("keyviz has no such row"), "{words}");
}

#[test]
fn another_series_is_compared_with_its_own_counts() {
    let (ledger, mut outcome) = (ledger(), Outcome::default());
    compare(&ledger, Series::WriteBytes, (FROM_MS, TO_MS), &answer(), &mut outcome);
    assert_eq!((outcome.cells, outcome.lost), (5, 5));
}

#[test]
fn rows_are_exactly_those_that_opened() {
    let (_, wrong, words) = after(|answer| drop(answer.rows.remove(3)));
    assert_eq!((wrong, words.as_str()), (1, "reads: [t, +inf) route 4 opened, but has no row"));
    let strange = row(&key(9, b"a", b"b"), (9_000, 0), [0; 4], [PARTIAL, IDLE, IDLE, MISSING]);
    let (lost, wrong, words) = after(|answer| answer.rows.push(strange));
    assert_eq!((lost, wrong, words.as_str()), (0, 1, "reads: row route:9 [a, b) was never opened"));
    let twice = answer().rows.remove(3);
    assert_eq!(after(|answer| answer.rows.push(twice)).1, 1);
    let (_, _, words) = after(|answer| answer.rows[0].aggregate = true);
    assert_eq!(words, "reads: row route:1 stands for several routes");
    let (_, wrong, words) = after(|answer| answer.rows[0].inherited = vec![0, 0, 1, 0]);
    assert_eq!((wrong, words.as_str()), (1, "reads: row route:1 inherits"));
    assert!(after(|answer| answer.rows[0].states = vec![0].into()).2.contains("not as long"));
}

#[test]
fn states_follow_the_ledgers_coverage() {
    for (row, column, state) in [
        (0, 0, MEASURED),
        (0, 1, PARTIAL),
        (0, 1, MISSING),
        (0, 1, NONEXISTENT),
        (0, 2, IDLE),
        (0, 3, IDLE),
        (1, 3, MEASURED),
        (2, 2, NONEXISTENT),
        (3, 2, PENDING),
        (3, 2, 77),
    ] {
        let (lost, wrong, words) = after(|answer| {
            let mut states = answer.rows[row].states.to_vec();
            states[column] = state;
            answer.rows[row].states = states.into();
        });
        assert_eq!((lost, wrong), (0, 1), "row {row} column {column} state {state}: {words}");
    }
}

#[test]
fn totals_columns_and_warnings_count() {
    let (_, wrong, words) =
        after(|answer| answer.column_totals.as_mut().unwrap().unattributed[1] = 4);
    assert_eq!(wrong, 1, "{words}");
    let (_, wrong, words) = after(|answer| answer.column_totals = None);
    assert_eq!(wrong, 4, "{words}");
    let (_, wrong, words) = after(|answer| answer.column_unix_ms.truncate(3));
    assert_eq!(
        (wrong, words.as_str()),
        (1, "reads: asked for 4 columns of 1000 ms, got 3 of 1000 ms")
    );
    let (_, _, words) = after(|answer| answer.warnings.push("a damaged hour".to_owned()));
    assert_eq!(words, "reads: keyviz warns: a damaged hour");
}

#[test]
fn only_the_first_differences_are_put_into_words() {
    let mut answer = answer();
    for row in &mut answer.rows {
        row.values = vec![999; 4];
    }
    let outcome = outcome(&answer);
    assert_eq!((outcome.lost, outcome.shown.len()), (16, SHOWN));
}
