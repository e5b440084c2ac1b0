use proptest::prelude::*;

use super::*;

fn entry() -> impl Strategy<Value = (u64, u8, u64, Held)> {
    let column = (0u64..1 << 24, 1u64..4).prop_map(|(window, groups)| Held::Column {
        window: Window::new(window * 60_000, Step::MINUTE).unwrap(),
        groups: (0..groups).collect(),
    });
    let held = prop_oneof![Just(Held::Nothing), Just(Held::Leave), column];
    (1u64..1 << 40, 0u8..4, any::<u64>(), held)
}

proptest! {
    #[test]
    fn round_trip(entries in prop::collection::vec(entry(), 0..40), cut in any::<prop::sample::Index>()) {
        let mut wal_sequence = 0;
        let entries: Vec<ShedEntry> = entries
            .into_iter()
            .map(|(gap, node, sequence, held)| {
                wal_sequence += gap;
                let boot = Uuid::from_u128(u128::from(node));
                let source = SourceId { node: format!("n{node}"), boot };
                ShedEntry { wal_sequence, source, sequence, held }
            })
            .collect();
        let payload = encode(&entries);
        prop_assert_eq!(decode(&payload).unwrap(), entries);
        prop_assert!(decode(&payload[..cut.index(payload.len())]).is_err());
    }

    #[test]
    fn noise_never_panics(mut payload in prop::collection::vec(any::<u8>(), 1..200)) {
        payload[0] = VERSION;
        let _ = decode(&payload);
    }
}
