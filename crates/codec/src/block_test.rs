use proptest::prelude::*;

use super::*;

fn who(node: &str, term: u64) -> Contributor {
    Contributor { node: node.into(), group: 0, term }
}

fn entry(index: u16, value: u64, flags: u16) -> CellEntry {
    let counts = Counts {
        reads: value,
        writes: value / 2,
        read_bytes: value.wrapping_mul(7),
        write_bytes: 0,
    };
    CellEntry { index, counts, flags: Flags(flags) }
}

#[test]
fn two_steps_of_one_hour_stay_apart() {
    let mut hour = HourBlocks::default();
    hour.block_mut(Step::MINUTE).add(&who("a", 1), entry(59, 1, 0));
    hour.block_mut(Step::from_ms(1_000).unwrap()).add(&who("a", 1), entry(3_599, 1, 0));
    let back = HourBlocks::decode(&hour.encode()).unwrap();
    assert_eq!(back, hour);
    assert_eq!(
        back.blocks().iter().map(|block| block.step().ms()).collect::<Vec<_>>(),
        [1_000, 60_000]
    );
}

#[test]
fn damage_is_an_error_at_every_byte_and_every_cut() {
    let mut hour = HourBlocks::default();
    for index in [0, 5, 59] {
        hour.block_mut(Step::MINUTE)
            .add(&who("node-1", 3), entry(index, 1_000_000, u16::from(index == 5)));
    }
    let value = hour.encode();
    for at in 0..value.len() {
        let mut spoiled = value.clone();
        spoiled[at] ^= 0x10;
        assert!(HourBlocks::decode(&spoiled).is_err());
        assert!(HourBlocks::decode(&value[..at]).is_err());
    }
    let mut newer = value[..value.len() - 4].to_vec();
    newer[0] = EXTENDED + 1;
    let crc = crc32fast::hash(&newer);
    newer.extend_from_slice(&crc.to_le_bytes());
    assert!(matches!(HourBlocks::decode(&newer), Err(CodecError::Version { found: 3, .. })));
}

fn range() -> KeyRange {
    KeyRange::new(*b"user:1", *b"user:2").unwrap()
}

#[test]
fn what_has_neither_bounds_nor_groups_pays_for_neither() {
    let mut hour = HourBlocks::default();
    hour.block_mut(Step::MINUTE).add(&who("n1", 4), entry(3, 9, 0));
    let plain = hour.encode();
    assert_eq!(plain[0], PLAIN);
    assert_eq!(HourBlocks::decode_bounds(&plain), Ok(None));
    hour.set_bounds(range());
    let bounded = hour.encode();
    assert_eq!((bounded[0], bounded.len()), (EXTENDED, plain.len() + 1 + 7 + 7));
    assert_eq!(HourBlocks::decode(&bounded).unwrap().bounds(), Some(&range()));
    assert_eq!(HourBlocks::decode_bounds(&bounded), Ok(Some(range())));
    let mut merged = HourBlocks::decode(&plain).unwrap();
    merged.merge(&hour);
    merged.merge(&HourBlocks::decode(&plain).unwrap());
    assert_eq!(merged.bounds(), Some(&range()), "merging keeps them");
}

#[test]
fn an_extension_that_says_nothing_is_refused() {
    let sealed = |payload: &[u8]| HourBlocks::decode(&envelope::seal(EXTENDED, payload));
    assert!(matches!(sealed(&[0, 0]), Err(CodecError::Invalid { field: "an unknown head", .. })));
    assert!(matches!(sealed(&[4, 0]), Err(CodecError::Invalid { field: "an unknown head", .. })));
    let own = CodecError::Invalid { what: WHAT, field: "groups that are all its own" };
    assert_eq!(sealed(&[2, 0]), Err(own));
    assert!(sealed(&[1, 0, 0, 0]).is_ok(), "the bounds of everything");
}

proptest! {
    #[test]
    fn what_is_added_comes_back(
        cells in prop::collection::vec((0usize..3, 0u64..3, 0u64..3, 0u16..60, any::<u64>(), 0u16..1024), 0..200),
        bounds in any::<bool>(),
    ) {
        let mut hour = HourBlocks::default();
        let mut model: BTreeMap<(usize, u64, u64, u16), (u64, u16)> = BTreeMap::new();
        if bounds {
            hour.set_bounds(range());
        }
        for &(node, group, term, index, value, flags) in &cells {
            let who = Contributor { group, ..who(&node.to_string(), term) };
            hour.block_mut(Step::MINUTE).add(&who, entry(index, value, flags));
            let held = model.entry((node, group, term, index)).or_default();
            held.0 = held.0.saturating_add(value);
            held.1 |= flags;
        }
        let back = HourBlocks::decode(&hour.encode()).unwrap();
        prop_assert_eq!(&back, &hour);
        prop_assert_eq!(HourBlocks::decode_bounds(&hour.encode()).unwrap(), hour.bounds().cloned());
        let mut found = 0;
        for (who, cells) in back.blocks().iter().flat_map(Block::contributors) {
            for cell in cells {
                let (reads, flags) = model[&(who.node.parse().unwrap(), who.group, who.term, cell.index)];
                prop_assert_eq!(cell.counts.reads, reads);
                prop_assert_eq!(cell.flags.0 & flags, flags);
                found += 1;
            }
        }
        prop_assert_eq!(found, model.len());
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        for version in [PLAIN, EXTENDED] {
            let _ = HourBlocks::decode(&envelope::seal(version, &payload));
            let _ = HourBlocks::decode_bounds(&envelope::seal(version, &payload));
        }
    }
}
