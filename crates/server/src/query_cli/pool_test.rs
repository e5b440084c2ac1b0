use super::*;
use crate::query_cli::fixture_test::{matrix, row, split, with_states};

#[test]
fn every_item_falls_on_one_segment() {
    for count in 0..200 {
        for pixels in 1..80 {
            let fit = fit(count, pixels, 8);
            assert!(fit.pixels() <= pixels, "{count} on {pixels}");
            let mut next = 0;
            for segment in &fit.segments {
                assert_eq!(segment.start, next);
                assert!(!segment.is_empty());
                next = segment.end;
            }
            assert_eq!(next, count);
        }
    }
}

#[test]
fn few_items_grow_evenly_and_not_beyond_the_limit() {
    assert_eq!(fit(12, 60, 8).repeat, 5);
    assert_eq!(fit(2, 60, 8).repeat, 8);
    assert_eq!(fit(59, 60, 8).repeat, 1);
    assert_eq!(fit(120, 60, 8).most(), 2);
    assert_eq!(fit(0, 0, 8).pixels(), 0);
}

#[test]
fn the_largest_wins_and_gaps_are_kept_as_marks() {
    let matrix = split();
    let grid = Grid::new(&matrix);
    let map = FlagMap::new(&matrix.flag_names);
    let at = |rows: Range<usize>, columns: Range<usize>| pool(&grid, &map, &rows, &columns);
    let Pixel::Value { shade, marks } = at(0..4, 0..6) else { panic!("a value") };
    assert_eq!(shade, 1_000);
    assert_eq!(marks.words(), ["partial", "pending", "inherited"]);
    assert_eq!(at(0..4, 3..4), Pixel::Missing);
    assert_eq!(at(1..2, 5..6), Pixel::Pending);
    assert_eq!(at(3..4, 0..3), Pixel::Blank);
    assert_eq!(at(0..1, 2..3), Pixel::Value { shade: 0, marks: Marks::NONE });
    // Missing beside recorded is partial; nonexistent beside recorded is not.
    assert_eq!(at(0..1, 3..5).marks().words(), ["partial"]);
    assert_eq!(at(3..4, 0..5).marks().words(), ["partial"]);
    assert_eq!(at(0..1, 0..3).marks(), Marks::NONE);
}

#[test]
fn a_value_is_shown_whatever_its_state_says() {
    let matrix = matrix(vec![with_states(row(b"", b"", &[5, 6, 7]), "xw-")]);
    let grid = Grid::new(&matrix);
    let map = FlagMap::new(&[]);
    assert_eq!(pool(&grid, &map, &(0..1), &(0..3)).shade(), 7);
    assert_eq!(pool(&grid, &map, &(0..1), &(1..2)).marks().words(), ["pending"]);
}
