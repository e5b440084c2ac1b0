use super::*;
use crate::query_cli::fixture_test::{matrix, row, split};

#[test]
fn totals_are_the_sums_of_the_answer() {
    let totals = totals(&split());
    assert_eq!(totals.values, 1 + 10 + 2 + 3 + 30 + 990 + 970 + 5 + 5);
    assert_eq!(totals.counted, totals.values);
    assert_eq!(totals.recorded, totals.counted + totals.inherited);
    assert_eq!(totals.inherited, 2_700);
    assert_eq!(totals.unattributed, 7);
}

#[test]
fn sums_do_not_wrap_and_parts_may_be_absent() {
    let mut answer = matrix(vec![row(b"a", b"b", &[1, 1])]);
    answer.rows[0].values = vec![u64::MAX, u64::MAX];
    answer.rows[0].inherited = vec![5];
    answer.column_totals = None;
    let totals = totals(&answer);
    assert_eq!(totals.values, 2 * u128::from(u64::MAX) - 5);
    assert_eq!(totals.counted, totals.values);
}

#[test]
fn an_unspecified_series_is_writes() {
    let mut answer = matrix(vec![]);
    answer.series = 0;
    assert_eq!((series(&answer), unit(&answer), is_bytes(&answer)), ("writes", "writes", false));
    answer.series = 3;
    assert_eq!(
        (series(&answer), unit(&answer), verb(&answer)),
        ("read_bytes", "bytes read", "read")
    );
}
