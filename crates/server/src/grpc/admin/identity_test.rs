use keyviz_lineage::{Cause, Hlc, KeyRange, LineageRecord, ParentRef};
use keyviz_replica::Leadership;
use uuid::Uuid;

use super::*;

pub(in super::super) fn record(
    id: u128,
    group: GroupId,
    (from_ms, to_ms): (u64, Option<u64>),
    parents: Vec<ParentRef>,
) -> LineageRecord {
    LineageRecord {
        id: Uuid::from_u128(id),
        range: KeyRange::new(id.to_be_bytes(), *b"").unwrap(),
        route: id as u64,
        group,
        valid_from: Hlc::new(from_ms, 0),
        valid_to: to_ms.map(|ms| Hlc::new(ms, 0)),
        parents,
        successor: None,
        proposal: [0; 16],
        cause: Cause::Create,
        version: 0,
    }
}

fn state(group: GroupId, terms: &[(u64, u64)]) -> GroupState {
    let leader = |&(from_ms, term): &(u64, u64)| Leadership { from_ms, node: "n".into(), term };
    GroupState {
        group,
        leaders: terms.iter().map(leader).collect(),
        applied_index: 0,
        members: Default::default(),
    }
}

#[test]
fn a_range_was_where_its_parents_were() {
    // Lived in 1 until 100, moved to 2; its parent's own parent is pruned and was in 3.
    let pruned = record(1, 3, (0, Some(50)), vec![]);
    let old = record(2, 1, (50, Some(100)), vec![pruned.as_parent()]);
    let new = record(3, 2, (100, None), vec![old.as_parent()]);
    let id = new.id;
    let graph = LineageGraph::from_records([old, new]);
    let groups = [state(1, &[(0, 7), (75, 8)]), state(2, &[(120, 9)])];
    let (found, terms) = Identity::new(&graph, &groups).of(id, &[0, 25, 50, 75, 100, 125], 25);
    assert_eq!(found, [3, 3, 1, 1, 2, 2]);
    // Group 3's leaders and who led 2 before 120 were never told; 120 is within [100, 125).
    assert_eq!(terms, [0, 0, 7, 8, 9, 9]);
}

#[test]
fn where_a_column_ends_counts() {
    let old = record(2, 1, (0, Some(110)), vec![]);
    let new = record(3, 2, (110, None), vec![old.as_parent()]);
    let id = new.id;
    let graph = LineageGraph::from_records([old, new]);
    let (groups, _) = Identity::new(&graph, &[]).of(id, &[0, 100, 200], 100);
    assert_eq!(groups, [1, 2, 2]);
}

#[test]
fn what_is_not_known_is_zero() {
    let graph = LineageGraph::from_records([record(2, 1, (100, None), vec![])]);
    let identity = Identity::new(&graph, &[]);
    assert_eq!(identity.of(Uuid::from_u128(2), &[0, 100], 100), (vec![0, 1], vec![0, 0]));
    assert_eq!(identity.of(Uuid::from_u128(9), &[0, 100], 100), (vec![0, 0], vec![0, 0]));
}
