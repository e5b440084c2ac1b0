//! Sums over windows and routes.

use super::*;

fn access(op: Op, key: &[u8], size_bytes: u64) -> Access {
    Access { time_ms: 0, key: key.to_vec(), op, size_bytes, line: 1 }
}

#[test]
fn sums_are_by_window_and_route() {
    let mut ledger = Ledger::new(4, 100);
    ledger.add(3, &access(Op::Read, b"key", 10));
    ledger.add(1, &access(Op::Write, b"k", 0));
    ledger.add(3, &access(Op::Read, b"", 0));
    ledger.close().unwrap();
    ledger.close().unwrap();
    ledger.add(1, &access(Op::Write, b"k", 5));
    ledger.close().unwrap();
    assert_eq!(ledger.windows(), 3);
    assert_eq!(ledger.sums(0..3, &(0..4), Series::Reads), [0, 0, 0, 2]);
    assert_eq!(ledger.sums(0..1, &(0..4), Series::ReadBytes), [0, 0, 0, 13]);
    assert_eq!(ledger.sums(1..2, &(0..4), Series::Writes), [0; 4]);
    assert_eq!(ledger.sums(0..3, &(1..3), Series::WriteBytes), [7, 0]);
    assert_eq!(ledger.sums(2..9, &(1..2), Series::Writes), [1], "windows behind the end are empty");
}

#[test]
fn sums_saturate() {
    let mut ledger = Ledger::new(1, 100);
    for _ in 0..2 {
        ledger.add(0, &access(Op::Write, b"k", u64::MAX));
        ledger.add(0, &access(Op::Write, b"k", u64::MAX));
        ledger.close().unwrap();
    }
    assert_eq!(ledger.sums(0..2, &(0..1), Series::WriteBytes), [u64::MAX]);
    assert_eq!(ledger.sums(0..2, &(0..1), Series::Writes), [4]);
}

#[test]
fn the_limit_counts_cells_with_traffic() {
    let mut ledger = Ledger::new(1_000, 2);
    ledger.close().unwrap();
    ledger.add(5, &access(Op::Read, b"", 0));
    ledger.close().unwrap();
    ledger.add(5, &access(Op::Read, b"", 0));
    ledger.add(5, &access(Op::Read, b"", 0));
    ledger.close().unwrap();
    ledger.add(5, &access(Op::Read, b"", 0));
    assert!(matches!(ledger.close(), Err(ReplayError::TooManyCells { limit: 2 })));
}
