use super::*;

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
