//! An answer as a grid of cells, whatever was left out of it or came out too short.
//!
//! Responsible for: reading cells ([`Grid`]), what their states are called ([`State`]), and which
//! cell is the view's largest.
//! Invariants: no index that an answer gives is trusted; a cell that an answer does not hold reads
//! as 0, without flags, nonexistent.
//! Must not: know pixels, colours or words for people.
//! Proof: `grid_test.rs`, and the outputs' own tests.

use keyviz_api::wire::history::{GetMatrixResponse, MatrixRow};

/// What a cell is (`MatrixRow.states`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Recorded, with traffic.
    Measured,
    /// Recorded, without.
    Idle,
    /// Nobody recorded the window.
    Missing,
    /// Some expected source did not.
    Partial,
    /// A source may still report.
    Pending,
    /// No lineage of the range was alive.
    Nonexistent,
    /// A newer node's word.
    Unknown(u8),
}

impl State {
    /// The state with this number.
    pub(crate) const fn from_wire(number: u8) -> Self {
        match number {
            0 => Self::Measured,
            1 => Self::Idle,
            2 => Self::Missing,
            3 => Self::Partial,
            4 => Self::Pending,
            5 => Self::Nonexistent,
            other => Self::Unknown(other),
        }
    }

    /// Its name on every surface.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Idle => "idle",
            Self::Missing => "missing",
            Self::Partial => "partial",
            Self::Pending => "pending",
            Self::Nonexistent => "nonexistent",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether somebody recorded it.
    pub(crate) const fn is_recorded(self) -> bool {
        matches!(self, Self::Measured | Self::Idle | Self::Partial | Self::Unknown(_))
    }
}

/// One cell of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Counted plus inherited.
    pub(crate) value: u64,
    /// The largest recorded window in it.
    pub(crate) max: u64,
    /// The inherited part of the value.
    pub(crate) inherited: u64,
    /// Bits of `flag_names`.
    pub(crate) flags: u32,
    /// What it is.
    pub(crate) state: State,
}

impl Cell {
    /// Whether its numbers mean something: a window that nobody recorded has none.
    pub(crate) const fn has_value(&self) -> bool {
        self.value > 0 || self.state.is_recorded()
    }
}

/// The answer, cell by cell.
#[derive(Debug)]
pub(crate) struct Grid<'a> {
    /// The answer.
    pub(crate) matrix: &'a GetMatrixResponse,
    /// Whether cells are coarser than recorded, so that their largest window is told apart.
    pub(crate) is_coarse: bool,
}

/// A cell's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the row.
    pub(crate) row: usize,
    /// Index of the column.
    pub(crate) column: usize,
}

impl<'a> Grid<'a> {
    /// A view of `matrix`.
    pub(crate) fn new(matrix: &'a GetMatrixResponse) -> Self {
        Self { matrix, is_coarse: matrix.rows.iter().any(|row| !row.max.is_empty()) }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.matrix.rows.len()
    }

    /// How many columns.
    pub(crate) fn columns(&self) -> usize {
        self.matrix.column_unix_ms.len()
    }

    /// The cells of one row, as many as there are columns.
    pub(crate) fn cells(&self, row: usize) -> impl Iterator<Item = Cell> + '_ {
        let row = self.matrix.rows.get(row);
        (0..self.columns()).map(move |column| row.map_or(ABSENT, |row| cell_of(row, column)))
    }

    /// One cell.
    pub(crate) fn cell(&self, place: Place) -> Cell {
        self.matrix.rows.get(place.row).map_or(ABSENT, |row| cell_of(row, place.column))
    }

    /// What a cell's colour stands for: its largest recorded window, so that a spike is as bright
    /// in a week as it was in its minute.
    pub(crate) fn shade(&self, cell: &Cell) -> u64 {
        if self.is_coarse { cell.max } else { cell.value }
    }

    /// The length of the window that [`Grid::shade`] speaks of, in milliseconds.
    pub(crate) fn shade_ms(&self) -> u64 {
        let matrix = self.matrix;
        if self.is_coarse && matrix.recorded_step_ms > 0 {
            matrix.recorded_step_ms
        } else {
            matrix.step_ms
        }
    }

    /// The end of the last window, Unix milliseconds.
    pub(crate) fn end_unix_ms(&self) -> i64 {
        let last = self.matrix.column_unix_ms.last().copied().unwrap_or(0);
        last.saturating_add(i64::try_from(self.matrix.step_ms).unwrap_or(i64::MAX))
    }
}

const ABSENT: Cell = Cell { value: 0, max: 0, inherited: 0, flags: 0, state: State::Nonexistent };

fn cell_of(row: &MatrixRow, column: usize) -> Cell {
    let at = |array: &[u64]| array.get(column).copied();
    let value = at(&row.values).unwrap_or(0);
    let state = row.states.get(column).copied().map_or(ABSENT.state, State::from_wire);
    Cell {
        value,
        max: at(&row.max).unwrap_or(value),
        inherited: at(&row.inherited).unwrap_or(0),
        flags: row.flags.get(column).copied().unwrap_or(0),
        state,
    }
}

#[cfg(test)]
#[path = "grid_test.rs"]
mod grid_test;
