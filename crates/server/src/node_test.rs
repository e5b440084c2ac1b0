//! A pinned window is drawn as it was, long after its retention; what was not pinned in it is not drawn
//! as idle.

use std::sync::Arc;

use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Column, Counts, Entry, Flags, HOUR_MS, KeyRange, Row, Series, SourceId, Step, Window,
};
use keyviz_query::{CellState, Continuity, Matrix, MatrixRequest, RowSet, matrix};
use keyviz_replica::{Progress, Recorder, RecorderConfig, Verdict};
use uuid::Uuid;

const START_MS: u64 = 1_700_000_000_000 - 1_700_000_000_000 % HOUR_MS;

fn row(route: u64, start: &str, end: &str, writes: u64) -> Row {
    let range = KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap();
    let counts = Counts { writes, ..Counts::default() };
    Row { route, group: 1, term: 1, range, counts, flags: Flags::NONE }
}

fn column(minute: u64, rows: Vec<Row>) -> Entry {
    let start_ms = START_MS + minute * 60_000;
    Entry::Column(Column {
        window: Window::new(start_ms, Step::MINUTE).unwrap(),
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 60_000,
        unattributed: 0,
        groups: vec![1],
        rows,
        buckets: Vec::new(),
    })
}

fn ask(recorder: &Recorder, (from_ms, to_ms): (u64, u64)) -> Matrix {
    let request = MatrixRequest {
        series: Series::Writes,
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        range: KeyRange::all(),
        rows: None,
        step: Some(Step::MINUTE),
        row_set: RowSet::AsOfTo,
        continuity: Continuity::Inherit,
    };
    let view = recorder.view().unwrap();
    matrix(&view, view.graph(), &request).unwrap()
}

/// The states of a row's cells, without repetition, and their sum.
fn shown(matrix: &Matrix, row: usize) -> (Vec<CellState>, u64) {
    let cells = &matrix.rows[row].cells;
    let mut states: Vec<CellState> = cells.iter().map(|cell| cell.state).collect();
    states.dedup();
    (states, cells.iter().map(|cell| cell.counted).sum())
}

#[test]
fn what_is_pinned_is_drawn_as_it_was_and_what_is_not_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 2 * HOUR_MS));
    let config = RecorderConfig {
        retention_ms: 4 * HOUR_MS,
        rollup_retention_ms: 24 * HOUR_MS,
        ..RecorderConfig::new(folder.path())
    };
    let recorder = Recorder::open(config, Arc::clone(&clock) as _, &Progress::default()).unwrap();
    let source = SourceId { node: "n1".into(), boot: Uuid::from_u128(1) };
    for minute in 0..120 {
        // Both have traffic in the first minute only.
        let rows = match minute {
            0 => vec![row(1, "", "m", 5), row(2, "m", "", 7)],
            _ => Vec::new(),
        };
        let taken = block_on(recorder.submit(source.clone(), minute + 1, Ok(column(minute, rows))));
        assert!(matches!(taken, Verdict::Stored { .. }), "{taken:?}");
    }
    let hour = (START_MS, START_MS + HOUR_MS);
    let before = ask(&recorder, hour);
    let idle = (vec![CellState::Measured, CellState::Idle], 5);
    assert_eq!((shown(&before, 0), shown(&before, 1).1), (idle.clone(), 7));
    let keys = KeyRange::new(*b"a", *b"b").unwrap();
    recorder.pin(hour, keys, "the first range".into()).unwrap();
    clock.advance(10 * HOUR_MS);
    // Who recorded is still known, so what is gone must not pass for idle.
    let after = ask(&recorder, hour);
    assert_eq!(shown(&after, 0), idle, "{:?}", after.warnings);
    assert_eq!(shown(&after, 1), (vec![CellState::Missing], 0));
    let next = ask(&recorder, (hour.1, hour.1 + HOUR_MS));
    assert_eq!(shown(&next, 0), (vec![CellState::Missing], 0), "the hour behind it is not pinned");
    clock.advance(1_000 * HOUR_MS);
    assert_eq!(shown(&ask(&recorder, hour), 0), idle);
    // A span that is pinned in part is partial where columns are coarser.
    let part = ask(&recorder, (hour.0, hour.1 + 10 * 60_000));
    assert_eq!(shown(&part, 0).0, [CellState::Measured, CellState::Idle, CellState::Missing]);
}
