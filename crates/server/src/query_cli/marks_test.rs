use super::*;
use crate::query_cli::fixture_test::{matrix, row, split};
use keyviz_lineage::Flags;

#[test]
fn every_flag_of_the_contract_has_a_sign_of_its_own() {
    let names: Vec<String> = Flags::NAMES.iter().map(|(_, name)| (*name).to_owned()).collect();
    let map = FlagMap::new(&names);
    let mut signs: Vec<char> = (0..names.len())
        .map(|bit| {
            let cell =
                Cell { value: 1, max: 1, inherited: 0, flags: 1 << bit, state: State::Measured };
            map.marks(&cell).sign().unwrap()
        })
        .collect();
    signs.sort_unstable();
    signs.dedup();
    assert_eq!(signs.len(), names.len());
    assert!(!signs.contains(&'*'));
}

#[test]
fn flags_are_known_by_name_and_strangers_are_shown() {
    let map = FlagMap::new(&["haunted".into(), "conflict".into()]);
    let sign = |flags| {
        let cell = Cell { value: 1, max: 1, inherited: 0, flags, state: State::Measured };
        map.marks(&cell).sign()
    };
    assert_eq!(sign(0), None);
    assert_eq!(sign(1), Some('*'));
    assert_eq!(sign(2), Some('x'));
    assert_eq!(sign(3), Some('x'), "the more serious one is drawn");
    assert_eq!(sign(1 << 31), Some('*'));
}

#[test]
fn states_and_inherited_parts_are_marks_too() {
    let map = FlagMap::new(&[]);
    let words = |state, inherited, value| {
        map.marks(&Cell { value, max: value, inherited, flags: 0, state }).words()
    };
    assert_eq!(words(State::Measured, 0, 1), Vec::<&str>::new());
    assert_eq!(words(State::Measured, 1, 1), ["inherited"]);
    assert_eq!(words(State::Partial, 0, 0), ["partial"]);
    assert_eq!(words(State::Pending, 0, 5), ["pending"]);
    assert_eq!(words(State::Pending, 0, 0), Vec::<&str>::new(), "drawn as pending, not marked");
    assert_eq!(words(State::Unknown(7), 0, 1), ["other flag"]);
}

#[test]
fn a_census_counts_what_is_in_view() {
    let matrix = split();
    let census = Census::of(&Grid::new(&matrix), &FlagMap::new(&matrix.flag_names));
    assert_eq!(census.missing_cells, 4);
    assert_eq!(census.missing_windows, 1);
    assert_eq!(census.pending_cells, 1);
    assert_eq!(census.brightest, Some((Place { row: 1, column: 1 }, 1_000)));
    let marked: Vec<_> = census.marked(Marks::NONE).collect();
    assert_eq!(marked, [('/', "partial", 1), ('^', "inherited", 6)]);
    let marked: Vec<_> = census.marked(PARTIAL.union(PENDING)).collect();
    assert_eq!(marked, [('/', "partial", 1), ('?', "reported in part", 0), ('^', "inherited", 6)]);
}

#[test]
fn an_idle_view_has_no_maximum() {
    let matrix = matrix(vec![row(b"", b"", &[0, 0])]);
    let census = Census::of(&Grid::new(&matrix), &FlagMap::new(&[]));
    assert_eq!((census.brightest, census.max_shade()), (None, 0));
}
