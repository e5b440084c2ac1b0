use super::*;

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let (mut mix, mut batch) = (Mix::new(Schedule::of(60)), Batch::default());
        for tick in 0..20 {
            mix.tick(TICK * tick, &mut batch);
        }
        format!("{batch:?}")
    };
    assert_eq!(run(), run());
}

#[test]
fn it_is_about_ten_thousand_commands_a_second() {
    let mut mix = Mix::new(Schedule::of(60));
    let mut batch = Batch::default();
    for tick in 0..(60.0 / TICK.as_secs_f64()) as u32 {
        mix.tick(TICK * tick, &mut batch);
    }
    assert!((500_000..800_000).contains(&batch.commands()), "{}", batch.commands());
}

#[test]
fn the_hotspot_sweeps_over_its_table_and_is_in_the_middle_at_the_split() {
    let schedule = Schedule::of(60);
    let at = |seconds: f64| hottest_key(&schedule, Duration::from_secs_f64(seconds));
    assert_eq!(at(0.0), "order:000000");
    assert_eq!(at(3.75), "order:250000");
    assert_eq!(at(14.999), "order:999933");
    assert_eq!(at(18.75), "order:250000");
    assert_eq!(hottest_key(&schedule, schedule.split), "order:500000");
}

#[test]
fn random_numbers_stay_in_their_bounds() {
    let mut random = SplitMix64(0);
    // The reference's first output for seed 0.
    assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
    assert!((0..10_000).all(|_| (0.0..1.0).contains(&random.unit()) && random.below(3) < 3));
    assert_eq!(random.below(1), 0);
}
