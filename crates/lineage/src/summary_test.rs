use super::*;

fn summary(latencies: &[(u32, u64)]) -> OperationSummary {
    OperationSummary {
        adapter: "redis".to_owned(),
        operation: "get".to_owned(),
        latencies: latencies.to_vec(),
        ..OperationSummary::default()
    }
}

#[test]
fn what_is_within_the_limits_passes() {
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[summary(&[]), summary(&[(0, 1), (5, u64::MAX), (1_151, 2)])]), Ok(()));
}

#[test]
fn names_have_a_length() {
    for bytes in [0, MAX_NAME_BYTES + 1] {
        let long = OperationSummary { adapter: "x".repeat(bytes), ..summary(&[]) };
        assert_eq!(check(&[long]), Err(SummaryError::Name { bytes }));
    }
}

#[test]
fn buckets_ascend_and_exist() {
    for latencies in [&[(3, 1), (3, 1)][..], &[(4, 1), (3, 1)], &[(LATENCY_BUCKETS, 1)]] {
        let found = check(&[summary(latencies)]);
        assert!(matches!(found, Err(SummaryError::Bucket { .. })), "{latencies:?}: {found:?}");
    }
}

#[test]
fn there_are_not_too_many() {
    let many = vec![summary(&[]); MAX_OPERATIONS + 1];
    assert_eq!(check(&many), Err(SummaryError::TooMany { count: MAX_OPERATIONS + 1 }));
}
