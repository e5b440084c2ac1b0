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
    newer[0] = value::VERSION + 1;
    let crc = crc32fast::hash(&newer);
    newer.extend_from_slice(&crc.to_le_bytes());
    assert!(matches!(HourBlocks::decode(&newer), Err(CodecError::Version { found: 4, .. })));
}

fn range() -> KeyRange {
    KeyRange::new(*b"user:1", *b"user:2").unwrap()
}

#[test]
fn what_has_neither_bounds_nor_groups_pays_for_neither() {
    let mut hour = HourBlocks::default();
    hour.block_mut(Step::MINUTE).add(&who("n1", 4), entry(3, 9, 0));
    let plain = hour.encode();
    assert_eq!(HourBlocks::decode_bounds(&plain), Ok(None));
    hour.set_bounds(range());
    let bounded = hour.encode();
    // The start, that the end shares five bytes with it, and its sixth.
    assert_eq!(bounded.len(), plain.len() + 7 + 1 + 2);
    assert_eq!(HourBlocks::decode(&bounded).unwrap().bounds(), Some(&range()));
    assert_eq!(HourBlocks::decode_bounds(&bounded), Ok(Some(range())));
    let mut merged = HourBlocks::decode(&plain).unwrap();
    merged.merge(&hour);
    merged.merge(&HourBlocks::decode(&plain).unwrap());
    assert_eq!(merged.bounds(), Some(&range()), "merging keeps them");
}

#[test]
fn what_an_encoder_would_have_said_otherwise_is_refused() {
    let field = |payload: &[u8]| match HourBlocks::decode(&envelope::seal(value::VERSION, payload))
    {
        Err(CodecError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(&[8, 0]), "an unknown head");
    assert_eq!(field(&[2, 0]), "groups that are all its own");
    assert_eq!(field(&[1, 1, 9, 2, 0, 0]), "more shared bytes than there are");
    assert_eq!(field(&[1, 1, 9, 0, 2, 9, 9, 0]), "shared bytes that are written twice");
    assert_eq!(field(&[0, 1, 60, 1, 1]), "one contributor that is counted");
    assert_eq!(field(&[4, 7]), "a step that cuts no hour");
    assert_eq!(field(&[4, 1]), "a step that cuts no hour");
    assert_eq!(field(&[0, 2, 60, 0, 60, 0]), "steps out of order");
    assert_eq!(field(&[4, 60, 0]), "a node that was not named");
    // A node without a name, term 0, no cells, each of the four columns 0.
    let nobody = [4, 60, 1, 0, 2 | 0x30, 0, 0, 0, 0, 0, 0, 0];
    assert!(HourBlocks::decode(&envelope::seal(value::VERSION, &nobody)).is_ok());
    for (shape, why) in [
        (2 | 0x70, "an unknown shape"),
        (2, "columns that do not add up"),
        (2 | 0x38, "columns that do not add up"),
    ] {
        let mut wrong = nobody;
        wrong[4] = shape;
        assert_eq!(field(&wrong), why);
    }
}

#[test]
fn the_bytes_are_these() {
    let mut hour = HourBlocks::default();
    hour.set_bounds(range());
    for index in 0..60 {
        let reads = 100 + u64::from(index % 4);
        let counts = Counts { reads, writes: 7, read_bytes: 50 * reads + 3, write_bytes: 0 };
        hour.block_mut(Step::MINUTE)
            .add(&who("n1", 4), CellEntry { index, counts, flags: Flags::SAMPLED });
    }
    let hex: String = hour.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let head = "03" // version
        .to_owned() + "05" // bounds, one step of one contributor
        + "06757365723a31" + "05" + "0132" // user:1, five bytes of it, 2
        + "3c" + "036e31" + "04" // 60 windows, n1, term 4
        + "34" + "0100" // all windows, flagged, reads and writes everywhere; all sampled
        + "4064" + "07" // reads: k = 0, up from 100; writes: 7
        + "32" + "06" // 50 bytes a read, and 3 more
        + "00" + "00"; // no bytes written
    // One and no, one, two, three zeros, over and over: 10 bits for four windows.
    let bits = "25965862892596586289259658628925965822";
    assert_eq!(hex, head + bits + "03c2cd28");
}

#[test]
fn a_busy_hour_costs_about_its_bits_and_a_silent_one_next_to_nothing() {
    let mut busy = HourBlocks::default();
    let mut silent = HourBlocks::default();
    for index in 0..60u16 {
        // 4 bits of reads, 9 bits of bytes.
        let (reads, more) =
            (1_000 + u64::from(index) * 7 % 16, u64::from(index) * 2_654_435_761 % 512);
        let counts = Counts { reads, writes: 0, read_bytes: reads * 300 + more, write_bytes: 0 };
        busy.block_mut(Step::MINUTE)
            .add(&who("node-1", 3), CellEntry { index, counts, flags: Flags::NONE });
        silent.block_mut(Step::MINUTE).add(&who("node-1", 3), entry(index, 0, 1));
    }
    let bytes = busy.encode().len();
    assert!(bytes < 60 * 14 / 8 + 35, "{bytes} bytes");
    assert!(silent.encode().len() <= 26, "{} bytes", silent.encode().len());
}

#[test]
fn a_small_value_cannot_unfold_to_a_large_block() {
    let second = Step::from_ms(1_000).unwrap();
    let mut hour = HourBlocks::default();
    for node in 0..4u64 {
        for index in 0..3_600 {
            hour.block_mut(second).add(&who("a", node), entry(index, 6, 0));
        }
        let value = hour.encode();
        assert_eq!(HourBlocks::decode(&value).unwrap(), hour);
        let cells = 3_600 * (node as usize + 1);
        assert!(cells <= 4_096 + 4 * value.len(), "V3: {cells} cells of {} bytes", value.len());
        assert!(value.len() < 40 || node > 0);
    }
    // What no encoder writes: ten contributors with all windows, each the same.
    let mut payload = vec![0, 1];
    payload.extend([0x90, 0x1C, 10]);
    for term in 0..10 {
        let node: &[u8] = if term == 0 { &[2, b'a'] } else { &[0] };
        payload.extend_from_slice(node);
        payload.extend([term, 0x30, 6, 3, 7, 0, 0, 0]);
    }
    let folded = HourBlocks::decode(&envelope::seal(value::VERSION, &payload));
    assert!(matches!(
        folded,
        Err(CodecError::Invalid { field: "more cells than bytes can hold", .. })
    ));
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
        for version in 1..=value::VERSION {
            let _ = HourBlocks::decode(&envelope::seal(version, &payload));
            let _ = HourBlocks::decode_bounds(&envelope::seal(version, &payload));
        }
    }
}
