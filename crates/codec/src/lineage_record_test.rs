use keyviz_lineage::KeyRange;
use proptest::prelude::*;

use super::*;

fn range(a: Vec<u8>, b: Vec<u8>) -> KeyRange {
    KeyRange::new(a.clone().min(b.clone()), a.max(b)).unwrap_or_default()
}

proptest! {
    #[test]
    fn round_trip_and_damage(
        keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 6), numbers in any::<[u64; 8]>(),
        open in any::<bool>(), parents in 0usize..4, cause in 0usize..6, flip in any::<prop::sample::Index>(),
    ) {
        let parent = |i: usize| ParentRef {
            group: numbers[i], id: Uuid::from_u128(u128::from(numbers[i])),
            range: range(keys[i].clone(), keys[i + 1].clone()), valid_from: Hlc(numbers[i + 1]),
        };
        let record = LineageRecord {
            id: Uuid::from_u128(u128::from(numbers[0])), range: range(keys[0].clone(), keys[1].clone()),
            route: numbers[1], group: numbers[2], valid_from: Hlc(numbers[3]),
            valid_to: (!open).then_some(Hlc(numbers[4])), parents: (0..parents).map(parent).collect(),
            successor: open.then_some((numbers[5], numbers[6])), proposal: [cause as u8; 16],
            cause: CAUSES[cause], version: numbers[7],
        };
        let value = encode(&record);
        prop_assert_eq!(decode(&value).unwrap(), record);
        let mut spoiled = value.clone();
        spoiled[flip.index(value.len())] ^= 0x40;
        prop_assert!(decode(&spoiled).is_err());
        prop_assert!(decode(&value[..flip.index(value.len())]).is_err());
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&envelope::seal(VERSION, &payload));
    }
}
