use keyviz_lineage::{Change, RouteSpec};

use super::*;
use crate::keys::seal;

fn transition(change: Change) -> Transition {
    Transition { group: 3, proposal: [7; 16], hlc: Hlc(1 << 20), catalogue_version: 9, change }
}

fn spec(route: RouteId, start: &[u8], end: &[u8]) -> RouteSpec {
    RouteSpec { route, range: KeyRange::new(start, end).unwrap() }
}

#[test]
fn every_transition_comes_back_as_it_was() {
    for change in [
        Change::Create { routes: vec![spec(1, b"", b"\xff"), spec(2, b"\xff", b"")] },
        Change::Split { parent: 1, children: vec![spec(3, b"", b"a"), spec(4, b"a", b"\xff")] },
        Change::Merge { parents: vec![3, 4], survivor: spec(5, b"", b"\xff") },
        Change::MoveOut { route: 5, to_group: 2, to_route: 6 },
        Change::Leader { node: "n".to_owned(), term: 4 },
    ] {
        let transition = transition(change);
        let bytes = seal(TRANSITIONS, &StoredTransition::of(&transition)).unwrap();
        let stored: StoredTransition = keys::unseal(TRANSITIONS, &bytes).unwrap();
        assert_eq!(stored.restore().unwrap(), transition);
    }
}

#[test]
fn only_the_newest_transitions_are_kept_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::new(Arc::new(DB::open_default(folder.path()).unwrap()));
    let empty = Catalogue::empty();
    let numbered =
        |number: u64| Transition { hlc: Hlc(number), ..transition(Change::Drop { route: 1 }) };
    let all: Vec<Transition> = (0..KEPT_TRANSITIONS + 5)
        .map(|number| Transition {
            change: Change::MoveOut { route: 1, to_group: 1, to_route: number + 1 },
            ..numbered(number)
        })
        .collect();
    let commit = |transitions, next_transition| Commit {
        after: &empty,
        closed: &[],
        opened: &[],
        transitions,
        next_transition,
        hlc: Hlc(0),
    };
    let next = records.commit(&commit(&all[..4], 0)).unwrap();
    assert_eq!(records.transitions().unwrap(), all[..4]);
    records.commit(&commit(&all[4..], next)).unwrap();
    assert_eq!(records.transitions().unwrap(), all[5..]);
}

#[test]
fn a_damaged_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = Arc::new(DB::open_default(folder.path()).unwrap());
    let records = Records::new(Arc::clone(&db));
    records.boot(Some("n1"), "x").unwrap();
    db.put(NODE_META, b"\x01{}....").unwrap();
    let error = records.boot(None, "x").unwrap_err().to_string();
    assert!(error.contains("!admin|host|meta|node") && error.contains("checksum"), "{error}");
}

#[test]
fn the_node_id_sticks_and_the_term_grows() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::new(Arc::new(DB::open_default(folder.path()).unwrap()));
    let boot =
        |asked| records.boot(asked, "machine").map(|boot| (boot.node_id, boot.term)).unwrap();
    assert_eq!(boot(None), ("machine".to_owned(), 1));
    assert_eq!(boot(Some("n1")), ("n1".to_owned(), 2));
    assert_eq!(boot(None), ("n1".to_owned(), 3));
}
