use super::*;

#[test]
fn grows_when_the_wall_stands_still_or_jumps_back() {
    let mut clock = HlcClock::default();
    let a = clock.next(1_000);
    let b = clock.next(1_000);
    let c = clock.next(10);
    let d = clock.next(1_001);
    assert_eq!(
        (a, b, c, d),
        (Hlc::new(1_000, 0), Hlc::new(1_000, 1), Hlc::new(1_000, 2), Hlc::new(1_001, 0))
    );
}

#[test]
fn the_logical_part_carries_into_the_milliseconds() {
    let mut clock = HlcClock::after(Hlc::new(5, u16::MAX));
    assert_eq!(clock.next(5), Hlc::new(6, 0));
}

#[test]
fn a_batch_is_consecutive() {
    let mut clock = HlcClock::default();
    let first = clock.reserve(7, 3);
    assert_eq!((first, clock.next(7)), (Hlc::new(7, 0), Hlc::new(7, 3)));
}

#[test]
fn a_value_from_the_far_future_is_refused_and_leaves_no_trace() {
    let mut clock = HlcClock::default();
    assert!(clock.observe(0, Hlc::new(MAX_AHEAD_MS, 9)).is_ok());
    let before = clock.last();
    assert!(matches!(
        clock.observe(0, Hlc::new(MAX_AHEAD_MS + 1, 0)),
        Err(HlcError::TooFarAhead { ahead_ms, .. }) if ahead_ms == MAX_AHEAD_MS + 1
    ));
    assert_eq!(clock.last(), before);
}
