//! Biographies against an obvious closure: over the rectangles of a random history, everything that can
//! be reached through parents, and everything that can be reached through children.

use std::collections::BTreeMap;

use keyviz_lineage::{LineageId, LineageRecord};

use crate::biography::{Relation, Subject, records};
use crate::matrix_test::run;

/// Adds what is one step further until nothing is.
fn close(
    list: &[LineageRecord],
    own: &[LineageId],
    found: &mut BTreeMap<LineageId, Relation>,
    relation: Relation,
    is_next: impl Fn(&LineageRecord, &LineageRecord) -> bool,
) {
    let mut reached: Vec<LineageId> = own.to_vec();
    loop {
        let further = list
            .iter()
            .filter(|to| !reached.contains(&to.id))
            .filter(|to| list.iter().any(|from| reached.contains(&from.id) && is_next(from, to)));
        let further: Vec<LineageId> = further.map(|to| to.id).collect();
        if further.is_empty() {
            break;
        }
        reached.extend(further);
    }
    for id in reached {
        found.entry(id).or_insert(relation);
    }
}

#[test]
fn a_biography_is_the_closure_over_parents_and_children() {
    run(|world, request| {
        let list = &world.rectangles.list;
        let (from_ms, to_ms) = (request.from_ms.unwrap_or(0), request.to_ms.unwrap_or(u64::MAX));
        let pick = request.rows.unwrap_or(0);
        let picked = &list[pick % list.len()];
        let subjects = [
            Subject::Lineage(picked.id),
            Subject::Route(picked.route),
            Subject::Key(request.range.start().to_vec()),
        ];
        for subject in subjects {
            let is_own = |held: &&LineageRecord| {
                let is_subject = match &subject {
                    Subject::Lineage(id) => held.id == *id,
                    Subject::Route(route) => held.route == *route,
                    Subject::Key(key) => held.range.contains(key),
                };
                is_subject && held.alive_within(from_ms, to_ms)
            };
            let own: Vec<LineageId> = list.iter().filter(is_own).map(|held| held.id).collect();
            let mut expected: BTreeMap<LineageId, Relation> =
                own.iter().map(|&id| (id, Relation::Itself)).collect();
            let names = |child: &LineageRecord, parent: &LineageRecord| {
                child.parents.iter().any(|named| named.id == parent.id)
            };
            close(list, &own, &mut expected, Relation::Ancestor, |from, to| names(from, to));
            close(list, &own, &mut expected, Relation::Descendant, |from, to| names(to, from));
            let told = records(&world.graph, &subject, from_ms, to_ms);
            assert!(told.is_sorted_by_key(|(record, _)| record.valid_from), "oldest first");
            let told: BTreeMap<LineageId, Relation> =
                told.into_iter().map(|(record, relation)| (record.id, relation)).collect();
            assert_eq!(told, expected, "{subject:?} in [{from_ms}, {to_ms})");
        }
    });
}
