//! Property: in every interleaving of observers, flushes, removals and thread ends, each count leaves
//! exactly once, on its own route, with its bytes (S2, C3, P1 to P3, G2, G3).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p keyviz-sampler --release --test loom`
#![allow(unexpected_cfgs)] // `cfg(loom)` is set by RUSTFLAGS
#![cfg(loom)]

use keyviz_sampler::model::{OneCell, Shared, Thread};
use loom::sync::Arc;
use loom::thread;

/// As [`loom::model`], with at most `preemptions` preemptions where that is needed to end in minutes.
fn model(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(check);
}

#[test]
fn a_take_holds_the_bytes_of_exactly_its_operations() {
    loom::model(|| {
        let cell = Arc::new(OneCell::new());
        let writer = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                cell.write(5);
                cell.write(5);
            }
        });
        let mut reader = cell.reader();
        let (first, second) = (reader.take(), reader.take());
        writer.join().unwrap();
        let last = reader.take();
        for counts in [first, second, last] {
            assert_eq!(counts.write_bytes, 5 * counts.writes);
        }
        assert_eq!(first.writes + second.writes + last.writes, 2);
    });
}

#[test]
fn what_threads_observe_while_it_is_flushed_and_they_end_arrives_once() {
    model(3, || {
        let shared = Arc::new(Shared::new());
        let handle = shared.register(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let handle = handle.clone();
                thread::spawn(move || {
                    let thread = Thread::new();
                    handle.write(Some(&thread), 3);
                    drop(thread); // its end
                    handle.write(None, 4); // from a destructor after it
                })
            })
            .collect();
        let mut rows = shared.flush();
        rows.extend(shared.flush());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        rows.extend(shared.flush());
        assert_eq!(rows.iter().map(|row| row.1).sum::<u64>(), 4);
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), 14);
    });
}

#[test]
fn a_page_left_behind_goes_to_the_next_thread_with_its_counts() {
    model(3, || {
        let shared = Arc::new(Shared::new());
        let handle = shared.register(1);
        let ending = thread::spawn({
            let handle = handle.clone();
            move || handle.write(Some(&Thread::new()), 1)
        });
        let next = thread::spawn(move || {
            let thread = Thread::new();
            handle.write(Some(&thread), 1);
            handle.write(Some(&thread), 1);
        });
        let mut writes: u64 = shared.flush().iter().map(|row| row.1).sum();
        ending.join().unwrap();
        next.join().unwrap();
        writes += shared.flush().iter().map(|row| row.1).sum::<u64>();
        assert_eq!(writes, 3);
    });
}

#[test]
fn a_late_write_on_a_removed_route_is_its_own_even_when_its_cell_is_wanted() {
    model(3, || {
        let shared = Arc::new(Shared::new());
        let handle = shared.register(1);
        let late = thread::spawn(move || {
            let thread = Thread::new();
            handle.write(Some(&thread), 7);
            drop(handle);
            thread // lives on, with its page
        });
        shared.remove(1);
        let mut rows = shared.flush();
        // Takes over the cell, if nobody can reach it any more.
        let second = shared.register(2);
        let own = Thread::new();
        second.write(Some(&own), 9);
        rows.extend(shared.flush());
        let thread = late.join().unwrap();
        rows.extend(shared.flush());
        drop(thread);
        rows.sort_unstable();
        assert_eq!(rows, [(1, 1, 7), (2, 1, 9)]);
        assert_eq!(shared.tracked(), 1, "nothing is left of route 1");
    });
}

#[test]
fn observing_through_the_table_while_routes_change_counts_on_the_route_that_was_found() {
    model(3, || {
        let shared = Arc::new(Shared::new());
        drop(shared.register(1));
        let observer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let thread = Thread::new();
                match shared.look_up(1) {
                    Some(found) => {
                        found.write(Some(&thread), 7);
                        1
                    }
                    None => 0,
                }
            }
        });
        shared.remove(1);
        let mut rows = shared.flush();
        drop(shared.register(2));
        rows.extend(shared.flush());
        let found = observer.join().unwrap();
        rows.extend(shared.flush());
        let expected: &[(u64, u64, u64)] = if found == 1 { &[(1, 1, 7)] } else { &[] };
        assert_eq!(rows, expected);
    });
}
