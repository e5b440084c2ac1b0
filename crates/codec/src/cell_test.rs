use super::*;

fn merged(parts: &[(&str, u64, u64, u64)]) -> Cell {
    let own = |&(node, term, reads, writes): &_| (node, 0, term, reads, writes);
    merged_in_groups(&parts.iter().map(own).collect::<Vec<_>>())
}

/// Node, group, term, reads, writes.
fn merged_in_groups(parts: &[(&str, u64, u64, u64, u64)]) -> Cell {
    let owned: Vec<(Contributor, CellEntry)> = parts
        .iter()
        .map(|&(node, group, term, reads, writes)| {
            let counts = Counts { reads, writes, read_bytes: reads * 2, write_bytes: writes * 3 };
            (
                Contributor { node: node.into(), group, term },
                CellEntry { index: 0, counts, flags: Flags::NONE },
            )
        })
        .collect();
    merge(&owned.iter().map(|(who, entry)| (who, entry)).collect::<Vec<_>>())
}

#[test]
fn reads_of_different_nodes_add() {
    let cell = merged(&[("a", 1, 3, 0), ("b", 0, 4, 0)]);
    assert_eq!((cell.counts.reads, cell.counts.read_bytes, cell.flags), (7, 14, Flags::NONE));
}

#[test]
fn the_same_term_counts_once_and_terms_add() {
    let same = merged(&[("a", 5, 0, 10), ("b", 5, 0, 10)]);
    assert_eq!((same.counts.writes, same.flags), (10, Flags::NONE));
    let terms = merged(&[("a", 5, 0, 10), ("b", 6, 0, 7)]);
    assert_eq!((terms.counts.writes, terms.counts.write_bytes, terms.flags), (17, 51, Flags::NONE));
}

#[test]
fn disagreement_keeps_the_larger_and_says_so() {
    for term in [0, 5] {
        let cell = merged(&[("a", term, 0, 10), ("b", term, 0, 12)]);
        assert_eq!((cell.counts.writes, cell.flags), (12, Flags::CONFLICT));
    }
    assert_eq!(
        merged(&[("a", 5, 1, 10), ("b", 5, 1, 0)]).flags,
        Flags::NONE,
        "no report is no disagreement"
    );
}

#[test]
fn groups_that_share_a_term_number_add() {
    let groups = merged_in_groups(&[("a", 1, 5, 1, 10), ("a", 2, 5, 1, 7)]);
    assert_eq!((groups.counts.reads, groups.counts.writes, groups.flags), (2, 17, Flags::NONE));
    let twice = merged_in_groups(&[("a", 1, 5, 1, 10), ("a", 2, 5, 1, 7), ("b", 2, 5, 1, 7)]);
    assert_eq!((twice.counts.reads, twice.counts.writes, twice.flags), (3, 17, Flags::NONE));
    let unknown = merged_in_groups(&[("a", 1, 0, 0, 10), ("b", 1, 0, 0, 12), ("b", 2, 0, 0, 1)]);
    assert_eq!((unknown.counts.writes, unknown.flags), (13, Flags::CONFLICT));
}

#[test]
fn sums_saturate() {
    let cell = merged(&[("a", 5, 0, u64::MAX / 3), ("b", 6, 0, u64::MAX / 3)]);
    assert_eq!(cell.counts.write_bytes, u64::MAX);
    assert!(cell.flags.has(Flags::SATURATED));
}
