//! Many lineages at once: wide questions read roll-ups, hour by hour, a chunk of lineages at a time.
//!
//! A lineage-hour comes once: from the roll-up, or, where that does not say (uneven, damaged, under a
//! number that cannot be read), from its block, as its finest cells; where there is no block either
//! (the roll-ups outlive them), as unread.
//! Invariant: what a scan tells adds up to what [`History::series`] tells of each lineage (S2).
//! Proof: `scan_test.rs` (corrupt blocks of files), `crates/replica/src/rollup_test.rs`.

use std::ops::RangeInclusive;

use keyviz_codec::rollup::{Columns, SLOTS, Tier};
use keyviz_codec::{Key, SeriesColumn, key_layout};
use keyviz_lineage::{GroupId, LineageId, Series};
use rocksdb::ReadOptions;

use super::{History, View};
use crate::{Numbers, StoreError};

/// The tag of a slot that nobody asked for.
pub const NOBODY: u32 = u32::MAX;

/// The lineages (or virtual buckets) of a scan, each with the tag that it goes by in the answer.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// All of one group.
    pub lineages: &'a [(LineageId, u32)],
    /// Whether the maxima of roll-ups are wanted, too.
    pub maxima: bool,
}

/// What a scan tells of one hour.
#[derive(Debug)]
pub enum Part<'a> {
    /// A chunk of roll-ups.
    Chunk {
        /// The tag of each slot, [`SLOTS`] of them; [`NOBODY`] where it is not wanted.
        tags: &'a [u32],
        /// Their windows; without maxima where those are not wanted.
        columns: &'a Columns,
    },
    /// Finest cells of one lineage: one or more parts a step, which share no window.
    Cells {
        /// Whose.
        tag: u32,
        /// What was recorded.
        column: SeriesColumn<'a>,
    },
    /// What was recorded of one lineage cannot be read.
    Unread {
        /// Whose; [`NOBODY`]: of all of them, from this hour on.
        tag: u32,
        /// Why.
        error: StoreError,
    },
}

/// [`History::series`] of each wanted lineage, as parts.
pub fn visit_each<H: History + ?Sized>(
    history: &H,
    group: GroupId,
    series: Series,
    hours: RangeInclusive<u64>,
    wanted: &Wanted<'_>,
    visit: &mut dyn FnMut(u64, Part<'_>),
) {
    for &(lineage, tag) in wanted.lineages {
        history.series(group, lineage, series, hours.clone(), &mut |hour, column| match column {
            Ok(column) => visit(hour, Part::Cells { tag, column }),
            Err(error) => visit(hour, Part::Unread { tag, error }),
        });
    }
}

/// One scan of roll-ups.
struct RollupScan<'v, 'a> {
    view: &'v View<'a>,
    group: GroupId,
    tier: Tier,
    series: Series,
    /// By number.
    tags: Vec<u32>,
    wanted: Wanted<'v>,
    /// Which lineage has which number.
    numbers: &'v Numbers,
}

impl<'a> View<'a> {
    /// [`History::rollups`], by numbers that the caller holds.
    pub fn rollups_by<'v>(
        &'v self,
        numbers: &'v Numbers,
        group: GroupId,
        (tier, series): (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'v>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        if wanted.lineages.is_empty() {
            return;
        }
        let like = Key::Rollup { tier, series, hour: 0, chunk: 0 };
        let oldest_hour = like.expiry().map_or(0, |(period, _)| self.oldest.of(period));
        for hours in self.visible(group, &like, hours) {
            // A pinned chunk holds lineages that are not pinned, too.
            for hour in *hours.start()..=*hours.end().min(&oldest_hour.saturating_sub(1)) {
                let kept = |&&(lineage, _): &&(LineageId, u32)| {
                    hour < oldest_hour && self.pins.shows(group, lineage, hour)
                };
                let (lineages, expired): (Vec<_>, Vec<_>) =
                    wanted.lineages.iter().copied().partition(|held| kept(&held));
                // Who recorded the hour is still known: what is not pinned must not look idle.
                for (_, tag) in expired.into_iter().filter(|_| hour < oldest_hour) {
                    visit(hour, Part::Unread { tag, error: StoreError::Expired { group, hour } });
                }
                let wanted = Wanted { lineages: &lineages, ..*wanted };
                self.rollups_of(numbers, group, (tier, series), hour..=hour, &wanted, visit);
            }
            let hours = *hours.start().max(&oldest_hour)..=*hours.end();
            self.rollups_of(numbers, group, (tier, series), hours, wanted, visit);
        }
    }

    /// A stretch of hours in which every wanted lineage is to be seen.
    fn rollups_of(
        &self,
        numbers: &Numbers,
        group: GroupId,
        (tier, series): (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let (from, to) = hours.into_inner();
        if from > to || wanted.lineages.is_empty() {
            return;
        }
        let mut tags = vec![NOBODY; numbers.len().next_multiple_of(SLOTS)];
        for &(lineage, tag) in wanted.lineages {
            if let Some(number) = numbers.get(lineage) {
                tags[number as usize] = tag;
            }
        }
        let scan = RollupScan { view: self, group, tier, series, tags, wanted: *wanted, numbers };
        if numbers.damage().is_empty() {
            scan.set_aside(from..=to, visit);
            scan.run(from..=to, visit);
        } else {
            scan.without_numbers(from..=to, visit);
        }
    }
}

impl RollupScan<'_, '_> {
    /// Where RocksDB finds a corrupt block, the rest of the hour is looked up chunk by chunk, and the scan
    /// goes on behind it.
    fn run(&self, hours: RangeInclusive<u64>, visit: &mut dyn FnMut(u64, Part<'_>)) {
        let (mut from, to) = hours.into_inner();
        let mut columns = Columns::default();
        let chunks = self.numbers.len().div_ceil(SLOTS) as u32;
        while let Some((hour, unread, error)) = self.stretch(from..=to, &mut columns, visit) {
            self.view.store.damage.met(error.to_string());
            for chunk in unread..chunks {
                self.look_up(hour, chunk, &mut columns, visit);
            }
            match hour.checked_add(1) {
                Some(next) if next <= to => from = next,
                _ => return,
            }
        }
    }

    /// Returns the first hour and chunk that cannot be read.
    fn stretch(
        &self,
        hours: RangeInclusive<u64>,
        columns: &mut Columns,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) -> Option<(u64, u32, StoreError)> {
        let (tier, series) = (self.tier, self.series);
        let key_of = |hour, chunk| Key::Rollup { tier, series, hour, chunk }.encode(self.group);
        let mut options = ReadOptions::default();
        let end = key_layout::prefix::end(key_layout::prefix::rollup_of(self.group, tier, series));
        options.set_iterate_upper_bound(match hours.end().checked_add(1) {
            Some(next) => key_of(next, 0),
            None => end,
        });
        let mut cursor = self.view.snapshot.raw_iterator_cf_opt(self.view.store.family(), options);
        cursor.seek(key_of(*hours.start(), 0));
        let mut unread = (*hours.start(), 0);
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            if let Some((_, Key::Rollup { hour, chunk, .. })) = Key::parse(key) {
                self.value(hour, chunk, value, columns, visit);
                unread = (hour, chunk.saturating_add(1));
            }
            cursor.next();
        }
        let source = cursor.status().err()?;
        let (group, key) = (self.group, format!("the roll-ups of {}", series.name()));
        Some((unread.0, unread.1, StoreError::Read { group, key, source }))
    }

    fn look_up(
        &self,
        hour: u64,
        chunk: u32,
        columns: &mut Columns,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let (group, tier, series) = (self.group, self.tier, self.series);
        let key = Key::Rollup { tier, series, hour, chunk };
        match self.view.raw(group, &key) {
            Ok(Some(value)) => self.value(hour, chunk, &value, columns, visit),
            Ok(None) => {}
            Err(StoreError::Read { source, .. }) => {
                let key = key.to_string();
                let error = || StoreError::Read { group, key: key.clone(), source: source.clone() };
                self.blocks_of(hour, chunk, &|_| true, &error, visit);
            }
            Err(error) => visit(hour, Part::Unread { tag: NOBODY, error }),
        }
    }

    /// A stored roll-up; where it cannot be decoded, the blocks.
    fn value(
        &self,
        hour: u64,
        chunk: u32,
        value: &[u8],
        columns: &mut Columns,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        if self.tags_of(chunk).iter().all(|&tag| tag == NOBODY) {
            return;
        }
        let read = match self.wanted.maxima {
            true => columns.read(value),
            false => columns.read_sums(value),
        };
        match read {
            Ok(()) => self.chunk(hour, chunk, columns, visit),
            Err(source) => {
                let (tier, series) = (self.tier, self.series);
                let key = Key::Rollup { tier, series, hour, chunk };
                let error = || StoreError::damaged(self.group, &key, source.clone());
                self.blocks_of(hour, chunk, &|_| true, &error, visit);
            }
        }
    }

    /// What was set aside is in no roll-up either.
    fn set_aside(&self, hours: RangeInclusive<u64>, visit: &mut dyn FnMut(u64, Part<'_>)) {
        let lost = match self.view.keys_set_aside(self.group) {
            Ok(lost) => lost,
            Err(error) => return visit(*hours.start(), Part::Unread { tag: NOBODY, error }),
        };
        for key in lost.iter() {
            let Key::Range { lineage, hour } = key else { continue };
            let number = self.numbers.get(*lineage).filter(|_| hours.contains(hour));
            let tag = number.map_or(NOBODY, |number| self.tags[number as usize]);
            if tag != NOBODY {
                let error = StoreError::SetAside { group: self.group, key: key.to_string() };
                visit(*hour, Part::Unread { tag, error });
            }
        }
    }

    /// The tag of each slot.
    fn tags_of(&self, chunk: u32) -> &[u32] {
        let first = chunk as usize * SLOTS;
        self.tags.get(first..first + SLOTS).unwrap_or(&[])
    }

    fn chunk(
        &self,
        hour: u64,
        chunk: u32,
        columns: &Columns,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        visit(hour, Part::Chunk { tags: self.tags_of(chunk), columns });
        if columns.uneven.is_empty() {
            return;
        }
        let lost = || StoreError::RollupUneven { group: self.group, hour };
        self.blocks_of(hour, chunk, &|slot| columns.uneven.contains(slot), &lost, visit);
    }

    /// Some lineages of a chunk from their blocks.
    fn blocks_of(
        &self,
        hour: u64,
        chunk: u32,
        which: &dyn Fn(usize) -> bool,
        error: &dyn Fn() -> StoreError,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let slots = self.numbers.chunk(chunk as usize).iter().zip(self.tags_of(chunk)).enumerate();
        let asked = slots.filter(|&(slot, (_, &tag))| tag != NOBODY && which(slot));
        let lineages: Vec<(LineageId, u32)> = asked.map(|(_, (&id, &tag))| (id, tag)).collect();
        self.visit_blocks(hour..=hour, &lineages, error, visit);
    }

    fn visit_blocks(
        &self,
        hours: RangeInclusive<u64>,
        lineages: &[(LineageId, u32)],
        error: &dyn Fn() -> StoreError,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        let wanted = Wanted { lineages, ..self.wanted };
        visit_each(self.view, self.group, self.series, hours.clone(), &wanted, visit);
        for &(lineage, tag) in lineages {
            for hour in self.view.expired(self.group, lineage, hours.clone()).into_iter().flatten()
            {
                visit(hour, Part::Unread { tag, error: error() });
            }
        }
    }

    /// Some number is unknown: nobody can tell whose the roll-ups are that nobody claims.
    fn without_numbers(&self, hours: RangeInclusive<u64>, visit: &mut dyn FnMut(u64, Part<'_>)) {
        let (group, why) = (self.group, self.numbers.damage().join("; "));
        let error = || StoreError::NumbersLost { group, why: why.clone() };
        self.visit_blocks(hours, self.wanted.lineages, &error, visit);
    }
}

#[cfg(test)]
#[path = "scan_test.rs"]
mod scan_test;
