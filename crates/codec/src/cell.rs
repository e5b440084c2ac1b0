//! How contributions of several nodes and terms become one cell (contract section 5).
//!
//! Reads add. Writes are one value per (group, term): nodes that report the same one with the same
//! sum count once, with different sums they are a conflict (the larger is kept and flagged); distinct
//! ones add. Under term 0 (unknown) the larger wins, and differing non-zero values are flagged.
//! Only a virtual bucket has several groups; a range's counts are all of the group that stores them.
//! Pure; proved by `cell_test.rs`.

use keyviz_lineage::{Counts, Flags, GroupId, Series};

use crate::{CellEntry, Contributor};

/// One cell: four series and why they are not exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The merged counts.
    pub counts: Counts,
    /// Why they are not exact.
    pub flags: Flags,
}

/// Merges one window's contributions. Each `(node, group, term)` appears once.
pub fn merge(parts: &[(&Contributor, &CellEntry)]) -> Cell {
    let mut cell = Cell::default();
    if let [(_, entry)] = parts {
        Series::ALL.iter().for_each(|&series| add(&mut cell, series, entry.counts.get(series)));
        cell.flags = cell.flags.or(entry.flags);
        return cell;
    }
    for (_, entry) in parts {
        cell.flags = cell.flags.or(entry.flags);
        for series in [Series::Reads, Series::ReadBytes] {
            add(&mut cell, series, entry.counts.get(series));
        }
    }
    for series in [Series::Writes, Series::WriteBytes] {
        let mut by_term: Vec<((GroupId, u64), u64)> = parts
            .iter()
            .map(|(who, entry)| ((who.group, who.term), entry.counts.get(series)))
            .filter(|&(_, value)| value > 0)
            .collect();
        by_term.sort_unstable();
        for term in by_term.chunk_by(|a, b| a.0 == b.0) {
            if term[0].1 != term[term.len() - 1].1 {
                cell.flags = cell.flags.or(Flags::CONFLICT);
            }
            add(&mut cell, series, term[term.len() - 1].1);
        }
    }
    cell
}

/// Adds to one series of a cell; at its top it stays there and says so.
pub(crate) fn add(cell: &mut Cell, series: Series, value: u64) {
    let slot = cell.counts.get_mut(series);
    *slot = slot.saturating_add(value);
    if *slot == u64::MAX {
        cell.flags = cell.flags.or(Flags::SATURATED);
    }
}

#[cfg(test)]
#[path = "cell_test.rs"]
mod cell_test;
