use super::*;

#[test]
fn exact_numbers_are_grouped() {
    assert_eq!(exact(0), "0");
    assert_eq!(exact(999), "999");
    assert_eq!(exact(1_000), "1,000");
    assert_eq!(exact(1_797_788_144), "1,797,788,144");
    assert_eq!(exact(u128::from(u64::MAX)), "18,446,744,073,709,551,615");
}

#[test]
fn compact_numbers_have_a_unit() {
    assert_eq!(compact(0, false), "0");
    assert_eq!(compact(999, false), "999");
    assert_eq!(compact(1_234, false), "1.23k");
    assert_eq!(compact(999_999, false), "1M");
    assert_eq!(compact(u128::from(u64::MAX), false), "18.4E");
    assert_eq!(compact(512, true), "512 B");
    assert_eq!(compact(1_023, true), "1023 B");
    assert_eq!(compact(1_024, true), "1 KiB");
    assert_eq!(compact(3_565_158, true), "3.4 MiB");
}

#[test]
fn durations_are_not_rounded() {
    assert_eq!(duration(1_000), "1 s");
    assert_eq!(duration(60_000), "1 min");
    assert_eq!(duration(90_000), "90 s");
    assert_eq!(duration(3_600_000), "1 h");
    assert_eq!(duration(604_800_000), "7 d");
    assert_eq!(duration(1_500), "1,500 ms");
    assert_eq!(duration(0), "0 ms");
}
