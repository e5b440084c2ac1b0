//! Sorting in memory and on disk.

use proptest::prelude::*;

use super::*;

fn access(line: u64, time_ms: u64, key: &[u8], op: Op) -> Access {
    Access { time_ms, key: key.to_vec(), op, size_bytes: line * 3, line }
}

fn sorted(accesses: &[Access], chunk_bytes: usize) -> Vec<Access> {
    let merged = by_time(accesses.iter().cloned().map(Ok), chunk_bytes).unwrap();
    merged.collect::<Result<_, _>>().unwrap()
}

#[test]
fn nothing_is_sorted_to_nothing() {
    assert_eq!(sorted(&[], 0), []);
    assert_eq!(sorted(&[], 1 << 20), []);
}

#[test]
fn an_error_of_the_input_ends_the_sort() {
    let input =
        [Ok(access(1, 5, b"a", Op::Read)), Err(ReplayError::Changed { name: "a.csv".to_owned() })];
    assert!(matches!(by_time(input.into_iter(), 1), Err(ReplayError::Changed { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_is_what_went_in(
        input in prop::collection::vec(
            (0..50_u64, prop::collection::vec(any::<u8>(), 0..40), any::<bool>()),
            0..200,
        ),
        chunk_bytes in prop::sample::select(vec![1, 500, 3_000, 1 << 20]),
    ) {
        let op = |write| if write { Op::Write } else { Op::Read };
        let input: Vec<Access> = input
            .iter()
            .zip(1..)
            .map(|((time_ms, key, write), line)| access(line, *time_ms, key, op(*write)))
            .collect();
        let output = sorted(&input, chunk_bytes);
        prop_assert!(output.is_sorted_by_key(|access| access.time_ms));
        let by_line = |mut accesses: Vec<Access>| {
            accesses.sort_by_key(|access| access.line);
            accesses
        };
        prop_assert_eq!(by_line(output), input);
    }
}
