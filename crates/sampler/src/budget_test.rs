use keyviz_lineage::{Counts, Step};
use proptest::prelude::*;

use super::*;
use crate::{Op, Sampler, Settings, total};

fn key(at: u64) -> Vec<u8> {
    if at == 0 { Vec::new() } else { at.to_be_bytes().to_vec() }
}

fn range(at: u64) -> KeyRange {
    KeyRange::new(key(at), key(at + 1)).unwrap()
}

/// A sampler of so many routes (numbered from 1 in key order) within a budget.
fn sampler(routes: u64, tracked_routes: usize) -> Sampler {
    let settings = Settings { tracked_routes, ..Settings::default() };
    let sampler = Sampler::with_settings(Step::from_ms(1_000).unwrap(), 0, settings);
    for route in 1..=routes {
        sampler.register(route, 1 + route % 3, range(route - 1));
    }
    sampler
}

fn observe(sampler: &Sampler, route: u64, times: u64) {
    (0..times).for_each(|_| sampler.observe(route, b"k", Op::Write, 1));
}

proptest! {
    /// V1, V2 and no traffic dropped, whatever is hot and whatever comes and goes.
    #[test]
    fn rows_keep_within_the_budget_and_nothing_is_lost(
        routes in 1..60_u64,
        most in 1..40_usize,
        traffic in prop::collection::vec(prop::collection::vec((1..60_u64, 1..9_u64), 0..30), 1..14),
        removed in prop::collection::vec(1..60_u64, 0..20),
        split in prop::collection::vec(prop::option::of(1..60_u64), 0..20),
    ) {
        let sampler = sampler(routes, most);
        let mut now_ms = 0;
        let (mut gone, mut children) = (Vec::new(), Vec::new());
        for (window, observed) in traffic.iter().enumerate() {
            if let Some(&route) = removed.get(window) {
                sampler.remove(route, now_ms);
                gone.push(route);
            }
            if let Some(&Some(route)) = split.get(window)
                && route <= routes
                && !gone.contains(&route)
            {
                sampler.remove(route, now_ms);
                gone.push(route);
                let middle = [&(route - 1).to_be_bytes()[..], &[0x80]].concat();
                let child = 1_000 + 2 * window as u64;
                let (low, high) =
                    (KeyRange::new(key(route - 1), middle.clone()), KeyRange::new(middle, key(route)));
                sampler.register(child, 1, low.unwrap());
                sampler.register(child + 1, 1, high.unwrap());
                children.extend([child, child + 1]);
            }
            now_ms += 10_000;
            let mut all = children.len() as u64;
            children.iter().for_each(|&child| observe(&sampler, child, 1));
            for &(route, times) in observed {
                observe(&sampler, route, times);
                all += times;
            }
            let column = sampler.flush(now_ms);
            prop_assert_eq!(column.validate(), Ok(()));
            prop_assert_eq!(total(&column).writes + column.unattributed, all);
            let live = || column.rows.iter().filter(|row| !gone.contains(&row.route));
            prop_assert!(live().count() + column.buckets.len() <= most);
            for pair in column.buckets.windows(2) {
                prop_assert!(!pair[0].range.overlaps(&pair[1].range));
            }
            for row in live() {
                prop_assert!(column.buckets.iter().all(|bucket| !bucket.range.overlaps(&row.range)));
            }
        }
    }
}

#[test]
fn hot_routes_keep_their_rows_and_cold_neighbours_go_together() {
    let sampler = sampler(400, 40);
    for window in 1..=30 {
        for hot in [50, 51, 300] {
            observe(&sampler, hot, 500);
        }
        (1..=400).for_each(|route| observe(&sampler, route, 1));
        let column = sampler.flush(window * 1_000);
        let rows: Vec<_> = column.rows.iter().map(|row| (row.route, row.counts.writes)).collect();
        for hot in [50, 51, 300] {
            assert!(rows.contains(&(hot, 501)), "window {window}: {rows:?}");
        }
        let members: u64 = column.buckets.iter().map(|bucket| bucket.member_count).sum();
        assert_eq!(members as usize + rows.len(), 400);
        assert!(rows.len() + column.buckets.len() <= 40);
    }
    let coalesced = sampler.coalesced();
    assert!(!coalesced.is_empty() && coalesced.iter().all(|one| one.routes > 1));
}

#[test]
fn a_bucket_tells_all_of_its_members_and_lists_some() {
    let sampler = sampler(600, 1);
    (1..=600).for_each(|route| observe(&sampler, route, 1));
    let bucket = &sampler.flush(1_000).buckets[0];
    assert_eq!((bucket.member_count, bucket.members.len()), (600, 256));
    assert_eq!(bucket.range, KeyRange::new(key(0), key(600)).unwrap());
    let parts: Vec<_> = bucket.parts.iter().map(|part| (part.group, part.counts.writes)).collect();
    assert_eq!(parts, [(1, 200), (2, 200), (3, 200)]);
}

#[test]
fn a_change_of_leadership_is_two_parts_of_a_bucket() {
    let sampler = sampler(4, 1);
    sampler.lead(1, Some(6));
    sampler.flush(1_000);
    observe(&sampler, 3, 2);
    sampler.lead(1, Some(7));
    observe(&sampler, 3, 1);
    let column = sampler.flush(2_000);
    let parts = column.buckets[0].parts.iter().map(|part| (part.term, part.counts));
    let counts = |writes| Counts { writes, write_bytes: 2 * writes, ..Counts::default() };
    assert!(parts.eq([(6, counts(2)), (7, counts(1))]));
}

#[test]
fn rows_do_not_flap_and_a_member_that_gets_hot_has_its_row_back() {
    let sampler = sampler(100, 40);
    let mut names = Vec::new();
    for window in 1..=40_u64 {
        // Noise that changes which of two like routes is the warmer one.
        (1..=100).for_each(|route| observe(&sampler, route, 2 + (route * window) % 2));
        let column = sampler.flush(window * 1_000);
        names.push(column.buckets.iter().map(|bucket| bucket.range.clone()).collect::<Vec<_>>());
    }
    let changes = names.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 4, "{changes} changes in 40 windows");
    let inside = sampler.coalesced()[0].range.start().to_vec();
    let hot =
        if inside.is_empty() { 1 } else { u64::from_be_bytes(inside.try_into().unwrap()) + 1 };
    let mut rows = Vec::new();
    for window in 41..=41 + PLAN_WINDOWS {
        observe(&sampler, hot, 1_000);
        rows = sampler.flush(window * 1_000).rows;
    }
    assert!(rows.iter().any(|row| row.route == hot));
}

#[test]
fn when_routes_go_away_every_route_has_its_row_again() {
    let sampler = sampler(60, 40);
    sampler.flush(1_000);
    assert!(!sampler.coalesced().is_empty());
    (31..=60).for_each(|route| sampler.remove(route, 1_000));
    (1..=30).for_each(|route| observe(&sampler, route, 1));
    let column = sampler.flush(20_000);
    assert_eq!((column.rows.len(), column.buckets.len()), (30, 0));
    assert!(sampler.coalesced().is_empty());
}
