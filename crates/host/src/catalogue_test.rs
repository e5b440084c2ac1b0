use proptest::prelude::*;

use super::*;

fn created(boundaries: &[&str], groups: u64) -> Catalogue {
    let boundaries: Vec<Vec<u8>> = boundaries.iter().map(|key| key.as_bytes().to_vec()).collect();
    let empty = Catalogue::empty();
    empty.after(&empty.plan_create(&boundaries, groups).unwrap())
}

#[test]
fn creation_assigns_groups_in_turn() {
    let catalogue = created(&["g", "n", "t"], 2);
    assert_eq!(catalogue.version, 2);
    let seen: Vec<_> = catalogue.ranges.iter().map(|r| (r.route, r.group)).collect();
    assert_eq!(seen, [(1, 1), (2, 2), (3, 1), (4, 2)]);
    assert_eq!(catalogue.groups(), [1, 2]);
}

#[test]
fn a_split_closes_the_parent_and_opens_two_new_routes() {
    let before = created(&["m"], 1);
    let plan = before.plan_split(b"t").unwrap();
    assert_eq!(plan.closes, [2]);
    let after = before.after(&plan);
    let seen: Vec<_> = after.ranges.iter().map(|r| (r.route, r.keys.to_string())).collect();
    assert_eq!(
        seen,
        [(1, "(-inf, m)".to_owned()), (3, "[m, t)".to_owned()), (4, "[t, +inf)".to_owned())]
    );
}

#[test]
fn a_split_is_never_a_no_op() {
    let catalogue = created(&["m"], 1);
    assert_eq!(catalogue.plan_split(b"").unwrap_err(), CatalogueError::EmptyKey);
    let boundary = catalogue.plan_split(b"m").unwrap_err();
    assert_eq!(boundary, CatalogueError::Boundary { key: b"m".to_vec(), route: 2 });
    let reserved = catalogue.plan_split(b"!admin|x").unwrap_err();
    assert!(matches!(reserved, CatalogueError::Reserved { .. }));
    let long = catalogue.plan_split(&vec![b'x'; MAX_KEY_BYTES + 1]).unwrap_err();
    assert!(matches!(long, CatalogueError::TooLong { .. }));
}

#[test]
fn a_merge_needs_a_right_neighbour_in_its_group() {
    let two_groups = created(&["m"], 2);
    let error = two_groups.plan_merge(b"a").unwrap_err();
    assert!(matches!(error, CatalogueError::TwoGroups { left: 1, right: 2, .. }));
    assert_eq!(two_groups.plan_merge(b"z").unwrap_err(), CatalogueError::LastRange { route: 2 });
    let moved = two_groups.after(&two_groups.plan_move(b"z", 1).unwrap());
    let merged = moved.after(&moved.plan_merge(b"a").unwrap());
    assert_eq!(merged.ranges.len(), 1);
    assert_eq!(merged.ranges[0].keys, KeyRange::all());
}

#[test]
fn boundaries_must_ascend() {
    let boundaries = [b"m".to_vec(), b"c".to_vec()];
    let error = Catalogue::empty().plan_create(&boundaries, 1).unwrap_err().to_string();
    assert!(error.contains("ascending"), "{error}");
}

#[test]
fn a_stored_catalogue_with_a_gap_is_refused() {
    let mut catalogue = created(&["g", "n"], 1);
    catalogue.ranges.remove(1);
    let error = Catalogue::restore(2, 4, catalogue.ranges).unwrap_err();
    assert_eq!(error, CatalogueError::NotTiling { route: 3 });
}

#[test]
fn even_boundaries_tile() {
    for count in [1, 2, 3, 7, 256, 257, 1_000, 10_000] {
        let empty = Catalogue::empty();
        let plan = empty.plan_create(&even_boundaries(count), 1).unwrap();
        assert_eq!(empty.after(&plan).ranges.len() as u64, count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_changes_keep_the_key_space_tiled(
        groups in 1u64..4,
        cuts in prop::collection::btree_set("[a-z]{1,3}", 3..8),
        changes in prop::collection::vec((0u8..3, "[a-z]{0,4}", 1u64..4), 0..60),
    ) {
        let cuts: Vec<&str> = cuts.iter().map(String::as_str).collect();
        let mut catalogue = created(&cuts, groups);
        for (kind, key, group) in changes {
            let key = key.as_bytes();
            let planned = match kind {
                0 => catalogue.plan_split(key),
                1 => catalogue.plan_merge(key),
                _ => catalogue.plan_move(key, group),
            };
            let Ok(plan) = planned else { continue };
            let after = catalogue.after(&plan);
            prop_assert_eq!(after.first_gap(), None);
            prop_assert_eq!(after.version, catalogue.version + 1);
            let old: Vec<RouteId> = catalogue.ranges.iter().map(|r| r.route).collect();
            for range in &after.ranges {
                prop_assert!(old.contains(&range.route) || range.route >= catalogue.next_route);
                prop_assert!(range.route < after.next_route);
            }
            let holder = &after.ranges[after.index_of(key)];
            prop_assert!(holder.keys.contains(key));
            let (version, next) = (after.version, after.next_route);
            prop_assert_eq!(&Catalogue::restore(version, next, after.ranges.clone()).unwrap(), &after);
            catalogue = after;
        }
    }
}
