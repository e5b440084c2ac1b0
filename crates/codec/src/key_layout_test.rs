use super::*;

#[test]
fn every_key_parses_back_and_sorts_by_group_first() {
    let lineage = Uuid::from_u128(7);
    let keys = [
        Key::Range { lineage, hour: 485_000 },
        Key::Rollup { tier: Tier::Hour, series: Series::Reads, hour: 1, chunk: 0 },
        Key::Rollup { tier: Tier::FiveMinutes, series: Series::WriteBytes, hour: 1, chunk: 700 },
        Key::Numbers { chunk: 3 },
        Key::Dropped,
        Key::Coverage { hour: 1 },
        Key::Index { hour: 1 },
        Key::Lineage { lineage },
        Key::Event { hlc: Hlc::new(3, 4) },
        Key::Applied,
        Key::Swept,
        Key::Applied.quarantine(),
        Key::Member { node: "n|1".into() },
        Key::Boot { boot: lineage, node: "n|1".into() },
        Key::Schema,
        Key::Upgrade,
        Key::Hlc,
        Key::Freeze,
        Key::Pin { id: lineage },
    ];
    for key in keys {
        let physical = key.encode(9);
        assert_eq!(Key::parse(&physical), Some((9, key.clone())));
        assert!(physical < key.encode(10));
        for cut in 0..physical.len() {
            if let Some((_, shorter)) = Key::parse(&physical[..cut]) {
                assert_ne!(shorter, key);
            }
        }
    }
    assert_eq!(Key::parse(b"\0\0\0\0\0\0\0\x01user:1"), None);
}

#[test]
fn the_logical_key_is_the_contracts() {
    let key = Key::Range { lineage: Uuid::from_u128(0x41 << 120), hour: 2 };
    let expected =
        [b"!admin|keyviz|range|A".as_slice(), &[0; 15], b"|", &2u64.to_be_bytes()].concat();
    assert_eq!(key.encode(1)[8..], expected);
}

#[test]
fn a_prefix_ends_behind_its_last_key_and_before_the_next_family() {
    let lineage = Uuid::from_u128(7);
    let last = Key::Range { lineage, hour: u64::MAX }.encode(1);
    let next = Key::Range { lineage: Uuid::from_u128(8), hour: 0 }.encode(1);
    let end = prefix::end(prefix::range_of(1, lineage));
    assert!(prefix::range_of(1, lineage) < last && last < end && end < next);
    let all = prefix::end(prefix::range(1));
    assert!(Key::Range { lineage: Uuid::max(), hour: u64::MAX }.encode(1) < all);
    assert!(all < Key::Range { lineage: Uuid::nil(), hour: 0 }.encode(2));
    assert_eq!(Key::Index { hour: 3 }.expiry_hour(), Some(3));
    let aside = Key::Index { hour: 3 }.quarantine();
    assert_eq!((aside.set_aside(), aside.expiry_hour()), (Some(Key::Index { hour: 3 }), Some(3)));
    assert!(
        prefix::damaged(1) < aside.encode(1) && aside.encode(1) < prefix::end(prefix::damaged(1))
    );
    // However deep somebody nests them.
    assert_eq!(aside.quarantine().set_aside(), aside.set_aside());
    assert_eq!(Key::Lineage { lineage }.quarantine().expiry_hour(), None);
    let rollup = |tier, series, hour, chunk| Key::Rollup { tier, series, hour, chunk }.encode(1);
    let reads = prefix::rollup_of(1, Tier::Hour, Series::Reads);
    let last = rollup(Tier::Hour, Series::Reads, u64::MAX, u32::MAX);
    let next = rollup(Tier::Hour, Series::Writes, 0, 0);
    assert!(rollup(Tier::Hour, Series::Reads, 5, 9) < rollup(Tier::Hour, Series::Reads, 6, 0));
    assert!(reads < last && last < prefix::end(reads.clone()) && prefix::end(reads) < next);
    assert!(prefix::rollup(1) < next && next < prefix::end(prefix::rollup(1)));
    assert_eq!(Key::parse(&[&next[..next.len() - 14], b"	"].concat()), None);
}

#[test]
fn every_family_knows_the_period_that_it_goes_by() {
    let lineage = Uuid::from_u128(7);
    let rollup = |tier| Key::Rollup { tier, series: Series::Reads, hour: 3, chunk: 0 };
    for key in [Key::Range { lineage, hour: 3 }, rollup(Tier::FiveMinutes)] {
        assert_eq!(key.expiry(), Some((Period::Fine, 3)));
        assert_eq!(key.quarantine().expiry(), Some((Period::Fine, 3)), "also when set aside");
        assert_eq!(key.quarantine().quarantine().expiry(), Some((Period::Fine, 3)));
    }
    let event = Key::Event { hlc: Hlc::new(3 * keyviz_lineage::HOUR_MS + 5, 4) };
    for key in [rollup(Tier::Hour), Key::Coverage { hour: 3 }, Key::Index { hour: 3 }, event] {
        assert_eq!(key.expiry(), Some((Period::Longest, 3)));
        assert_eq!(key.quarantine().expiry(), Some((Period::Longest, 3)));
    }
    for key in [Key::Lineage { lineage }, Key::Applied, Key::Hlc, Key::Applied.quarantine()] {
        assert_eq!(key.expiry(), None);
    }
    assert_eq!(Key::Damaged { logical: b"!admin|keyviz|damaged|".repeat(3) }.expiry(), None);
}
