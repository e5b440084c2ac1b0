use super::*;
use crate::query_cli::fixture_test::{START_MS, row};

fn lines(from_unix_ms: i64, span_ms: i64, columns: usize) -> [String; 3] {
    TimeAxis { from_unix_ms, to_unix_ms: from_unix_ms + span_ms, columns }.lines()
}

#[test]
fn an_hour_on_sixty_characters() {
    let [rule, times, dates] = lines(START_MS, HOUR_MS, 60);
    assert_eq!(rule, "┬─────────┬─────────┬─────────┬─────────┬─────────┬─────────");
    assert_eq!(times, "16:00   16:10     16:20     16:30     16:40     16:50");
    assert_eq!(dates, "Fri 2026-11-20 UTC");
}

#[test]
fn the_date_is_said_where_it_changes() {
    let [rule, times, dates] = lines(START_MS, 24 * HOUR_MS, 48);
    assert_eq!(rule, "────┬───────────┬───────────┬───────────┬───────");
    assert_eq!(times, "  18:00       00:00       06:00       12:00");
    assert_eq!(
        dates, "              Sat 2026-11-21 UTC",
        "no room for both: the one that is complete"
    );
    let [_, _, dates] = lines(START_MS, 24 * HOUR_MS, 96);
    assert_eq!(dates, "Fri 2026-11-20 UTC            Sat 2026-11-21");
}

#[test]
fn weeks_have_days_and_seconds_have_seconds() {
    let [_, times, dates] = lines(START_MS, 7 * DAY_MS, 100);
    assert_eq!(
        times.split_whitespace().collect::<Vec<_>>().join(" "),
        "Nov 21 Nov 22 Nov 23 Nov 24 Nov 25 Nov 26 Nov 27"
    );
    assert_eq!(dates, "2026 UTC");
    let [_, times, _] = lines(START_MS, 30 * SECOND_MS, 60);
    assert!(times.contains("16:00:10"), "{times}");
}

#[test]
fn ticks_stand_at_their_moment() {
    for (span_ms, columns) in
        [(HOUR_MS, 59), (7 * DAY_MS, 61), (90 * SECOND_MS, 140), (400 * DAY_MS, 33)]
    {
        let axis = TimeAxis {
            from_unix_ms: START_MS + 1_234,
            to_unix_ms: START_MS + 1_234 + span_ms,
            columns,
        };
        let (step_ms, ticks) = axis.ticks();
        assert!(!ticks.is_empty());
        for tick in ticks {
            assert_eq!(tick.unix_ms % step_ms, 0);
            let left = axis.from_unix_ms + span_ms * tick.column as i64 / columns as i64;
            let right = axis.from_unix_ms + span_ms * (tick.column as i64 + 1) / columns as i64;
            assert!((left..=right).contains(&tick.unix_ms));
        }
    }
}

#[test]
fn no_axis_is_longer_than_the_picture_and_no_time_breaks_it() {
    let mut spans = vec![(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 0), (0, 1), (-5, 5)];
    spans.extend((0..40).map(|power| (START_MS, START_MS + (1 << power))));
    for (from_unix_ms, to_unix_ms) in spans {
        for columns in 0..120 {
            for line in (TimeAxis { from_unix_ms, to_unix_ms, columns }).lines() {
                assert!(
                    key_text::width(&line) <= columns,
                    "{from_unix_ms} {to_unix_ms} {columns}: {line:?}"
                );
            }
        }
    }
}

#[test]
fn rows_are_labelled_with_their_first_key() {
    let mut first = row(b"", b"m", &[1]);
    assert_eq!(row_label(&first, 10), "-inf");
    assert_eq!(end_label(&first, 10), "m");
    first.closed = true;
    assert_eq!(row_label(&first, 10), "†-inf");
    let last = row(b"customer:0000000042", b"", &[1]);
    assert_eq!(row_label(&last, 11), "custo…00042");
    assert_eq!(end_label(&last, 10), "+inf");
}
