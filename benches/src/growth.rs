//! How costs grow, one axis at a time; the axis' value is in the name of the bench.
//!
//! - ranges: 1,000 to 1,000,000 for an hour, 10,000 a group, each range as busy as in the week's store;
//! - days: 1 to 90 of 1,000 ranges (a full 10,000 x 90 d takes half an hour; costs are told for 10,000
//!   range-hours);
//! - nodes: 1 to 16 that report the same 10,000 ranges for an hour, reads spread over them, all writes
//!   at the first.
//!
//! The baseline of each line is the same figure at the axis' first value, for as much of it: a ratio of
//! 1 is linear, less is better than that. `KEYVIZ_BENCH_GROWTH=<part of a name>` picks some.

use std::time::Instant;

use crate::filled::{FIRST_HOUR, Filling, Outcome, Size};
use crate::questions::{self, Stored};
use crate::workload::Load;
use crate::{machine, report};

const SLOW_MS: f64 = 1_000.0;
/// Part of the names of the points to measure.
const PICKED: &str = "KEYVIZ_BENCH_GROWTH";

/// Costs at one place of an axis.
struct Point {
    /// Of 10,000 ranges' hour, ms.
    write_cpu: f64,
    /// Of a range's hour.
    bytes: f64,
    /// Of the last hour, all ranges, 60 s: ms for 10,000 ranges.
    last_hour: f64,
    /// Of everything stored, all ranges, 1 h or coarser: ms for 10,000 range-hours.
    everything: f64,
}

pub(crate) fn run() -> Outcome<()> {
    let size = |ranges, hours, nodes| Size { load: Load { ranges, scale: 1.0 }, hours, nodes };
    let ranges = [1_000, 10_000, 100_000, 1_000_000];
    axis(ranges.map(|ranges| (format!("{ranges} ranges x 1 h"), size(ranges, 1, 1))))?;
    let days = [1, 7, 30, 90];
    axis(days.map(|days| (format!("1,000 ranges x {days} days"), size(1_000, days * 24, 1))))?;
    let nodes = [1, 2, 4, 8, 16];
    axis(
        nodes.map(|nodes| (format!("10,000 ranges x 1 h, nodes: {nodes}"), size(10_000, 1, nodes))),
    )
}

fn axis<const N: usize>(sizes: [(String, Size); N]) -> Outcome<()> {
    let picked = std::env::var(PICKED).unwrap_or_default();
    let mut points = Vec::new();
    for (name, size) in sizes.into_iter().filter(|(name, _)| name.contains(&picked)) {
        points.push((name, measure(size)?));
        tell(&points);
    }
    Ok(())
}

/// The last of the points.
fn tell(points: &[(String, Point)]) {
    let (Some((_, first)), Some((name, last))) = (points.first(), points.last()) else { return };
    let line = |what: &str, value: f64, unit: &str, baseline: f64| {
        report::line(
            &format!("growth: {name}: {what}, baseline the axis' first"),
            value,
            unit,
            baseline,
        );
    };
    line("write CPU of 10,000 range-hours", last.write_cpu, "ms", first.write_cpu);
    line("on disk, a range's hour", last.bytes, "bytes", first.bytes);
    line("last hour of all, for 10,000 ranges", last.last_hour, "ms", first.last_hour);
    line("all of it by the hour, for 10,000 range-hours", last.everything, "ms", first.everything);
}

fn measure(size: Size) -> Outcome<Point> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut filling = Filling::start(&data, size)?;
    for hour in FIRST_HOUR..FIRST_HOUR + size.hours {
        filling.hour(hour, 1)?;
    }
    let write_cpu = filling.take_figures()?.write_cpu;
    let stored = Stored::of(&data, filling);
    let bytes = machine::bytes_of(&data, ".sst")? as f64;
    let recorder = stored.open()?;
    let median = |request| -> Outcome<f64> {
        let requests = [request];
        let start = Instant::now();
        let answers = questions::ask(&recorder, &requests)?;
        let mut times = vec![start.elapsed().as_secs_f64() * 1e3];
        questions::check(&stored, &requests[0], &answers[0])?;
        // The first one warms up, unless it is so slow that this does not matter.
        let rounds = if times[0] > SLOW_MS { 0 } else { 5 };
        for _ in 0..rounds {
            let start = Instant::now();
            drop(questions::ask(&recorder, &requests)?);
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(report::median(times))
    };
    let last_hour = median(questions::last_hour(size))?;
    let everything = median(questions::all_by_the_hour(size))?;
    let range_hours = (size.ranges() * size.hours) as f64;
    Ok(Point {
        write_cpu: write_cpu * 1e3 * 1e4 / range_hours,
        bytes: bytes / range_hours,
        last_hour: last_hour * 1e4 / size.ranges() as f64,
        everything: everything * 1e4 / range_hours,
    })
}
