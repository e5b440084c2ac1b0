use super::*;

#[test]
fn everything_happens_in_order_in_runs_of_any_length() {
    for seconds in [15, 20, 60, 61, 600, 86_400] {
        let at = Schedule::of(seconds);
        let moments = [at.sweep, at.split, at.kill, at.merge, at.restart, at.end];
        assert!(moments.is_sorted_by(|a, b| a < b), "{at:?}");
        assert!(at.end - at.restart > Duration::from_secs(4), "{at:?}");
        assert!(at.restart - at.kill >= Duration::from_secs(2), "{at:?}");
    }
}

#[test]
fn a_minute() {
    let at = Schedule::of(60);
    let seconds =
        [at.sweep, at.split, at.kill, at.merge, at.restart, at.end].map(|at| at.as_secs_f64());
    assert_eq!(seconds, [15.0, 22.5, 33.0, 34.0, 36.0, 60.0]);
}
