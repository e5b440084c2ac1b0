use proptest::prelude::*;

use super::*;

fn source(node: u8) -> SourceId {
    SourceId { node: format!("n{node}"), boot: Uuid::from_u128(u128::from(node)) }
}

#[test]
fn a_window_recorded_twice_is_stretched() {
    let mut coverage = Coverage::default();
    for _ in 0..2 {
        coverage.add(
            Step::MINUTE,
            &source(1),
            3,
            WindowCover { covered_ms: 60_000, unattributed: 2 },
        );
    }
    let (_, _, windows) = coverage.iter().next().unwrap();
    assert_eq!(windows[0], (3, WindowCover { covered_ms: 120_000, unattributed: 4 }));
}

proptest! {
    #[test]
    fn round_trip_and_damage(windows in prop::collection::vec((0u8..3, 0u16..60, 0u64..200_000, 0u64..9), 0..60), flip in any::<prop::sample::Index>()) {
        let mut coverage = Coverage::default();
        for (node, index, covered_ms, unattributed) in windows {
            coverage.add(Step::MINUTE, &source(node), index, WindowCover { covered_ms, unattributed });
        }
        let value = coverage.encode();
        prop_assert_eq!(&Coverage::decode(&value).unwrap(), &coverage);
        let mut spoiled = value.clone();
        spoiled[flip.index(value.len())] ^= 1;
        prop_assert!(Coverage::decode(&spoiled).is_err());
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Coverage::decode(&envelope::seal(VERSION, &payload));
    }
}
