use super::*;
use crate::query_cli::fixture_test::{matrix, row};

#[test]
fn an_answer_that_is_too_short_reads_as_nothing() {
    let mut answer = matrix(vec![row(b"a", b"b", &[1, 2, 3])]);
    answer.rows[0].values.truncate(1);
    answer.rows[0].states.truncate(2);
    answer.rows[0].flags = vec![64];
    let grid = Grid::new(&answer);
    let cells: Vec<Cell> = grid.cells(0).collect();
    assert_eq!(cells[0].value, 1);
    assert_eq!(cells[0].flags, 64);
    assert_eq!((cells[1].value, cells[1].state), (0, State::Measured));
    assert_eq!((cells[2].value, cells[2].state), (0, State::Nonexistent));
    assert_eq!(grid.cell(Place { row: 9, column: 9 }), ABSENT);
    assert_eq!(grid.cells(9).count(), 3);
}

#[test]
fn shades_are_the_largest_recorded_window() {
    let mut answer = matrix(vec![row(b"a", b"b", &[10, 20]), row(b"b", b"c", &[7, 0])]);
    assert_eq!(Grid::new(&answer).shade_ms(), 60_000);
    answer.step_ms = 600_000;
    answer.rows[0].max = vec![9, 4];
    let grid = Grid::new(&answer);
    assert!(grid.is_coarse);
    assert_eq!(grid.shade_ms(), 60_000);
    assert_eq!(grid.shade(&grid.cell(Place { row: 0, column: 1 })), 4);
    assert_eq!(grid.shade(&grid.cell(Place { row: 1, column: 0 })), 7, "without a max, its sum");
    assert_eq!(grid.end_unix_ms(), answer.column_unix_ms[1] + 600_000);
}

#[test]
fn states_that_a_newer_node_may_send_are_kept() {
    assert_eq!(State::from_wire(5), State::Nonexistent);
    assert_eq!(State::from_wire(9), State::Unknown(9));
    assert!(State::from_wire(9).is_recorded());
}
