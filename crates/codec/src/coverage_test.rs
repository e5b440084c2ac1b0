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

#[test]
fn what_was_shed_is_merged_and_only_then_another_version() {
    let mut coverage = Coverage::default();
    let cover = WindowCover { covered_ms: 60_000, unattributed: 0 };
    coverage.add(Step::MINUTE, &source(1), 3, cover);
    assert_eq!(coverage.encode()[0], PLAIN, "an older build can read it");
    let mut other = Coverage::default();
    other.add_shed(Step::MINUTE, &source(1), 3);
    other.add_shed(Step::MINUTE, &source(2), 59);
    coverage.merge(&other);
    coverage.merge(&other);
    let shed: Vec<(u8, u16)> =
        coverage.shed().map(|(_, source, at)| (source.boot.as_bytes()[15], at)).collect();
    assert_eq!(shed, [(1, 3), (2, 59)]);
    assert_eq!(coverage.encode()[0], WITH_SHED);
    assert_eq!(Coverage::decode(&coverage.encode()).unwrap(), coverage);
}

proptest! {
    #[test]
    fn round_trip_and_damage(windows in prop::collection::vec((0u8..3, 0u16..60, 0u64..200_000, 0u64..9), 0..60), shed in prop::collection::vec((0u8..3, 0u16..60), 0..9), flip in any::<prop::sample::Index>()) {
        let mut coverage = Coverage::default();
        for (node, index, covered_ms, unattributed) in windows {
            coverage.add(Step::MINUTE, &source(node), index, WindowCover { covered_ms, unattributed });
        }
        for (node, index) in shed {
            coverage.add_shed(Step::MINUTE, &source(node), index);
        }
        let value = coverage.encode();
        prop_assert_eq!(&Coverage::decode(&value).unwrap(), &coverage);
        let mut spoiled = value.clone();
        spoiled[flip.index(value.len())] ^= 1;
        prop_assert!(Coverage::decode(&spoiled).is_err());
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Coverage::decode(&envelope::seal(WITH_SHED, &payload));
    }
}
