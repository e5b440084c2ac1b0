//! What every command counts, and on which range.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use keyviz_lineage::{Column, Counts, KeyRange};

use crate::dispatch::{Dispatcher, Session};
use crate::error::HostError;
use crate::harness_test::{TestHost, strings};
use crate::reply::Reply;

/// Each case runs on a store that holds `num` = 5 (a number) and `txt` = abcd.
#[test]
fn each_command_counts_what_it_offers() {
    let mut host = TestHost::new();
    let long = "x".repeat(100);
    // Command, reads, writes, bytes read, bytes written.
    let cases = [
        ("GET txt", 1, 0, 3 + 4, 0),
        ("GET none", 1, 0, 4, 0),
        ("MGET txt none num txt", 4, 0, 7 + 4 + 4 + 7, 0),
        ("EXISTS txt txt none", 3, 0, 3 + 3 + 4, 0),
        ("STRLEN txt", 1, 0, 3, 0),
        ("TTL txt", 1, 0, 3, 0),
        ("PTTL none", 1, 0, 4, 0),
        ("TYPE txt", 1, 0, 3, 0),
        ("SET new abc", 0, 1, 0, 6),
        ("SET txt abc NX", 0, 1, 0, 6),
        ("SET none abc XX GET", 0, 1, 0, 7),
        ("SET txt abc GET", 0, 1, 0, 6),
        ("SETNX txt abc", 0, 1, 0, 6),
        ("SETEX txt 9 abc", 0, 1, 0, 6),
        ("PSETEX txt 9 abc", 0, 1, 0, 6),
        ("GETSET txt abc", 0, 1, 0, 6),
        ("GETDEL txt", 0, 1, 0, 3),
        ("MSET a 1 bb 22 a 1", 0, 3, 0, 2 + 4 + 2),
        ("MSETNX txt 1 a 1", 0, 2, 0, 4 + 2),
        ("DEL txt none txt", 0, 3, 0, 3 + 4 + 3),
        ("UNLINK txt", 0, 1, 0, 3),
        ("INCR num", 0, 1, 0, 3),
        ("INCRBY num 1000000", 0, 1, 0, 3),
        ("DECR num", 0, 1, 0, 3),
        ("DECRBY num 1", 0, 1, 0, 3),
        ("INCR txt", 0, 1, 0, 3),
        ("APPEND txt efg", 0, 1, 0, 6),
        ("EXPIRE txt 9", 0, 1, 0, 3),
        ("PEXPIRE none 9", 0, 1, 0, 4),
        ("PERSIST txt", 0, 1, 0, 3),
        // Not parsed: reaches no range.
        ("GET", 0, 0, 0, 0),
        ("SET txt abc EX 0", 0, 0, 0, 0),
        ("INCRBY num x", 0, 0, 0, 0),
        ("MSET a 1 b", 0, 0, 0, 0),
        ("NONSENSE txt", 0, 0, 0, 0),
        // Reserved.
        ("GET !admin|x", 0, 0, 0, 0),
        ("MGET txt !admin|x", 1, 0, 7, 0),
        ("EXISTS !admin|x", 0, 0, 0, 0),
        ("SET !admin|x v", 0, 0, 0, 0),
        ("MSET a 1 !admin|x v", 0, 0, 0, 0),
        ("DEL a !admin|x", 0, 0, 0, 0),
        // Scans and the rest.
        ("SCAN 0", 0, 0, 0, 0),
        ("KEYS *", 0, 0, 0, 0),
        ("DBSIZE", 0, 0, 0, 0),
        ("INFO", 0, 0, 0, 0),
        ("PING", 0, 0, 0, 0),
        ("RANGES", 0, 0, 0, 0),
        ("FLUSHALL", 0, 0, 0, 0),
        ("SPLIT m", 0, 0, 0, 0),
        ("MERGE a", 0, 0, 0, 0),
    ];
    for (line, reads, writes, read_bytes, write_bytes) in cases {
        host.run("FLUSHALL");
        host.run("MSET num 5 txt abcd");
        host.counted();
        host.run(line);
        assert_eq!(host.counted(), (reads, writes, read_bytes, write_bytes), "{line}");
    }
    host.words(&["SET", "key", &long]);
    assert_eq!(host.counted(), (0, 1, 0, 103));
}

#[test]
fn keys_count_on_the_range_that_holds_them() {
    let mut host = TestHost::with(&["g", "n"], 1);
    host.run("MSET a 1 h 22 z 333 b 1");
    host.run("MGET a g n z");
    let seen: Vec<(u64, u64, u64, u64)> = host
        .column()
        .rows
        .iter()
        .map(|row| (row.route, row.term, row.counts.reads, row.counts.writes))
        .collect();
    assert_eq!(seen, [(1, 1, 1, 2), (2, 1, 1, 1), (3, 1, 2, 1)]);
    let range = |route, start: &str, end: &str, reads, writes| {
        let mut fields = vec![Reply::Int(route)];
        fields.extend([Reply::bulk(start.to_owned()), Reply::bulk(end.to_owned())]);
        fields.extend([Reply::Int(1), Reply::Int(reads), Reply::Int(writes)]);
        Reply::Array(fields)
    };
    let expected = vec![range(1, "", "g", 1, 2), range(2, "g", "n", 1, 1), range(3, "n", "", 2, 1)];
    assert_eq!(host.run("RANGES"), Reply::Array(expected));
}

#[test]
fn a_split_moves_later_counts_to_the_children() {
    let mut host = TestHost::new();
    host.run("SET a 1");
    assert_eq!(host.run("SPLIT m"), Reply::Array(vec![Reply::Int(2), Reply::Int(3)]));
    host.run("SET a 1");
    host.run("SET z 1");
    let rows: Vec<(u64, String, u64)> = host
        .column()
        .rows
        .iter()
        .map(|row| (row.route, row.range.to_string(), row.counts.writes))
        .collect();
    let all = |route, keys: &str, writes| (route, keys.to_owned(), writes);
    assert_eq!(rows, [all(1, "(-inf, +inf)", 1), all(2, "(-inf, m)", 1), all(3, "[m, +inf)", 1)]);
    assert_eq!(host.run("MERGE c"), Reply::Int(4));
    host.run("SET a 1");
    assert_eq!(host.column().rows[0].route, 4);
}

#[test]
fn refused_changes_say_why() {
    let mut host = TestHost::with(&["m"], 2);
    for (line, expected) in [
        (
            "SPLIT m",
            "ERR SPLIT: \"m\" is the start of range 2 already; split at a key inside a range",
        ),
        (
            "SPLIT !admin|x",
            "ERR SPLIT: \"!admin|x\" lies in the reserved namespace '!admin|'; split at a user key",
        ),
        (
            "MERGE z",
            "ERR MERGE: range 2 is the last one and has no right neighbour to merge with; merge the range before it",
        ),
        (
            "MERGE a",
            "ERR MERGE: range 1 is in group 1 and its right neighbour 2 in group 2; MOVE one of them first",
        ),
        ("MOVE a 1", "ERR MOVE: range 1 is in group 1 already; name another group"),
        ("MOVE a 3", "ERR MOVE: there is no group 3; start with a larger --groups to have more"),
        ("MOVE a x", "ERR value is not an integer or out of range"),
    ] {
        assert_eq!(host.error(line), expected);
    }
    assert!(matches!(host.words(&["SPLIT", ""]), Reply::Error(text) if text.contains("empty key")));
    assert_eq!(host.run("MOVE z 1"), Reply::Int(3));
    assert_eq!(host.run("MERGE a"), Reply::Int(4));
    assert_eq!(host.run("KEYS *"), strings(&[]));
}

/// G1: under constant splits and merges no count is lost or doubled, and every count lands on a
/// range that holds its key: keys from `t500` on bring a value, those below do not.
#[test]
fn no_count_is_lost_while_ranges_change() {
    const WRITERS: u64 = 3;
    const WRITES: u64 = 4_000;
    let mut host = TestHost::with(&["t"], 1);
    let traffic = Traffic::default();
    let mut routes = BTreeMap::new();
    let mut take = |column: Column| {
        column.validate().unwrap();
        for row in column.rows {
            let route = routes.entry(row.route).or_insert((row.range, Counts::default()));
            route.1.add(&row.counts);
        }
    };
    std::thread::scope(|scope| {
        let writer = |writer: u64, host: Arc<Dispatcher>| {
            let traffic = &traffic;
            move || {
                for number in 0..WRITES {
                    let key = (number * 7 + writer * 131) % 1_000;
                    call(&host, &["INCR", &format!("{key:03}")]);
                    let value = if key < 500 { "" } else { "12345" };
                    call(&host, &["SET", &format!("t{key:03}"), value]);
                    traffic.done.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let start = |number| scope.spawn(writer(number, Arc::clone(host.host())));
        let writers: Vec<_> = (0..WRITERS).map(start).collect();
        let changer = scope.spawn(|| change_ranges(host.host(), &traffic));
        // Also when something below panics: a scope waits for its threads.
        let end = traffic.end_when_dropped();
        while !writers.iter().all(|writer| writer.is_finished()) {
            // Time passes, so that the sampler forgets closed ranges as it does in real life.
            host.clock.advance(1_000);
            take(host.column());
        }
        drop(end);
        assert!(changer.join().unwrap() > 2);
    });
    take(host.column());
    let sum: u64 = routes.values().map(|(_, counts)| counts.writes).sum();
    assert_eq!(sum, WRITERS * WRITES * 2);
    // Within one column count and bytes of a write may part: they are two counters.
    routes.values().for_each(|(range, counts)| check_route(range, counts));
    let stored: i64 = (0..1_000)
        .map(|key| match host.run(&format!("INCRBY {key:03} 0")) {
            Reply::Int(number) => number,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(stored as u64, WRITERS * WRITES, "INCR is atomic");
}

/// How far the writers are, and whether they are at the end.
#[derive(Default)]
struct Traffic {
    done: AtomicU64,
    ended: AtomicBool,
}

struct EndWhenDropped<'a>(&'a AtomicBool);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Traffic {
    fn end_when_dropped(&self) -> EndWhenDropped<'_> {
        EndWhenDropped(&self.ended)
    }

    /// Waits for a few more writes, so that changes that follow each other without a pause never
    /// starve them. False at the end.
    fn goes_on(&self) -> bool {
        let seen = self.done.load(Ordering::Relaxed);
        while self.done.load(Ordering::Relaxed) < seen + 20 {
            if self.ended.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

fn call(host: &Dispatcher, words: &[&str]) {
    let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    let reply = host.call(&mut Session::default(), words);
    assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
}

/// Splits and merges until the traffic ends; returns how often.
fn change_ranges(host: &Dispatcher, traffic: &Traffic) -> u32 {
    let mut changes = 0;
    while traffic.goes_on() {
        let key = |step: u32| {
            let prefix = if changes % 2 == 0 { "" } else { "t" };
            format!("{prefix}{:03}", (changes * step) % 1_000).into_bytes()
        };
        let changed = [host.ranges.split(&key(37)), host.ranges.merge(&key(17))];
        for changed in changed {
            assert!(matches!(changed, Ok(_) | Err(HostError::Catalogue(_))), "{changed:?}");
        }
        changes += 1;
    }
    changes
}

fn check_route(range: &KeyRange, counts: &Counts) {
    let (start, end) = (range.start(), range.end());
    let bytes = if !end.is_empty() && end <= &b"t"[..] {
        3
    } else if start >= &b"t"[..] && !end.is_empty() && end <= &b"t500"[..] {
        4
    } else if start >= &b"t500"[..] {
        9
    } else {
        return;
    };
    assert_eq!(counts.write_bytes, counts.writes * bytes, "{range}: {counts:?}");
}
