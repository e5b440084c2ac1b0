//! Small answers, made by hand.

use keyviz_api::wire::history::{ColumnTotals, GetMatrixResponse, MatrixRow, Series};
use keyviz_lineage::Flags;

/// 2026-11-20 16:00:00 UTC.
pub(crate) const START_MS: i64 = 1_795_190_400_000;

/// A row `[start, end)` with these values; 0 is idle.
pub(crate) fn row(start: &[u8], end: &[u8], values: &[u64]) -> MatrixRow {
    MatrixRow {
        bucket_id: "route:1".into(),
        start: start.to_vec().into(),
        end: end.to_vec().into(),
        route_ids: vec![1],
        route_count: 1,
        lineage_id: "01977420-dc00-7000-83cb-469d7667bba3".into(),
        raft_group_ids: vec![1],
        valid_from_unix_ms: START_MS,
        values: values.to_vec(),
        states: values.iter().map(|&value| u8::from(value == 0)).collect(),
        ..MatrixRow::default()
    }
}

/// An answer of one-minute windows.
pub(crate) fn matrix(rows: Vec<MatrixRow>) -> GetMatrixResponse {
    let columns = rows.first().map_or(0, |row| row.states.len());
    let sum = |pick: fn(&MatrixRow, usize) -> u64| {
        (0..columns)
            .map(|column| rows.iter().map(|row| pick(row, column)).sum())
            .collect::<Vec<u64>>()
    };
    let inherited = sum(|row, column| row.inherited.get(column).copied().unwrap_or(0));
    let values = sum(|row, column| row.values[column]);
    let counted: Vec<u64> =
        values.iter().zip(&inherited).map(|(value, part)| value - part).collect();
    GetMatrixResponse {
        series: Series::Writes.into(),
        step_ms: 60_000,
        recorded_step_ms: 60_000,
        tier: "finest".to_owned(),
        column_unix_ms: (0..columns as i64).map(|column| START_MS + column * 60_000).collect(),
        column_totals: Some(ColumnTotals {
            recorded: counted.clone(),
            counted,
            inherited,
            unattributed: vec![0; columns],
        }),
        flag_names: Flags::NAMES.iter().map(|(_, name)| (*name).to_owned()).collect(),
        status: "OK".into(),
        warnings: Vec::new(),
        rows,
    }
}

/// A row with these states, one letter each: measured, idle, missing (`x`), partial, pending (`w`),
/// nonexistent (`-`).
pub(crate) fn with_states(mut row: MatrixRow, letters: &str) -> MatrixRow {
    let number = |letter| "mixpw-".find(letter).expect("a state's letter") as u8;
    row.states = letters.chars().map(number).collect();
    row
}

/// A hot range that was split in two after three minutes: its halves inherit what it had. Then a
/// minute that nobody recorded, one that is partial, and one that is still pending in part.
pub(crate) fn split() -> GetMatrixResponse {
    let inherited = Flags::INHERITED.0.into();
    let half = |start: &[u8], end: &[u8], values: &[u64], states: &str| {
        let mut row = with_states(row(start, end, values), states);
        row.inherited = values[..3].to_vec();
        row.inherited.resize(values.len(), 0);
        row.flags = vec![inherited; 3];
        row.flags.resize(values.len(), 0);
        row
    };
    let mut matrix = matrix(vec![
        with_states(row(b"", b"m", &[1, 10, 0, 0, 2, 3]), "mmixmm"),
        half(b"m", b"s", &[900, 1_000, 800, 0, 30, 0], "mmmxpw"),
        half(b"s", b"t", &[900, 1_000, 800, 0, 990, 970], "mmmxmm"),
        with_states(row(b"t", b"", &[0, 0, 0, 0, 5, 5]), "---xmm"),
    ]);
    if let Some(totals) = &mut matrix.column_totals {
        // Each source once, not once for each half.
        totals.inherited = vec![900, 1_000, 800, 0, 0, 0];
        totals.recorded =
            totals.counted.iter().zip(&totals.inherited).map(|(a, b)| a + b).collect();
        totals.unattributed = vec![0, 7, 0, 0, 0, 0];
    }
    matrix
}
