use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

#[test]
fn takes_what_came_since_the_last_take_also_past_the_wrap() {
    let cell = Cell::new();
    // As after 2^64 - 2 writes of 2^63 - 3 bytes (modulo 2^63) in all.
    let (count, bytes) = (u64::MAX - 1, (u64::MAX >> 1) - 2);
    cell.writes.count.store(count, Ordering::Relaxed);
    cell.writes.sum.store((bytes << 1).wrapping_add(count), Ordering::Relaxed);
    let mut taken = Taken::default();
    cell.take(&mut taken);
    for bytes in [0, 1, LARGE_BYTES - 1] {
        cell.add(Op::Write, bytes);
    }
    cell.add(Op::Read, 7);
    let counts = Counts { reads: 1, read_bytes: 7, writes: 3, write_bytes: LARGE_BYTES };
    assert_eq!(cell.take(&mut taken), counts);
    assert!(cell.take(&mut taken).is_idle());
}

#[test]
fn more_operations_than_a_sum_can_hold_are_the_most_there_is() {
    let (taken, now) = (Pair::default(), Pair { count: MAX_OPERATIONS, bytes: 5 });
    assert_eq!(now.since(taken), Pair { count: MAX_OPERATIONS, bytes: u64::MAX });
}

#[test]
fn met_between_the_two_stores_the_operation_is_left_to_the_next_take() {
    let cell = Cell::new();
    cell.add(Op::Read, 10);
    cell.add(Op::Read, 10);
    let sum = cell.reads.sum.load(Ordering::Relaxed);
    cell.reads.count.store(3, Ordering::Relaxed);
    let mut taken = Taken::default();
    let first = cell.take(&mut taken);
    assert_eq!((first.reads, first.read_bytes), (2, 20));
    cell.reads.sum.store(sum + 2 * 11 + 1, Ordering::Relaxed);
    let second = cell.take(&mut taken);
    assert_eq!((second.reads, second.read_bytes), (1, 11));
}

#[test]
fn a_count_never_leaves_without_its_bytes() {
    let (cell, done) = (Cell::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000_000 {
                cell.add(Op::Write, 3);
            }
            done.store(true, Ordering::Release);
        });
        let (mut taken, mut all) = (Taken::default(), 0);
        loop {
            let is_last = done.load(Ordering::Acquire);
            let counts = cell.take(&mut taken);
            assert_eq!(counts.write_bytes, 3 * counts.writes);
            all += counts.writes;
            if is_last {
                break;
            }
        }
        assert_eq!(all, 2_000_000);
    });
}
