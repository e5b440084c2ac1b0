use proptest::prelude::*;

use super::*;

fn source() -> SourceId {
    SourceId { node: "n1".into(), boot: Uuid::from_u128(5) }
}

fn column(rows: u64, seed: u64) -> Column {
    let key =
        |i: u64| if i == 0 || i == rows { Vec::new() } else { format!("user:{i:05}").into_bytes() };
    let row = |i: u64| Row {
        route: i + 1,
        group: 1 + i % 2,
        term: seed % 3,
        range: KeyRange::new(key(i), key(i + 1)).unwrap(),
        counts: Counts { reads: seed ^ i, writes: i, read_bytes: u64::MAX - i, write_bytes: 0 },
        flags: Flags((i % 5) as u16),
    };
    Column {
        window: Window::new(120_000, Step::MINUTE).unwrap(),
        covered_from_ms: 119_000,
        covered_to_ms: 180_000,
        unattributed: seed,
        groups: vec![1, 2],
        rows: (0..rows).map(row).collect(),
    }
}

#[test]
fn a_skip_mark_comes_back() {
    let payload = encode_skip(&source(), 9);
    assert_eq!(decode_skip(&payload), Ok((source(), 9)));
    (0..payload.len()).for_each(|cut| assert!(decode_skip(&payload[..cut]).is_err()));
}

proptest! {
    #[test]
    fn round_trip_and_every_cut(rows in 0u64..40, seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let column = column(rows, seed);
        let payload = encode(&source(), seed, &column);
        prop_assert_eq!(decode(&payload).unwrap(), (source(), seed, column));
        prop_assert!(decode(&payload[..cut.index(payload.len())]).is_err());
    }

    #[test]
    fn noise_never_panics(mut payload in prop::collection::vec(any::<u8>(), 1..300)) {
        payload[0] = VERSION;
        let _ = decode(&payload);
    }

    #[test]
    fn spoiled_records_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut payload = encode(&source(), 1, &column(20, 9));
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = decode(&payload);
    }
}
