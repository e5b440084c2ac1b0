//! Times two things in turns and prints how they compare.

use std::time::Instant;

use serde_json::json;

const ROUNDS: usize = 9;

/// The median seconds of `subject` and of `baseline`, run in turns.
pub(crate) fn paired(subject: impl FnMut(), baseline: impl FnMut()) -> (f64, f64) {
    paired_in(ROUNDS, subject, baseline)
}

/// As [`paired`], in so many rounds.
pub(crate) fn paired_in(
    rounds: usize,
    mut subject: impl FnMut(),
    mut baseline: impl FnMut(),
) -> (f64, f64) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(time(&mut subject));
        theirs.push(time(&mut baseline));
    }
    (median(ours), median(theirs))
}

/// The fewest seconds of `subject` and of `baseline`, run in turns so many times: of work that takes a
/// moment, what it takes when nothing else happens.
pub(crate) fn fastest_in(
    rounds: usize,
    mut subject: impl FnMut(),
    mut baseline: impl FnMut(),
) -> (f64, f64) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let mut fastest = (f64::INFINITY, f64::INFINITY);
    for _ in 0..rounds {
        fastest = (fastest.0.min(time(&mut subject)), fastest.1.min(time(&mut baseline)));
    }
    fastest
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One line of the report whose baseline is the goal of design.md: a ratio of at most 1 meets it.
pub(crate) fn goal(bench: &str, value: f64, unit: &str, goal: f64) {
    line(&format!("{bench}, baseline the goal"), value, unit, goal);
}

/// One line of the report.
pub(crate) fn line(bench: &str, value: f64, unit: &str, baseline: f64) {
    let ratio = value / baseline;
    println!(
        "{}",
        json!({ "bench": bench, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio })
    );
}
