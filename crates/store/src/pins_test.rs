use std::collections::{BTreeMap, BTreeSet};

use keyviz_codec::rollup::Tier;
use keyviz_lineage::{HOUR_MS, Hlc, KeyRange, Series};

use super::*;

fn pin(first: u64, fine: u64, last: u64, lineages: &[(u128, &[RangeInclusive<u64>])]) -> Pin {
    let lineages = lineages.iter().map(|(id, runs)| (Uuid::from_u128(*id), runs.to_vec()));
    Pin {
        created: Hlc(1),
        first_hour: first,
        first_fine_hour: fine,
        last_hour: last,
        range: KeyRange::all(),
        note: String::new(),
        bytes: 0,
        lineages: lineages.collect::<BTreeMap<_, _>>(),
    }
}

#[test]
fn every_family_is_kept_by_its_hours_and_no_other_groups() {
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let pins = Pins::default().with(1, a, pin(5, 7, 9, &[(1, &[7..=7, 9..=9]), (2, &[])])).with(
        1,
        b,
        pin(8, 8, 12, &[(1, &[8..=8])]),
    );
    let block = |id, hour| Key::Range { lineage: Uuid::from_u128(id), hour };
    let rollup = |tier, hour| Key::Rollup { tier, series: Series::Reads, hour, chunk: 0 };
    let kept = |pins: &Pins, key: &dyn Fn(u64) -> Key| -> Vec<u64> {
        (0..20).filter(|&hour| pins.keeps(1, &key(hour))).collect()
    };
    assert_eq!(kept(&pins, &|hour| block(1, hour)), [7, 8, 9]);
    assert_eq!(kept(&pins, &|hour| block(1, hour).quarantine()), [7, 8, 9]);
    assert!(kept(&pins, &|hour| block(2, hour)).is_empty());
    let fine: Vec<u64> = (7..=12).collect();
    let all: Vec<u64> = (5..=12).collect();
    assert_eq!(kept(&pins, &|hour| rollup(Tier::FiveMinutes, hour)), fine);
    assert_eq!(kept(&pins, &|hour| rollup(Tier::Hour, hour)), all);
    assert_eq!(kept(&pins, &|hour| Key::Coverage { hour }), all);
    assert_eq!(kept(&pins, &|hour| Key::Index { hour }), all);
    assert_eq!(kept(&pins, &|hour| Key::Event { hlc: Hlc::new(hour * HOUR_MS + 5, 0) }), all);
    assert!(pins.keeps_lineage(1, a) && pins.keeps_lineage(1, b));
    assert!(!pins.keeps_lineage(1, Uuid::from_u128(3)) && !pins.keeps_lineage(2, a));
    assert!(!pins.keeps(2, &block(1, 8)) && !pins.keeps(1, &Key::Applied));
    let less = pins.without(1, a);
    assert_eq!(kept(&less, &|hour| block(1, hour)), [8]);
    assert!(!less.keeps_lineage(1, b), "it was the other pin's");
    assert!(less.without(1, b).is_empty());
}

#[test]
fn seen_and_hidden_hours_are_all_hours() {
    let kept = [3..=4, 8..=8, 11..=14];
    for (oldest, from, to) in (0..18).flat_map(|oldest| {
        (0..16).flat_map(move |from| (from..18).map(move |to| (oldest, from, to)))
    }) {
        let hours = from..=to;
        let seen = |hour: &u64| *hour >= oldest || kept.iter().any(|run| run.contains(hour));
        let (expected, others): (BTreeSet<u64>, BTreeSet<u64>) = hours.clone().partition(seen);
        let runs = visible(&hours, oldest, &kept);
        assert!(runs.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()), "{runs:?}");
        assert_eq!(runs.into_iter().flatten().collect::<BTreeSet<_>>(), expected);
        let runs = hidden(&hours, oldest, &kept);
        assert_eq!(runs.into_iter().flatten().collect::<BTreeSet<_>>(), others);
    }
    assert_eq!(visible(&(0..=u64::MAX), 7, &[]), [7..=u64::MAX]);
    assert_eq!(hidden(&(0..=u64::MAX), 7, &[]), [0..=6]);
    assert_eq!(hidden(&(5..=u64::MAX), u64::MAX, &[]), [5..=u64::MAX - 1]);
}
