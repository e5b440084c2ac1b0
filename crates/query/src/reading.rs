//! What was recorded of the sources of an answer, on its time axis: from the coarsest tier that says all
//! that its columns need.
//!
//! | the step is | read |
//! |---|---|
//! | whole hours | 1 h roll-ups |
//! | whole five minutes, and the recorded windows fit into them | 5 min roll-ups, while they are retained |
//! | anything else, or few sources are asked for that are retained | the finest columns |
//!
//! Few sources are read lineage by lineage, a week of one in one place; many hour by hour.
//! Must not: know rows.
//! Proof: `matrix_test.rs`, with each of them.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use keyviz_codec::SeriesColumn;
use keyviz_codec::rollup::{Columns, SLOTS, Summary, Tier};
use keyviz_lineage::{Flags, GroupId, HOUR_MS, LineageId, Series, Slot};
use keyviz_store::{History, NOBODY, Part, StoreError, Wanted};

use crate::cast::Cast;
use crate::parallel;
use crate::span::Span;
use crate::totals::SourceTotals;

/// How a question is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Fewer sources are read from the finest columns where those are retained.
    pub(crate) narrow_sources: usize,
    /// Sums by row and recorded window that are held at a time.
    pub(crate) scratch_units: usize,
    /// From so many hours of sources on, a question is cut into parts.
    pub(crate) wide_hours: usize,
    /// Into how many.
    pub(crate) parts: usize,
    /// How many threads work them off.
    pub(crate) threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            narrow_sources: 64,
            scratch_units: 1 << 22,
            wide_hours: 1 << 12,
            parts: 4,
            threads: parallel::threads(),
        }
    }
}

/// The sources that are read, by group, each with the tag that it goes by.
pub(crate) struct Asked(BTreeMap<GroupId, Vec<(LineageId, u32)>>);

impl Asked {
    pub(crate) fn of(cast: &Cast<'_>, tagged: impl IntoIterator<Item = (Slot, u32)>) -> Self {
        let mut groups: BTreeMap<GroupId, Vec<(LineageId, u32)>> = BTreeMap::new();
        let mut last = (0, Vec::new());
        for (source, tag) in tagged {
            let Some(record) = cast.record(source) else { continue };
            if record.group != last.0 {
                let (group, lineages) = std::mem::replace(&mut last, (record.group, Vec::new()));
                groups.entry(group).or_default().extend(lineages);
            }
            last.1.push((record.id, tag));
        }
        groups.entry(last.0).or_default().extend(last.1);
        groups.retain(|_, lineages| !lineages.is_empty());
        Self(groups)
    }
}

/// Where in the answer a recorded window lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its first unit.
    pub(crate) unit: usize,
    pub(crate) column: usize,
}

/// Takes what was read.
pub(crate) trait Sink {
    /// Whether the largest cells of roll-ups are wanted.
    const MAXIMA: bool;

    /// What a source, by its tag, recorded in one window: of a roll-up, or a single cell.
    fn take(&mut self, tag: u32, place: Place, recorded: Summary);
    /// One window of a chunk of roll-ups, none of which is flagged: whose, their sums, their maxima.
    fn take_slots(&mut self, tags: &[u32], place: Place, sums: &[u64], maxima: &[u64]) {
        for ((&tag, &sum), &max) in tags.iter().zip(sums).zip(maxima) {
            if tag != NOBODY && sum > 0 {
                self.take(tag, place, Summary { sum, max, flags: Flags::NONE });
            }
        }
    }
    /// Single cells of a source that nothing is flagged in: each is a unit of the answer, its window
    /// counted from the unit `first` on.
    fn take_plain(&mut self, tag: u32, first: usize, per_column: usize, cells: &Plain<'_>) {
        take_each(self, tag, first, per_column, cells);
    }
    /// What it recorded in these units cannot be read.
    fn unread(&mut self, tag: u32, units: Range<usize>, error: &StoreError);
}

/// [`Sink::take_plain`], cell by cell.
pub(crate) fn take_each<S: Sink + ?Sized>(
    sink: &mut S,
    tag: u32,
    first: usize,
    per_column: usize,
    cells: &Plain<'_>,
) {
    for (&window, &value) in cells.windows.iter().zip(cells.values).filter(|(_, v)| **v > 0) {
        let unit = first + usize::from(window);
        let column = if per_column == 1 { unit } else { unit / per_column };
        let recorded = Summary { sum: value, max: value, flags: Flags::NONE };
        sink.take(tag, Place { unit, column }, recorded);
    }
}

/// Cells without a flag.
pub(crate) struct Plain<'a> {
    /// Ascending.
    pub(crate) windows: &'a [u16],
    pub(crate) values: &'a [u64],
}

impl Plain<'_> {
    /// The first window, where the others follow it without a gap.
    pub(crate) fn run(&self) -> Option<usize> {
        let (&first, &last) = (self.windows.first()?, self.windows.last()?);
        (usize::from(last - first) + 1 == self.windows.len()).then_some(usize::from(first))
    }
}

/// One series on the axis of one answer.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) history: &'a dyn History,
    pub(crate) cast: &'a Cast<'a>,
    pub(crate) series: Series,
    pub(crate) span: &'a Span,
    pub(crate) limits: Limits,
}

impl Reading<'_> {
    /// The tier that so many sources are read from; `None` = the finest columns.
    pub(crate) fn tier(&self, sources: usize) -> Option<Tier> {
        let (span, is_fine) = (self.span, self.is_fine());
        let fits = |tier: Tier| span.step.ms().is_multiple_of(tier.step_ms());
        if is_fine && sources < self.limits.narrow_sources {
            None
        } else if fits(Tier::Hour) {
            Some(Tier::Hour)
        } else {
            let unit_fits = Tier::FiveMinutes.step_ms().is_multiple_of(span.unit.ms());
            (is_fine && unit_fits && fits(Tier::FiveMinutes)).then_some(Tier::FiveMinutes)
        }
    }

    /// Whether the finest columns of the whole span are retained.
    fn is_fine(&self) -> bool {
        self.span.from_ms >= self.history.oldest_ms()
    }

    /// Whether so many sources over these hours are worth several threads.
    pub(crate) fn is_wide(&self, sources: usize, hours: RangeInclusive<u64>) -> bool {
        sources.saturating_mul(hours.count()) >= self.limits.wide_hours
    }

    /// What `sources` recorded over the whole span, by their place: of whole hours it is in their roll-ups,
    /// whichever tier the cells come from.
    pub(crate) fn totals(&self, tier: Option<Tier>, sources: &[Slot]) -> SourceTotals {
        let (span, hours) = (self.span, self.span.hours());
        let whole = span.from_ms.div_ceil(HOUR_MS)..span.to_ms / HOUR_MS;
        // Roll-ups outlive the cells: what is not shown may not choose the rows.
        let is_fine = tier != Some(Tier::Hour) && self.is_fine();
        let mut stretches = Vec::new();
        if !is_fine || sources.len() < self.limits.narrow_sources || whole.is_empty() {
            stretches.push((hours, tier));
        } else {
            stretches.push((whole.start..=whole.end - 1, Some(Tier::Hour)));
            if *hours.start() < whole.start {
                stretches.push((*hours.start()..=whole.start - 1, tier));
            }
            if whole.end <= *hours.end() {
                stretches.push((whole.end..=*hours.end(), tier));
            }
        }
        let is_wide = self.is_wide(sources.len(), span.hours());
        let (parts, threads) =
            if is_wide { (self.limits.parts, self.limits.threads) } else { (1, 1) };
        let pieces = stretches.into_iter().flat_map(|(hours, tier)| {
            cut(hours, parts).into_iter().map(move |hours| (hours, tier))
        });
        let asked = Asked::of(self.cast, sources.iter().copied().zip(0..));
        let read = |(hours, tier)| {
            let mut totals = SourceTotals::of(sources.len());
            self.each(hours, tier, &asked, &mut totals);
            totals
        };
        let totals = parallel::each(threads, pieces.collect(), read).into_iter();
        totals.reduce(|held, more| held.plus(&more)).unwrap_or(SourceTotals(Vec::new()))
    }

    /// Reads what was asked for of these hours.
    pub(crate) fn each<S: Sink>(
        &self,
        hours: RangeInclusive<u64>,
        tier: Option<Tier>,
        asked: &Asked,
        sink: &mut S,
    ) {
        for (&group, lineages) in &asked.0 {
            let wanted = Wanted { lineages, maxima: S::MAXIMA };
            let mut visit = |hour: u64, part: Part<'_>| match part {
                Part::Chunk { tags, columns } => self.chunk(hour, tags, columns, sink),
                Part::Cells { tag, column } => self.cells(tier, hour, tag, column, sink),
                Part::Unread { tag: NOBODY, error } => {
                    let units = self.span.units_within(hour * HOUR_MS, u64::MAX);
                    for &(_, tag) in lineages {
                        sink.unread(tag, units.clone(), &error);
                    }
                }
                Part::Unread { tag, error } => {
                    let end_ms = (hour + 1) * HOUR_MS;
                    sink.unread(tag, self.span.units_within(hour * HOUR_MS, end_ms), &error);
                }
            };
            match tier {
                Some(tier) => {
                    let what = (tier, self.series);
                    self.history.rollups(group, what, hours.clone(), &wanted, &mut visit);
                }
                None => {
                    self.history.cells(group, self.series, hours.clone(), &wanted, &mut visit);
                }
            }
        }
    }

    fn place(&self, start_ms: u64) -> Option<Place> {
        let unit = self.span.unit_of(start_ms)?;
        Some(Place { unit, column: unit / self.span.units_per_column() })
    }

    fn chunk<S: Sink>(&self, hour: u64, tags: &[u32], columns: &Columns, sink: &mut S) {
        let tier = columns.tier();
        for window in 0..tier.windows() {
            let start_ms = hour * HOUR_MS + window as u64 * tier.step_ms();
            let Some(place) = self.place(start_ms) else { continue };
            let at = window * SLOTS..(window + 1) * SLOTS;
            let sums = &columns.sums[at.clone()];
            let maxima = if S::MAXIMA { &columns.maxima[at.clone()] } else { sums };
            match columns.flags.get(at) {
                None => sink.take_slots(tags, place, sums, maxima),
                Some(flags) => {
                    for (((&tag, &sum), &max), &flags) in
                        tags.iter().zip(sums).zip(maxima).zip(flags)
                    {
                        if tag != NOBODY && (sum > 0 || !flags.is_none()) {
                            sink.take(tag, place, Summary { sum, max, flags });
                        }
                    }
                }
            }
        }
    }

    /// The finest cells of one source, each a unit of the answer: no cell costs a division.
    fn units(&self, hour: u64, tag: u32, column: SeriesColumn<'_>, sink: &mut impl Sink) {
        let (units, per_column) = (self.span.units(), self.span.units_per_column());
        // A span begins at a whole unit, and so does an hour.
        let before = self.span.from_ms.saturating_sub(hour * HOUR_MS) / self.span.unit.ms();
        let behind = (hour * HOUR_MS).saturating_sub(self.span.from_ms) / self.span.unit.ms();
        let SeriesColumn { windows, values, flags, .. } = column;
        let last = windows.last().map_or(0, |&last| behind as usize + usize::from(last));
        if before == 0 && last < units && flags.is_empty() {
            let cells = Plain { windows, values };
            return sink.take_plain(tag, behind as usize, per_column, &cells);
        }
        for (index, value, flags) in column.cells() {
            let Some(index) = usize::from(index).checked_sub(before as usize) else { continue };
            let unit = behind as usize + index;
            if unit < units && (value > 0 || !flags.is_none()) {
                let column = if per_column == 1 { unit } else { unit / per_column };
                let mut recorded = Summary::default();
                recorded.add(value, flags);
                sink.take(tag, Place { unit, column }, recorded);
            }
        }
    }

    /// The finest cells of one source, summed up as the roll-ups are where the others are.
    fn cells(
        &self,
        tier: Option<Tier>,
        hour: u64,
        tag: u32,
        column: SeriesColumn<'_>,
        sink: &mut impl Sink,
    ) {
        if tier.is_none() && column.step == self.span.unit {
            return self.units(hour, tag, column, sink);
        }
        let window_ms = tier.map_or(column.step.ms(), Tier::step_ms);
        let mut open: Option<(u64, Summary)> = None;
        let mut flush = |open: Option<(u64, Summary)>| {
            let Some((start_ms, recorded)) = open else { return };
            if let Some(place) = self.place(start_ms) {
                sink.take(tag, place, recorded);
            }
        };
        let cells = column.cells().filter(|&(_, value, flags)| value > 0 || !flags.is_none());
        for (index, value, flags) in cells {
            let start_ms = hour * HOUR_MS + u64::from(index) * column.step.ms();
            let start_ms = start_ms - start_ms % window_ms;
            if open.is_none_or(|(held_ms, _)| held_ms != start_ms) {
                flush(open.replace((start_ms, Summary::default())));
            }
            if let Some((_, recorded)) = &mut open {
                recorded.add(value, flags);
            }
        }
        flush(open);
    }
}

/// Stretches of hours, at most so many.
fn cut(hours: RangeInclusive<u64>, parts: usize) -> Vec<RangeInclusive<u64>> {
    let (from, to) = hours.into_inner();
    let length = (to + 1).saturating_sub(from).div_ceil(parts.max(1) as u64).max(1);
    let starts = (from..=to).step_by(length as usize);
    starts.map(|start| start..=to.min(start + length - 1)).collect()
}
