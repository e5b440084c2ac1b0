use super::*;
use crate::HlcClock;

fn proposal(hex: &str) -> ProposalId {
    u128::from_str_radix(hex, 16).unwrap().to_be_bytes()
}

#[test]
fn the_vectors_of_the_contract() {
    let vectors = [
        (
            114_688_000_000_000_000,
            1,
            "000102030405060708090a0b0c0d0e0f",
            0,
            "01977420-dc00-7000-83cb-469d7667bba3",
        ),
        (
            114_688_000_000_000_000,
            1,
            "000102030405060708090a0b0c0d0e0f",
            1,
            "01977420-dc00-7000-87cb-469d7667bba3",
        ),
        (
            114_688_000_000_043_981,
            7,
            "00112233445566778899aabbccddeeff",
            0,
            "01977420-dc00-7abc-b605-f5d0fa1d6342",
        ),
        (
            114_688_000_000_065_535,
            u64::MAX,
            "ffffffffffffffffffffffffffffffff",
            1,
            "01977420-dc01-7000-81b3-0448dc92f4fe",
        ),
    ];
    for (hlc, group, proposal_hex, ordinal, expected) in vectors {
        let id = derive(Hlc(hlc), group, &proposal(proposal_hex), ordinal);
        assert_eq!(id.to_string(), expected);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(tick_of(id), Hlc(hlc).plus(ordinal));
    }
}

#[test]
fn a_virtual_id_depends_on_where_the_bounds_part() {
    let range = |start: &[u8], end: &[u8]| KeyRange::new(start, end).unwrap();
    let id = virtual_id(&range(b"a", b"b"));
    assert_eq!((id.get_version_num(), is_virtual(id)), (8, true));
    assert_ne!(virtual_id(&range(b"ab", b"c")), virtual_id(&range(b"a", b"bc")));
    assert_ne!(virtual_id(&range(b"", b"a")), virtual_id(&range(b"a", b"")));
    assert!(!is_virtual(derive(Hlc(5), 1, &[0; 16], 0)));
}

/// The transitions of a busy cluster: several groups, each with its leader's clock, births of one to
/// five, a wall that stands still for a while and then jumps in both directions.
#[test]
fn a_million_transitions_make_distinct_ids_in_the_order_of_their_hlc() {
    const GROUPS: u64 = 7;
    const TRANSITIONS: u64 = 1_000_000;
    let mut clocks = vec![HlcClock::default(); GROUPS as usize];
    let mut last = vec![Uuid::nil(); GROUPS as usize];
    let mut ids = Vec::new();
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut wall_ms = 1_700_000_000_000u64;
    for number in 0..TRANSITIONS {
        // xorshift64: the same numbers at each run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random % 1_000 {
            0 => wall_ms -= 3_600_000,
            1 => wall_ms += 3_600_000,
            2..200 => wall_ms += 1,
            _ => {}
        }
        let (group, births) = ((random >> 32) % GROUPS, 1 + (random >> 16) % 5);
        let hlc = clocks[group as usize].reserve(wall_ms, births);
        let proposal = u128::from(number).to_be_bytes();
        for ordinal in 0..births {
            let id = derive(hlc, group + 1, &proposal, ordinal);
            assert!(id > last[group as usize], "{id} after {}", last[group as usize]);
            assert_eq!(tick_of(id), hlc.plus(ordinal));
            last[group as usize] = id;
            ids.push(id.as_u128());
        }
    }
    let made = ids.len();
    assert!(made as u64 > 2 * TRANSITIONS);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), made, "an id was made twice");
}

#[test]
fn an_id_of_what_has_no_record_is_no_buckets_and_the_same_everywhere() {
    let range = |end: &[u8]| KeyRange::new(*b"a", end.to_vec()).unwrap();
    let id = unrecorded_id(3, 7, &range(b"m"));
    assert_eq!(id, unrecorded_id(3, 7, &range(b"m")));
    let others = [(4, 7, b"m"), (3, 8, b"m"), (3, 7, b"n")];
    assert!(
        others.iter().all(|&(group, route, end)| unrecorded_id(group, route, &range(end)) != id)
    );
    assert!(is_unrecorded(id) && !is_virtual(id) && !is_unrecorded(virtual_id(&range(b"m"))));
    assert!(!is_unrecorded(derive(Hlc::new(1, 0), 3, &[0; 16], 0)));
}
