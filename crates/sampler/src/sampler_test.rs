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
