//! Why a cell is not exact, as signs for the picture.
//!
//! Responsible for: flags and states as a set of [`Marks`], which sign wins where several apply,
//! and how many cells of a view bear each ([`Census`]).
//! Invariants: flags are known by the names that the answer gives, not by their bits; a flag of a
//! newer node is shown as `*`, never dropped.
//! Must not: know colours or where a sign is drawn.
//! Proof: `marks_test.rs`.

use super::grid::{Cell, Grid, Place, State};

/// Name on the wire, sign, words. The first that applies is the one that is drawn.
const KINDS: [(&str, char, &str); 12] = [
    ("saturated", '+', "saturated"),
    ("conflict", 'x', "conflict"),
    ("shed", '!', "shed"),
    ("stale_leader", 'L', "stale leader"),
    ("partial", '/', "partial"),
    ("pending", '?', "pending"),
    ("stretched", '>', "stretched"),
    ("soft", '~', "soft"),
    ("apportioned", '%', "apportioned"),
    ("inherited", '^', "inherited"),
    ("sampled", '-', "sampled"),
    ("other", '*', "other flag"),
];
const PARTIAL: Marks = Marks(1 << 4);
const PENDING: Marks = Marks(1 << 5);
const INHERITED: Marks = Marks(1 << 9);
const OTHER: Marks = Marks(1 << 11);

/// A set of reasons why a cell is not exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u16);

impl Marks {
    /// Nothing: exact.
    pub(crate) const NONE: Self = Self(0);

    /// Whether nothing applies.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The sign of the most serious.
    pub(crate) fn sign(self) -> Option<char> {
        self.indexes().next().map(|index| KINDS[index].1)
    }

    /// What applies, in words, the most serious first.
    pub(crate) fn words(self) -> Vec<&'static str> {
        self.indexes().map(|index| KINDS[index].2).collect()
    }

    fn indexes(self) -> impl Iterator<Item = usize> {
        (0..KINDS.len()).filter(move |index| self.0 & (1 << index) != 0)
    }
}

/// What a pixel shows once cells with and without data have come together in it.
pub(crate) fn with_gaps(marks: Marks, any_missing: bool, any_pending: bool) -> Marks {
    let partial = if any_missing { PARTIAL } else { Marks::NONE };
    let pending = if any_pending { PENDING } else { Marks::NONE };
    marks.union(partial).union(pending)
}

/// The flag bits of one answer.
#[derive(Debug)]
pub(crate) struct FlagMap([Marks; 32]);

impl FlagMap {
    /// As the answer names them, bit 0 first.
    pub(crate) fn new(flag_names: &[String]) -> Self {
        let mut map = [OTHER; 32];
        for (slot, name) in map.iter_mut().zip(flag_names) {
            if let Some(index) = KINDS.iter().position(|(known, _, _)| known == name) {
                *slot = Marks(1 << index);
            }
        }
        Self(map)
    }

    /// Why `cell` is not exact. Cells without a value have no marks: they are drawn for what they are.
    pub(crate) fn marks(&self, cell: &Cell) -> Marks {
        if !cell.has_value() {
            return Marks::NONE;
        }
        let mut marks = Marks::NONE;
        let mut rest = cell.flags;
        while rest != 0 {
            marks = marks.union(self.0[rest.trailing_zeros() as usize]);
            rest &= rest - 1;
        }
        if cell.inherited > 0 {
            marks = marks.union(INHERITED);
        }
        marks.union(match cell.state {
            State::Partial => PARTIAL,
            State::Pending => PENDING,
            State::Unknown(_) => OTHER,
            State::Measured | State::Idle | State::Missing | State::Nonexistent => Marks::NONE,
        })
    }
}

/// What is in a view.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Cells that nobody recorded.
    pub(crate) missing_cells: u64,
    /// Windows that nobody recorded in any row that was alive.
    pub(crate) missing_windows: u64,
    /// Cells without a value that may still get one.
    pub(crate) pending_cells: u64,
    /// Rows of lineages that are no longer alive.
    pub(crate) closed_rows: u64,
    /// The brightest cell and its shade; the earliest of the topmost row where several tie.
    pub(crate) brightest: Option<(Place, u64)>,
    marked_cells: [u64; KINDS.len()],
}

impl Census {
    /// Counts `grid`.
    pub(crate) fn of(grid: &Grid<'_>, map: &FlagMap) -> Self {
        let mut census = Self::default();
        let mut is_missing = vec![None; grid.columns()];
        for row in 0..grid.rows() {
            for (column, cell) in grid.cells(row).enumerate() {
                census.add(grid, map, Place { row, column }, &cell);
                if cell.state != State::Nonexistent {
                    let missing = cell.state == State::Missing && cell.value == 0;
                    is_missing[column] = Some(is_missing[column].unwrap_or(true) && missing);
                }
            }
        }
        census.missing_windows =
            is_missing.iter().filter(|&&missing| missing == Some(true)).count() as u64;
        census.closed_rows = grid.matrix.rows.iter().filter(|row| row.closed).count() as u64;
        census
    }

    fn add(&mut self, grid: &Grid<'_>, map: &FlagMap, place: Place, cell: &Cell) {
        if !cell.has_value() {
            self.missing_cells += u64::from(cell.state == State::Missing);
            self.pending_cells += u64::from(cell.state == State::Pending);
            return;
        }
        for index in map.marks(cell).indexes() {
            self.marked_cells[index] += 1;
        }
        let shade = grid.shade(cell);
        if shade > self.brightest.map_or(0, |(_, most)| most) {
            self.brightest = Some((place, shade));
        }
    }

    /// The largest shade, 0 when there was no traffic.
    pub(crate) fn max_shade(&self) -> u64 {
        self.brightest.map_or(0, |(_, shade)| shade)
    }

    /// Sign, words and number of cells of every mark in view, the most serious first. `drawn` are
    /// those of the picture: one that no cell bears comes from cells that share a pixel.
    pub(crate) fn marked(
        &self,
        drawn: Marks,
    ) -> impl Iterator<Item = (char, &'static str, u64)> + '_ {
        (0..KINDS.len())
            .filter(move |&index| self.marked_cells[index] > 0 || drawn.0 & (1 << index) != 0)
            .map(|index| {
                let (_, sign, words) = KINDS[index];
                match (self.marked_cells[index], Marks(1 << index)) {
                    (0, PARTIAL) => (sign, "missing in part", 0),
                    (0, PENDING) => (sign, "reported in part", 0),
                    (cells, _) => (sign, words, cells),
                }
            })
    }
}

#[cfg(test)]
#[path = "marks_test.rs"]
mod marks_test;
