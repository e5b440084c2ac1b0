//! Columns: what one source says of one window (contract section 5).
//!
//! Invariants (checked by [`Column::validate`]): the window is on its step's grid, no route or group
//! is 0, rows are in `(start, route, term, end)` order without duplicates, every row's group is in
//! `groups`, the covered interval is not inverted, keys and all keys together are within their
//! limits; buckets as in [`bucket`].

use thiserror::Error;
use uuid::Uuid;

use crate::{GroupId, KeyRange, RouteId, Window};

pub mod bucket;

pub use bucket::{Bucket, BucketError, BucketPart, MAX_LISTED_MEMBERS};

/// The four series of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Series {
    /// Reads (offered: counted before they run).
    Reads,
    /// Writes (offered, at the leader).
    Writes,
    /// Key length plus value length, summed over reads.
    ReadBytes,
    /// Key length plus value length, summed over writes.
    WriteBytes,
}

impl Series {
    /// All four, in stored order.
    pub const ALL: [Self; 4] = [Self::Reads, Self::Writes, Self::ReadBytes, Self::WriteBytes];

    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::ReadBytes => "read_bytes",
            Self::WriteBytes => "write_bytes",
        }
    }

    /// The series called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|series| series.name() == name)
    }

    /// Whether it counts writes (which merge per leader term) rather than reads (which add).
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Writes | Self::WriteBytes)
    }
}

/// The four counts of a cell. Saturating, never wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
}

impl Counts {
    /// The count of one series.
    pub const fn get(&self, series: Series) -> u64 {
        match series {
            Series::Reads => self.reads,
            Series::Writes => self.writes,
            Series::ReadBytes => self.read_bytes,
            Series::WriteBytes => self.write_bytes,
        }
    }

    /// Mutable access to one series.
    pub const fn get_mut(&mut self, series: Series) -> &mut u64 {
        match series {
            Series::Reads => &mut self.reads,
            Series::Writes => &mut self.writes,
            Series::ReadBytes => &mut self.read_bytes,
            Series::WriteBytes => &mut self.write_bytes,
        }
    }

    /// Adds `other`, saturating. Returns whether a series reached `u64::MAX`.
    pub fn add(&mut self, other: &Self) -> bool {
        let mut saturated = false;
        for series in Series::ALL {
            let slot = self.get_mut(series);
            *slot = slot.saturating_add(other.get(series));
            saturated |= *slot == u64::MAX;
        }
        saturated
    }

    /// Whether a series is at its top.
    pub fn is_saturated(&self) -> bool {
        Series::ALL.into_iter().any(|series| self.get(series) == u64::MAX)
    }

    /// Whether nothing was counted.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a cell is not exact (contract section 5). No flag means exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// Exact.
    pub const NONE: Self = Self(0);
    /// Counted one in N.
    pub const SAMPLED: Self = Self(1);
    /// Sampled, and the promised error bound was missed.
    pub const SOFT: Self = Self(1 << 1);
    /// Nodes disagreed on the writes of one term; the larger value is shown.
    pub const CONFLICT: Self = Self(1 << 2);
    /// Written by a leader whose lease had ended.
    pub const STALE_LEADER: Self = Self(1 << 3);
    /// Shown from a wider range, not counted here.
    pub const INHERITED: Self = Self(1 << 4);
    /// A share of a wider range.
    pub const APPORTIONED: Self = Self(1 << 5);
    /// Not every expected source is in it.
    pub const PARTIAL: Self = Self(1 << 6);
    /// More than a window's worth of time is in it.
    pub const STRETCHED: Self = Self(1 << 7);
    /// Acknowledged columns were shed before they could be stored.
    pub const SHED: Self = Self(1 << 8);
    /// A count reached `u64::MAX`.
    pub const SATURATED: Self = Self(1 << 9);

    /// Every flag with its name on every surface.
    pub const NAMES: [(Self, &'static str); 10] = [
        (Self::SAMPLED, "sampled"),
        (Self::SOFT, "soft"),
        (Self::CONFLICT, "conflict"),
        (Self::STALE_LEADER, "stale_leader"),
        (Self::INHERITED, "inherited"),
        (Self::APPORTIONED, "apportioned"),
        (Self::PARTIAL, "partial"),
        (Self::STRETCHED, "stretched"),
        (Self::SHED, "shed"),
        (Self::SATURATED, "saturated"),
    ];

    /// Both sets of flags.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// One route's counts in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The route as the host numbers it.
    pub route: RouteId,
    /// The group that holds it.
    pub group: GroupId,
    /// The term that this node led for the writes in this row; 0 = unknown or not the leader.
    pub term: u64,
    /// The route's bounds, so that a route unknown to keyviz can be backfilled.
    pub range: KeyRange,
    /// What was counted.
    pub counts: Counts,
    /// What the source itself knows to be inexact.
    pub flags: Flags,
}

impl Row {
    /// What rows are sorted by: `(start, route, term, end)`. The end tells a route from the one that
    /// closed in the same window and passed its number and start on to a child.
    pub fn order(&self) -> (&[u8], RouteId, u64, &[u8]) {
        (self.range.start(), self.route, self.term, self.range.end())
    }
}

/// A node and the one run of it that numbers its columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// The node's name, stable over restarts.
    pub node: String,
    /// Drawn at each start of the node (or a digest of the input, for a replay).
    pub boot: Uuid,
}

/// What one source counted in one window. Idle routes are left out; the column is still sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The window.
    pub window: Window,
    /// Start of the interval that was really covered, Unix milliseconds.
    pub covered_from_ms: u64,
    /// End of the interval that was really covered, Unix milliseconds.
    pub covered_to_ms: u64,
    /// Operations on routes that the source did not know.
    pub unattributed: u64,
    /// The groups that this source answers for in this window, idle ones too; ascending.
    pub groups: Vec<GroupId>,
    /// The counts, in [`Row::order`].
    pub rows: Vec<Row>,
    /// The counts of routes that were counted together, in [`Bucket::order`].
    pub buckets: Vec<Bucket>,
}

/// The longest node name, in bytes.
pub const MAX_NODE_BYTES: usize = 255;
/// The longest key in a row's bounds, in bytes.
pub const MAX_KEY_BYTES: usize = 65_536;
/// The most that the bounds of a column's rows and buckets may take together, in bytes. Shared prefixes
/// and shared bounds are small on the wire and on disk, whatever they unfold to in memory.
pub const MAX_COLUMN_KEY_BYTES: usize = 64 << 20;

/// Why a column is malformed. Nothing of a malformed column is stored.
#[allow(missing_docs)] // the messages name the fields
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ColumnError {
    /// Route or group 0.
    #[error("row {row}: {what} 0 is reserved; route and group ids are non-zero")]
    Zero { row: usize, what: &'static str },
    /// A row out of order, or given twice.
    #[error(
        "row {row} (route {route}) is out of order or given twice: rows go by (start key, route, term, end key)"
    )]
    Order { row: usize, route: RouteId },
    /// A group that has rows but is not listed.
    #[error("row {row} (route {route}) is in group {group}, which the column's groups do not list")]
    UnlistedGroup { row: usize, route: RouteId, group: GroupId },
    /// Groups out of order, given twice or 0.
    #[error("groups must be ascending, distinct and non-zero; entry {index} is {group}")]
    Groups { index: usize, group: GroupId },
    /// Covered interval inverted.
    #[error("covered interval [{from_ms}, {to_ms}) is inverted")]
    Covered { from_ms: u64, to_ms: u64 },
    /// A key over the limit.
    #[error("row {row} (route {route}) has a bound of {bytes} bytes; the limit is 65,536")]
    KeyTooLong { row: usize, route: RouteId, bytes: usize },
    /// Bounds over the limit for all of them.
    #[error(
        "its keys take {bytes} bytes, the limit is 64 MiB; send fewer rows a column, or shorter bounds"
    )]
    TooManyKeyBytes { bytes: usize },
    /// A malformed virtual bucket.
    #[error("bucket {bucket}: {source}")]
    Bucket { bucket: usize, source: BucketError },
}

impl Column {
    /// Checks the invariants in this module's header.
    ///
    /// # Errors
    /// The first violation, naming the row or bucket.
    pub fn validate(&self) -> Result<(), ColumnError> {
        if self.covered_to_ms < self.covered_from_ms {
            let (from_ms, to_ms) = (self.covered_from_ms, self.covered_to_ms);
            return Err(ColumnError::Covered { from_ms, to_ms });
        }
        let mut last_group = 0;
        for (index, &group) in self.groups.iter().enumerate() {
            if group <= last_group {
                return Err(ColumnError::Groups { index, group });
            }
            last_group = group;
        }
        let mut previous: Option<(&[u8], RouteId, u64, &[u8])> = None;
        for (row, entry) in self.rows.iter().enumerate() {
            let route = entry.route;
            if route == 0 || entry.group == 0 {
                let what = if route == 0 { "route" } else { "group" };
                return Err(ColumnError::Zero { row, what });
            }
            if self.groups.binary_search(&entry.group).is_err() {
                return Err(ColumnError::UnlistedGroup { row, route, group: entry.group });
            }
            let bytes = entry.range.start().len().max(entry.range.end().len());
            if bytes > MAX_KEY_BYTES {
                return Err(ColumnError::KeyTooLong { row, route, bytes });
            }
            let key = entry.order();
            if previous.is_some_and(|last| last >= key) {
                return Err(ColumnError::Order { row, route });
            }
            previous = Some(key);
        }
        let bytes = self.key_bytes();
        if bytes > MAX_COLUMN_KEY_BYTES {
            return Err(ColumnError::TooManyKeyBytes { bytes });
        }
        bucket::check(&self.buckets, &self.groups)
            .map_err(|(bucket, source)| ColumnError::Bucket { bucket, source })
    }

    fn key_bytes(&self) -> usize {
        let rows = self.rows.iter().map(|row| &row.range);
        let ranges = rows.chain(self.buckets.iter().map(|bucket| &bucket.range));
        ranges.map(|range| range.start().len() + range.end().len()).sum()
    }

    /// Whether less than a step was covered (the cell is then partial).
    pub const fn is_short(&self) -> bool {
        self.covered_to_ms - self.covered_from_ms < self.window.step.ms()
    }

    /// Whether more than 1.1 steps were covered (the cell is then stretched).
    pub const fn is_stretched(&self) -> bool {
        // The covered interval is the sender's word: any length.
        (self.covered_to_ms - self.covered_from_ms).saturating_mul(10) > self.window.step.ms() * 11
    }
}

#[cfg(test)]
#[path = "column_test.rs"]
mod column_test;
