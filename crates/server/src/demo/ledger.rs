//! The host's ledger: what it counted, as sums by window and row.
//!
//! Responsible for: reading the file (its lines are described in the host's `outbox.rs`).
//! Invariants: lines of the same window and row are added up; a correction takes back the line
//! before it of the same window and beginning; a last line that is still being written is left out.
//! Must not: ask keyviz.
//! Proof: `ledger_test.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use keyviz_lineage::KeyRange;
use serde::Deserialize;

/// What tells rows apart: a route in a group, with the keys it has held all its life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    /// The keys.
    pub(super) range: KeyRange,
    /// The route's number.
    pub(super) route: u64,
    /// The group's.
    pub(super) group: u64,
}

/// Reads, writes, bytes read, bytes written; in the order of [`keyviz_lineage::Series::ALL`].
pub(super) type Counts = [u64; 4];

/// A window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Columns that make it up: one, unless a flush was early.
    pub(super) columns: u64,
    /// How much of it they cover.
    pub(super) covered_ms: u64,
    /// Operations on unknown routes.
    pub(super) unattributed: u64,
    /// By row; rows without traffic are absent.
    pub(super) rows: BTreeMap<RowKey, Counts>,
}

/// Everything in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Length of a window.
    pub(super) step_ms: u64,
    /// By start, Unix milliseconds.
    pub(super) windows: BTreeMap<u64, Sums>,
    /// Every range that ever opened.
    pub(super) opened: BTreeSet<RowKey>,
    /// How often each kind of transition happened.
    pub(super) transitions: BTreeMap<String, u64>,
    /// Columns that the host gave up.
    pub(super) dropped: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Transition(TransitionLine),
    Column(ColumnLine),
}

#[derive(Deserialize)]
struct TransitionLine {
    transition: String,
    group: u64,
    closes: Vec<u64>,
    opens: Vec<OpenedLine>,
    to_group: Option<u64>,
    to_route: Option<u64>,
}

#[derive(Deserialize)]
struct OpenedLine {
    route: u64,
    start: String,
    end: String,
}

#[derive(Deserialize)]
struct ColumnLine {
    window_unix_ms: u64,
    step_ms: u64,
    covered_from_ms: u64,
    covered_to_ms: u64,
    unattributed: u64,
    rows: Vec<RowLine>,
    dropped: bool,
}

#[derive(Deserialize)]
struct RowLine {
    route: u64,
    group: u64,
    start: String,
    end: String,
    reads: u64,
    writes: u64,
    read_bytes: u64,
    write_bytes: u64,
}

impl Ledger {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no ledger; names the line.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path);
        let text =
            text.with_context(|| format!("the host's ledger {} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut ledger = Self::default();
        let mut columns: Vec<ColumnLine> = Vec::new();
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            if !line.ends_with('\n') {
                break;
            }
            let line = serde_json::from_str(line);
            match line.with_context(|| format!("line {number} of the ledger is not understood"))? {
                Line::Transition(line) => ledger.add_transition(&line)?,
                Line::Column(line) if !line.dropped => columns.push(line),
                Line::Column(line) => {
                    let given_up = columns.iter().rposition(|column| {
                        (column.window_unix_ms, column.covered_from_ms)
                            == (line.window_unix_ms, line.covered_from_ms)
                    });
                    let Some(given_up) = given_up else { bail!("line {number} corrects no line") };
                    columns.remove(given_up);
                    ledger.dropped += 1;
                }
            }
        }
        for column in &columns {
            ledger.add_column(column)?;
        }
        Ok(ledger)
    }

    fn add_transition(&mut self, line: &TransitionLine) -> anyhow::Result<()> {
        for opened in &line.opens {
            let key = row_key(opened.route, line.group, &opened.start, &opened.end)?;
            self.opened.insert(key);
        }
        // The line of a move does not repeat the keys.
        if let (Some(group), Some(route)) = (line.to_group, line.to_route) {
            let is_old =
                |key: &&RowKey| key.group == line.group && line.closes.contains(&key.route);
            let Some(old) = self.opened.iter().find(is_old) else {
                bail!("route {:?} of group {} moves, and never opened", line.closes, line.group)
            };
            self.opened.insert(RowKey { range: old.range.clone(), route, group });
        }
        *self.transitions.entry(line.transition.clone()).or_default() += 1;
        Ok(())
    }

    fn add_column(&mut self, line: &ColumnLine) -> anyhow::Result<()> {
        ensure!(
            line.step_ms > 0 && (self.windows.is_empty() || self.step_ms == line.step_ms),
            "the ledger holds columns of {} and of {} ms",
            self.step_ms,
            line.step_ms
        );
        self.step_ms = line.step_ms;
        let window = self.windows.entry(line.window_unix_ms).or_default();
        window.columns += 1;
        window.covered_ms += line.covered_to_ms.saturating_sub(line.covered_from_ms);
        window.unattributed += line.unattributed;
        for row in &line.rows {
            let sums = window
                .rows
                .entry(row_key(row.route, row.group, &row.start, &row.end)?)
                .or_default();
            let counts = [row.reads, row.writes, row.read_bytes, row.write_bytes];
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        Ok(())
    }

    /// How many columns it holds.
    pub(super) fn columns(&self) -> u64 {
        self.windows.values().map(|window| window.columns).sum()
    }

    /// From the start of the first window to the end of the last.
    pub(super) fn span_ms(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.windows.keys().next()?, self.windows.keys().next_back()?);
        Some((*first, last + self.step_ms))
    }

    /// How often a kind of transition happened.
    pub(super) fn count(&self, transition: &str) -> u64 {
        self.transitions.get(transition).copied().unwrap_or(0)
    }
}

fn row_key(route: u64, group: u64, start: &str, end: &str) -> anyhow::Result<RowKey> {
    let range = KeyRange::new(hex::decode(start)?, hex::decode(end)?)?;
    Ok(RowKey { range, route, group })
}

#[cfg(test)]
#[path = "ledger_test.rs"]
mod ledger_test;
