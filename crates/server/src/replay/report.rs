//! What a replay prints at its end, however it ended.
//!
//! Must not: decide anything.
//! Proved by: `report_test.rs`.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use super::survey::{Refusals, Totals};
use super::verify::Verified;

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;

/// What became of the replay so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Of the first pass; `None` if it did not end.
    pub(crate) read: Option<(Totals, Refusals)>,
    /// What was to be sent.
    pub(crate) planned: Option<Planned>,
    /// What was sent.
    pub(crate) sent: Option<Sent>,
    /// The comparison.
    pub(crate) verified: Option<Verified>,
}

/// What was to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Windows, idle ones too.
    pub(crate) windows: usize,
    /// Start of the first window, Unix milliseconds.
    pub(crate) first_ms: u64,
    /// Start of the last window, Unix milliseconds.
    pub(crate) last_ms: u64,
    /// Length of a window, milliseconds.
    pub(crate) step_ms: u64,
    /// What was added to every time, milliseconds.
    pub(crate) shift_ms: i64,
    /// Routes.
    pub(crate) routes: usize,
    /// Group, node id and boot id.
    pub(crate) source: String,
}

/// What was sent, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Columns.
    pub(crate) columns: u64,
    /// Entries (columns, the routes' birth, the leave) that the node holds.
    pub(crate) acknowledged: u64,
    /// Of these, entries that it held before.
    pub(crate) duplicates: u64,
    /// Connections made.
    pub(crate) connections: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((totals, refusals)) = &self.read {
            let Totals { reads, writes, read_bytes, write_bytes } = totals;
            writeln!(f, "accesses:  {} read: {reads} reads, {writes} writes", reads + writes)?;
            writeln!(f, "bytes:     {read_bytes} read, {write_bytes} written (keys included)")?;
            writeln!(f, "refused:   {} lines", refusals.count)?;
            for line in &refusals.first {
                writeln!(f, "           {line}")?;
            }
            if refusals.count > refusals.first.len() as u64 {
                writeln!(f, "           ...")?;
            }
        }
        if let Some(planned) = &self.planned {
            planned.fmt(f)?;
        }
        if let Some(Sent { columns, acknowledged, duplicates, connections }) = &self.sent {
            writeln!(f, "sent:      {columns} columns over {connections} connections")?;
            writeln!(
                f,
                "stored:    {acknowledged} entries acknowledged (columns, routes, leave), \
                 {duplicates} of them duplicates"
            )?;
        }
        self.verified.as_ref().map_or(Ok(()), |verified| verified.fmt(f))
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (time(self.first_ms), time(self.last_ms));
        let step = humantime::format_duration(Duration::from_millis(self.step_ms));
        writeln!(f, "windows:   {} of {step}, first {first}, last {last}", self.windows)?;
        if self.shift_ms != 0 {
            let by =
                humantime::format_duration(Duration::from_millis(self.shift_ms.unsigned_abs()));
            let direction = if self.shift_ms > 0 { "later" } else { "earlier" };
            writeln!(f, "shifted:   {by} {direction}")?;
        }
        writeln!(f, "routes:    {}", self.routes)?;
        writeln!(f, "source:    {}", self.source)
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step_ms) = self.coarser_step_ms {
            let step = humantime::format_duration(Duration::from_millis(step_ms));
            writeln!(
                f,
                "compared:  in columns of {step}: the node recorded other steps in the same span"
            )?;
        }
        if self.flagged > 0 {
            writeln!(f, "flagged:   {} equal cells are marked inexact by the node", self.flagged)?;
        }
        if self.different == 0 {
            return writeln!(f, "verified: {} cells equal", self.cells);
        }
        writeln!(f, "DIFFERENT: {} of {} cells", self.different, self.cells)?;
        for difference in &self.differences {
            let stored = match difference.stored {
                Some(stored) => stored.to_string(),
                None => "nothing recorded".to_owned(),
            };
            writeln!(
                f,
                "           {} {} {}: read {}, stored {stored}",
                time(difference.window_ms),
                difference.range,
                difference.series.name(),
                difference.expected,
            )?;
        }
        if self.different > self.differences.len() as u64 {
            writeln!(f, "           ...")?;
        }
        Ok(())
    }
}

/// RFC 3339, UTC. The plan keeps times below the year 10000.
fn time(unix_ms: u64) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms))
}
