//! The cells of one row, series by series of what a cell says.
//!
//! Responsible for: holding them in few bytes. Most rows inherit nothing and have no flag, and where a
//! cell is one recorded window, its largest window is itself: what all cells have in common takes no room.
//! Invariant: a list is empty, or as long as the row.
//! Must not: know how a cell comes about.
//! Proof: `matrix_test.rs`, where cells are compared one by one.

use keyviz_lineage::Flags;

use crate::{CellState, MatrixCell};

/// The cells of a row, one a column.
#[derive(Clone, Debug, Default)]
pub struct RowCells {
    pub(crate) counted: Vec<u64>,
    /// Empty: nothing is inherited.
    pub(crate) inherited: Vec<u64>,
    /// Empty: each is what the cell shows.
    pub(crate) maxima: Vec<u64>,
    /// Empty: none is set.
    pub(crate) flags: Vec<Flags>,
    pub(crate) states: Vec<CellState>,
}

impl RowCells {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The cell of a column.
    ///
    /// # Panics
    /// Where there is no such column.
    pub fn at(&self, column: usize) -> MatrixCell {
        let (counted, inherited) = (self.counted[column], self.inherited_at(column));
        let max = self.maxima.get(column).copied();
        MatrixCell {
            counted,
            inherited,
            max: max.unwrap_or(counted.saturating_add(inherited)),
            flags: self.flags.get(column).copied().unwrap_or_default(),
            state: self.states[column],
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = MatrixCell> {
        (0..self.len()).map(|column| self.at(column))
    }

    /// What each of them is.
    pub fn states(&self) -> &[CellState] {
        &self.states
    }

    /// Whether any of them shows what a wider source recorded.
    pub fn has_inherited(&self) -> bool {
        self.inherited.iter().any(|&inherited| inherited > 0)
    }

    /// The flags of all of them.
    pub fn flags(&self) -> Flags {
        self.flags.iter().fold(Flags::NONE, |all, &flags| all.or(flags))
    }

    pub(crate) fn inherited_at(&self, column: usize) -> u64 {
        self.inherited.get(column).copied().unwrap_or(0)
    }

    /// Adds flags to a cell.
    pub(crate) fn flag(&mut self, column: usize, flags: Flags) {
        if !flags.is_none() {
            let columns = self.counted.len();
            let held = entry(&mut self.flags, columns, column);
            *held = held.or(flags);
        }
    }
}

/// The entry of a column in a list that is empty until it has one.
pub(crate) fn entry<T: Clone + Default>(
    list: &mut Vec<T>,
    columns: usize,
    column: usize,
) -> &mut T {
    if list.is_empty() {
        list.resize(columns, T::default());
    }
    &mut list[column]
}

impl FromIterator<MatrixCell> for RowCells {
    fn from_iter<I: IntoIterator<Item = MatrixCell>>(cells: I) -> Self {
        let mut row = Self::default();
        for cell in cells {
            row.counted.push(cell.counted);
            row.inherited.push(cell.inherited);
            row.maxima.push(cell.max);
            row.flags.push(cell.flags);
            row.states.push(cell.state);
        }
        row
    }
}

impl PartialEq for RowCells {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for RowCells {}
