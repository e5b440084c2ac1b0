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

#[test]
fn one_split_and_one_merge_happen_at_the_moments_of_old() {
    let at = Schedule::of(60);
    let acts = [
        (at.split, Act::Split),
        (at.kill, Act::Kill),
        (at.merge, Act::Merge),
        (at.restart, Act::Restart),
    ];
    assert_eq!(at.acts(FEW), acts);
}

#[test]
fn many_transitions_are_spread_over_the_run_and_some_fall_into_the_outage() {
    for (seconds, transitions) in [(60, 30), (15, 3), (20, 31), (600, 300)] {
        let at = Schedule::of(seconds);
        let acts = at.acts(transitions);
        let count = |act| acts.iter().filter(|(_, one)| *one == act).count() as u32;
        assert_eq!(count(Act::Split), transitions.div_ceil(2));
        assert_eq!(count(Act::Merge), transitions / 2);
        assert_eq!(count(Act::Move), transitions / (2 * SPLITS_A_MOVE));
        assert_eq!((count(Act::Kill), count(Act::Restart)), (1, 1));
        assert!(acts.is_sorted_by_key(|(at, _)| *at), "{acts:?}");
        assert!(acts.iter().all(|(moment, _)| *moment < at.end), "{acts:?}");
    }
    let at = Schedule::of(60);
    let away = at.kill..at.restart;
    let told_later = at.acts(30).iter().filter(|(moment, _)| away.contains(moment)).count();
    assert!(told_later >= 2, "the kill and a transition");
}
