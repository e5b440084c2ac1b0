use proptest::prelude::*;

use super::*;

fn example() -> Pin {
    let id = Uuid::from_u128;
    Pin {
        created: Hlc::new(1_760_000_000_000, 3),
        first_hour: 488_000,
        first_fine_hour: 488_010,
        last_hour: 488_030,
        range: KeyRange::new(*b"a", *b"m").unwrap(),
        note: "the outage".to_owned(),
        bytes: 70_000,
        lineages: BTreeMap::from([
            (id(1), vec![488_010..=488_012, 488_014..=488_030]),
            (id(2), vec![488_011..=488_011]),
            (id(3), Vec::new()),
        ]),
    }
}

#[test]
fn a_pin_comes_back_and_damage_is_an_error() {
    let value = example().encode();
    assert_eq!(Pin::decode(&value), Ok(example()));
    for at in 0..value.len() {
        let mut spoiled = value.clone();
        spoiled[at] ^= 1;
        assert!(Pin::decode(&spoiled).is_err());
        assert!(Pin::decode(&value[..at]).is_err());
    }
    let expired = Pin { first_fine_hour: 488_031, lineages: BTreeMap::new(), ..example() };
    assert_eq!(Pin::decode(&expired.encode()), Ok(expired.clone()));
    assert!(expired.fine_hours().is_empty());
}

#[test]
fn what_has_another_form_is_refused() {
    let beyond = Pin { last_hour: 488_020, ..example() };
    assert!(Pin::decode(&beyond.encode()).is_err(), "a run behind the last hour");
    let lineages = BTreeMap::from([(Uuid::nil(), vec![488_010..=488_012, 488_013..=488_014])]);
    let adjacent = Pin { lineages, ..example() };
    assert!(Pin::decode(&adjacent.encode()).is_err(), "two runs for one");
    let far = Pin { first_hour: u64::MAX - 3, first_fine_hour: u64::MAX - 3, ..example() };
    let far = Pin { last_hour: u64::MAX - 1, lineages: BTreeMap::new(), ..far };
    assert_eq!(Pin::decode(&far.encode()), Ok(far.clone()));
    let too_far = Pin { last_hour: u64::MAX, ..far };
    assert!(Pin::decode(&too_far.encode()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_pin_of_that_form_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        let value = envelope::seal(VERSION, &payload);
        if let Ok(pin) = Pin::decode(&value) {
            prop_assert_eq!(pin.encode(), value);
        }
    }
}
