use super::*;

#[test]
fn a_step_divides_an_hour_or_is_whole_hours_of_a_day() {
    for ms in [1_000, 2_000, 10_000, 60_000, 600_000, HOUR_MS, 2 * HOUR_MS, 24 * HOUR_MS] {
        assert_eq!(Step::from_ms(ms).unwrap().ms(), ms);
    }
    for ms in [0, 1, 999, 7_000, 3_601_000, 5 * HOUR_MS, 48 * HOUR_MS] {
        assert_eq!(Step::from_ms(ms), Err(StepError::Uneven { step_ms: ms }));
    }
    assert!(Step::recordable_from_ms(600_000).is_ok());
    assert_eq!(
        Step::recordable_from_ms(900_000),
        Err(StepError::TooLongToRecord { step_ms: 900_000 })
    );
}

#[test]
fn a_flush_belongs_to_the_window_that_ends_nearest() {
    let step = Step::MINUTE;
    assert_eq!(step.window_ending_near(120_000).start_ms, 60_000);
    assert_eq!(step.window_ending_near(120_007).start_ms, 60_000);
    assert_eq!(step.window_ending_near(119_990).start_ms, 60_000);
    assert_eq!(step.window_ending_near(89_999).start_ms, 0);
}

#[test]
fn the_automatic_step_is_the_finest_that_fits() {
    let minute = Step::MINUTE;
    let auto = |hours: u64| Step::auto(minute, 0, hours * HOUR_MS).ms();
    assert_eq!(auto(24), 60_000);
    assert_eq!(auto(25), 60_000); // 1,500 columns exactly
    assert_eq!(auto(26), 120_000);
    assert_eq!(auto(7 * 24), 600_000);
    assert_eq!(auto(90 * 24), 7_200_000);
    let second = Step::from_ms(1_000).unwrap();
    assert_eq!(Step::auto(second, 0, 1_500_000).ms(), 1_000);
    assert_eq!(Step::auto(second, 0, 1_501_000).ms(), 120_000);
}

#[test]
fn ceil_and_floor_stay_on_the_grid() {
    let step = Step::from_ms(10_000).unwrap();
    assert_eq!(
        (step.floor(19_999), step.ceil(10_001), step.ceil(10_000)),
        (10_000, 20_000, 10_000)
    );
    assert_eq!(step.ceil(u64::MAX) % 10_000, 0);
    assert!(Window::new(10_001, step).is_err());
}
