use std::sync::atomic::AtomicBool;
use std::thread;

use keyviz_lineage::{Counts, Flags};

use super::*;
use crate::total;

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap()
}

fn second() -> Step {
    Step::from_ms(1_000).unwrap()
}

#[test]
fn counts_arrive_in_key_order_and_idle_routes_are_left_out() {
    let sampler = Sampler::new(second(), 10_000);
    sampler.register(1, 1, range("m", ""));
    let low = sampler.register(2, 1, range("", "c"));
    sampler.register(3, 1, range("c", "m"));
    low.observe(b"ab", Op::Write, 10);
    sampler.observe(1, b"xyz", Op::Read, 0);
    sampler.observe(99, b"?", Op::Read, 0);
    let column = sampler.flush(11_003);
    assert_eq!(column.window.start_ms, 10_000);
    assert_eq!((column.covered_from_ms, column.covered_to_ms), (10_000, 11_000));
    assert_eq!(column.unattributed, 1);
    let rows: Vec<_> = column.rows.iter().map(|row| (row.route, row.counts)).collect();
    assert_eq!(
        rows,
        [
            (2, Counts { writes: 1, write_bytes: 12, ..Counts::default() }),
            (1, Counts { reads: 1, read_bytes: 3, ..Counts::default() }),
        ]
    );
    assert_eq!(column.validate(), Ok(()));
    let idle = sampler.flush(12_000);
    assert!(idle.rows.is_empty() && idle.groups == [1]);
}

#[test]
fn sums_stay_at_the_top_and_say_so() {
    let sampler = Sampler::new(second(), 0);
    let handle = sampler.register(1, 1, KeyRange::all());
    handle.observe(b"", Op::Read, u64::MAX - 1);
    handle.observe(b"", Op::Read, 5);
    let row = &sampler.flush(1_000).rows[0];
    assert_eq!((row.counts.read_bytes, row.flags), (u64::MAX, Flags::SATURATED));
}

#[test]
fn a_late_or_short_flush_says_what_it_covered() {
    let sampler = Sampler::new(second(), 10_000);
    let late = sampler.flush(13_100);
    assert_eq!((late.window.start_ms, late.covered_to_ms - late.covered_from_ms), (12_000, 3_100));
    assert!(late.is_stretched());
    let last = sampler.flush_partial(13_400);
    assert_eq!((last.window.start_ms, last.is_short()), (13_000, true));
}

#[test]
fn a_removed_route_is_drained_while_a_handle_lives() {
    let sampler = Sampler::new(second(), 0);
    let handle = sampler.register(1, 1, KeyRange::all());
    sampler.remove(1, 500);
    sampler.flush(1_000);
    handle.observe(b"k", Op::Write, 0);
    for second in 2..20 {
        sampler.flush(second * 1_000);
    }
    handle.observe(b"k", Op::Write, 0);
    assert_eq!(
        total(&sampler.flush(20_000)).writes,
        1,
        "long past the grace, the handle still counts"
    );
    drop(handle);
    sampler.flush(21_000);
    assert!(sampler.lock().registry.tracked.is_empty());
}

#[test]
fn registering_again_inside_the_grace_keeps_the_counters() {
    let sampler = Sampler::new(second(), 0);
    let old = sampler.register(1, 1, KeyRange::all());
    sampler.remove(1, 100);
    let new = sampler.register(1, 1, KeyRange::all());
    old.observe(b"", Op::Read, 0);
    new.observe(b"", Op::Read, 0);
    let column = sampler.flush(1_000);
    assert_eq!((column.rows.len(), column.rows[0].counts.reads), (1, 2));
}

#[test]
fn a_change_of_leadership_cuts_the_row() {
    let sampler = Sampler::new(second(), 0);
    sampler.lead(1, Some(4));
    let handle = sampler.register(1, 1, KeyRange::all());
    handle.observe(b"", Op::Write, 0);
    sampler.lead(1, Some(5));
    handle.observe(b"", Op::Write, 0);
    handle.observe(b"", Op::Write, 0);
    let column = sampler.flush(1_000);
    let rows: Vec<_> = column.rows.iter().map(|row| (row.term, row.counts.writes)).collect();
    assert_eq!(rows, [(4, 1), (5, 2)]);
    assert_eq!(column.validate(), Ok(()));
}

/// Route, term, writes, whether it says that its leader was stale.
fn led(column: &Column) -> Vec<(u64, u64, u64, bool)> {
    assert_eq!(column.validate(), Ok(()));
    let is_stale = |row: &keyviz_lineage::Row| row.flags.has(Flags::STALE_LEADER);
    column.rows.iter().map(|row| (row.route, row.term, row.counts.writes, is_stale(row))).collect()
}

#[test]
fn a_lost_lease_makes_what_was_led_in_this_window_and_the_last_stale() {
    let sampler = Sampler::new(second(), 0);
    let write = |route: u64| sampler.observe(route, b"k", Op::Write, 0);
    sampler.lead(1, Some(4));
    sampler.lead(2, Some(9));
    for (route, group, start, end) in [(1, 1, "", "c"), (2, 1, "c", "m"), (3, 2, "m", "")] {
        sampler.register(route, group, range(start, end));
    }
    // Two windows ago, nothing is stale.
    (1..=3).for_each(write);
    sampler.flush(1_000);
    // The last one: route 1 under two terms, route 2 read only.
    write(1);
    sampler.lead(1, Some(5));
    write(1);
    sampler.observe(2, b"k", Op::Read, 0);
    write(3);
    assert_eq!(
        led(&sampler.flush(2_000)),
        [(1, 4, 1, false), (1, 5, 1, false), (2, 5, 0, false), (3, 9, 1, false)]
    );
    // This one: before and after the loss, and after another lead.
    write(1);
    let column = sampler.lose_lease(1).unwrap();
    assert_eq!(led(&column), [(1, 4, 0, true), (1, 5, 0, true)]);
    assert_eq!(column.window.start_ms, 1_000);
    assert_eq!((column.covered_from_ms, column.covered_to_ms), (2_000, 2_000));
    assert_eq!(sampler.lose_lease(1), None, "it was said");
    sampler.lead(1, None);
    write(1);
    write(3);
    assert_eq!(
        led(&sampler.flush(3_000)),
        [(1, 0, 1, false), (1, 5, 1, true), (3, 9, 1, false)],
        "what is not led is not stale"
    );
    write(3);
    assert_eq!(led(&sampler.flush(4_000)), [(3, 9, 1, false)]);
    assert_eq!(sampler.lose_lease(1), None, "nothing was led");
}

#[test]
fn a_lost_lease_reaches_routes_that_are_reported_together() {
    let settings = Settings { tracked_routes: 1, ..Settings::default() };
    let sampler = Sampler::with_settings(second(), 0, settings);
    sampler.lead(1, Some(4));
    sampler.register(1, 1, range("", "c"));
    sampler.register(2, 2, range("c", "m"));
    sampler.register(3, 1, range("m", ""));
    (1..=3).for_each(|route| sampler.observe(route, b"k", Op::Write, 0));
    let before = &sampler.flush(1_000).buckets;
    let column = sampler.lose_lease(1).unwrap();
    assert_eq!(column.validate(), Ok(()));
    let [bucket] = &column.buckets[..] else { panic!("{column:?}") };
    let keys = |bucket: &keyviz_lineage::Bucket| (bucket.range.clone(), bucket.members.clone());
    assert_eq!(keys(bucket), keys(&before[0]));
    let parts: Vec<_> =
        bucket.parts.iter().map(|part| (part.group, part.term, part.flags)).collect();
    assert_eq!(parts, [(1, 4, Flags::STALE_LEADER)]);
    assert_eq!(total(&column), Counts::default());
}

#[test]
fn nothing_is_lost_while_routes_come_and_go_under_load() {
    const OBSERVES: u64 = 200_000;
    let sampler = Arc::new(Sampler::new(second(), 0));
    sampler.register(1, 1, KeyRange::all());
    let done = Arc::new(AtomicBool::new(false));
    let churn = thread::spawn({
        let (sampler, done) = (Arc::clone(&sampler), Arc::clone(&done));
        move || {
            let (mut counted, mut now_ms) = (0, 0);
            loop {
                let last = done.load(Ordering::Acquire);
                now_ms += 1_000;
                sampler.remove(1, now_ms);
                sampler.register(
                    1,
                    1,
                    if now_ms % 3_000 == 0 { range("", "m") } else { KeyRange::all() },
                );
                let column = sampler.flush(now_ms);
                counted += total(&column).writes + column.unattributed;
                if last {
                    return counted;
                }
            }
        }
    });
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let sampler = Arc::clone(&sampler);
            thread::spawn(move || {
                (0..OBSERVES).for_each(|_| sampler.observe(1, b"k", Op::Write, 1));
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    done.store(true, Ordering::Release);
    assert_eq!(churn.join().unwrap(), 4 * OBSERVES);
}
