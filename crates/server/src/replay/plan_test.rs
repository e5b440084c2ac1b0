//! Windows, shifts and identities.

use super::*;

const NOW_MS: u64 = 1_800_000_007_654;

fn shape(shift_to_now: bool) -> Shape<'static> {
    Shape {
        step: Step::from_ms(10_000).unwrap(),
        group: 1,
        node: "n".to_owned(),
        digest_text: "options",
        now_ms: NOW_MS,
        shift_to_now,
        max_windows: 1_000,
    }
}

fn routes(boundaries: &[&[u8]]) -> Routes {
    let keys: Vec<Vec<u8>> = boundaries.iter().map(|key| key.to_vec()).collect();
    Routes::between(&keys).unwrap()
}

fn plan_of(bytes: &[u8], span_ms: (u64, u64), routes: Routes, shape: Shape<'_>) -> Plan {
    let moment = |time_ms| Moment { time_ms, line: 2 };
    let digest = Digest256::new_with_prefix(bytes);
    Plan::new((moment(span_ms.0), moment(span_ms.1)), routes, digest, shape).unwrap()
}

fn plan(shape: Shape<'_>) -> Plan {
    plan_of(b"bytes", (12_345, 40_000), routes(&[b"m"]), shape)
}

#[test]
fn windows_reach_from_the_first_access_to_the_last() {
    let plan = plan(shape(false));
    assert_eq!((plan.first_ms, plan.windows, plan.shift_ms), (10_000, 4, 0));
    assert_eq!(plan.start_ms(3), 40_000);
    let windows = [9_999, 10_000, 19_999, 20_000, 49_999, 50_000].map(|at| plan.window_of(at));
    assert_eq!(windows, [None, Some(0), Some(0), Some(1), Some(3), None]);
    assert_eq!(plan.creation().hlc, Hlc::new(10_000, 0));
}

#[test]
fn a_trace_from_the_very_beginning_has_an_hlc_of_its_own() {
    let plan = plan_of(b"", (0, 5), routes(&[]), shape(false));
    assert_eq!((plan.first_ms, plan.creation().hlc), (0, Hlc(1)));
}

#[test]
fn a_shift_moves_whole_windows_to_the_last_complete_one() {
    for (first_ms, last_ms) in [(12_345, 40_000), (NOW_MS + 86_400_000, NOW_MS + 86_430_000)] {
        let plan = plan_of(b"", (first_ms, last_ms), routes(&[]), shape(true));
        assert_eq!(plan.start_ms(plan.windows), 1_800_000_000_000);
        assert_eq!(plan.shift_ms % 10_000, 0);
        assert_eq!(plan.window_of(first_ms), Some(0));
        assert_eq!(plan.window_of(last_ms), Some(plan.windows - 1));
    }
}

#[test]
fn times_that_cannot_be_are_errors() {
    let fails = |first_ms, last_ms, shape: Shape<'_>| {
        let span = (Moment { time_ms: first_ms, line: 3 }, Moment { time_ms: last_ms, line: 7 });
        Plan::new(span, routes(&[]), Digest256::default(), shape).unwrap_err()
    };
    let error = fails(0, u64::MAX, shape(false));
    assert!(matches!(error, ReplayError::TimeTooLarge { line: 7, .. }), "{error}");
    let error = fails(0, 10_000_000, shape(false));
    assert!(matches!(error, ReplayError::TooManyWindows { windows: 1_001, .. }), "{error}");
    let error = fails(NOW_MS, NOW_MS + 400_000, shape(false));
    assert!(matches!(error, ReplayError::Future { line: 7, .. }), "{error}");
    let early = Shape { now_ms: 25_000, ..shape(true) };
    assert!(matches!(fails(0, 40_000, early), ReplayError::CannotShift));
}

#[test]
fn everything_that_shapes_the_columns_is_in_the_identity() {
    let changed = [
        plan_of(b"byteS", (12_345, 40_000), routes(&[b"m"]), shape(false)),
        plan_of(b"bytes", (12_345, 40_000), routes(&[b"n"]), shape(false)),
        plan_of(b"bytes", (12_345, 40_000), routes(&[b"m", b"n"]), shape(false)),
        plan(Shape { digest_text: "other options", ..shape(false) }),
        plan(Shape { step: Step::from_ms(20_000).unwrap(), ..shape(false) }),
        plan(Shape { group: 2, ..shape(false) }),
        plan(Shape { node: "m".to_owned(), ..shape(false) }),
        plan(shape(true)),
        plan(Shape { now_ms: NOW_MS + 10_000, ..shape(true) }),
    ];
    let same = plan(Shape { now_ms: NOW_MS + 1, max_windows: 5, ..shape(false) });
    assert_eq!(same.source, plan(shape(false)).source);
    assert_eq!(same.creation(), plan(shape(false)).creation());
    let mut seen = vec![same];
    for plan in changed {
        for other in &seen {
            assert_ne!(plan.source.boot, other.source.boot);
            assert_ne!(plan.creation().proposal, other.creation().proposal);
        }
        seen.push(plan);
    }
    let (now, later) = (shape(true), Shape { now_ms: NOW_MS + 1, ..shape(true) });
    assert_eq!(plan(now).source, plan(later).source, "within one window it is the same trace");
}

#[test]
fn the_identity_does_not_change_between_builds() {
    let plan = plan(shape(false));
    assert_eq!(plan.source.boot.to_string(), "bae1b645-505c-ac08-0574-be8f99911f12");
    assert_eq!(hex::encode(plan.proposal), "20b516705f8e7371c09d844297d76bca");
}
