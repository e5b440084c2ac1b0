//! Consistent reads: everything a [`View`] returns is of one instant.
//!
//! Invariants: T2, T3 of the crate; iterators live no longer than one call, and their status is
//! checked at the end.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use keyviz_codec::marks::{Applied, BootMark, LeaderEvent, Mark, Member};
use keyviz_codec::rollup::{Chunk, Tier};
use keyviz_codec::{
    BucketIndex, CodecError, Coverage, HourBlocks, Key, SeriesCells, SeriesColumn, SeriesReader,
    key_layout, lineage_record,
};
use keyviz_lineage::{
    GroupId, HOUR_MS, Hlc, LineageId, LineageRecord, Series, SourceId, Step, unix_hour,
};
use rocksdb::{ReadOptions, Snapshot};

use crate::pins::{self, Pins};
use crate::retention::Cutoffs;
use crate::{Store, StoreError};

mod bulk;
mod kept;
mod read;
mod scan;
mod set_aside;
mod unrecorded;

pub use kept::PinMark;
pub use scan::{NOBODY, Part, Wanted, visit_each};
pub use unrecorded::Unrecorded;

/// What a query reads from, on several threads where there is much to read. Implemented by the store alone ([`View`]) and by the store with the open
/// hour over it (`keyviz_replica`).
pub trait History: Sync {
    /// Wall time of the view, Unix milliseconds.
    fn now_ms(&self) -> u64;
    /// The oldest instant of which the finest columns are retained.
    fn oldest_ms(&self) -> u64;
    /// The oldest instant of which hourly roll-ups are retained, and who recorded them.
    fn oldest_rollup_ms(&self) -> u64 {
        self.oldest_ms()
    }
    /// The stretches of these hours of one lineage whose finest columns have expired: nothing may be
    /// said of them, not even that there was no traffic. Ascending.
    fn expired(
        &self,
        _group: GroupId,
        _lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<RangeInclusive<u64>> {
        expired_before(self.oldest_ms(), &hours).into_iter().collect()
    }
    /// The step of an answer over a span in which nothing was recorded.
    fn default_step(&self) -> Step {
        Step::MINUTE
    }
    /// The blocks of one lineage, hour by hour. A damaged one is an error in its place; where one was
    /// set aside, there is an error besides what was stored since. So it is with all that is read by
    /// hour.
    fn blocks(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<HourBlocks, StoreError>)>;
    /// One series of one lineage, merged over its contributors: hour by hour, a column for each step
    /// of the hour, finest first. What [`History::blocks`] says, without the other series. A damaged
    /// hour is an error in its place.
    fn series(
        &self,
        group: GroupId,
        lineage: LineageId,
        series: Series,
        hours: RangeInclusive<u64>,
        visit: &mut dyn FnMut(u64, Result<SeriesColumn<'_>, StoreError>),
    ) {
        visit_series(self.blocks(group, lineage, hours), series, visit);
    }
    /// The finest cells of one series of many lineages: [`History::series`] of each, in any order.
    fn cells(
        &self,
        group: GroupId,
        series: Series,
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        visit_each(self, group, series, hours, wanted, visit);
    }
    /// The roll-ups of one series of many lineages, for the hours of which the tier is retained. What
    /// has no roll-up (yet), or an uneven one, comes as [`Part::Cells`]: its finest cells.
    fn rollups(
        &self,
        group: GroupId,
        (_tier, series): (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        visit_each(self, group, series, hours, wanted, visit);
    }
    /// Who recorded what in a group, hour by hour. A damaged one is an error in its place.
    fn coverage(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<Coverage, StoreError>)>;
    /// Every group that anything is known of, but the node's own.
    ///
    /// # Errors
    /// A read failure.
    fn groups(&self) -> Result<BTreeSet<GroupId>, StoreError>;
    /// The virtual buckets that a group keeps, hour by hour. Their cells are [`History::blocks`] of
    /// the bucket's id in the same group. A damaged one is an error in its place.
    fn buckets(
        &self,
        _group: GroupId,
        _hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<BucketIndex, StoreError>)> {
        Vec::new()
    }
    /// From when to when each node is expected in a group.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    fn members(&self, group: GroupId) -> Result<Vec<(String, Member)>, StoreError>;
}

fn expired_before(oldest_ms: u64, hours: &RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
    let last = (oldest_ms / HOUR_MS).checked_sub(1)?.min(*hours.end());
    (*hours.start() <= last).then(|| *hours.start()..=last)
}

/// One series of [`History::blocks`], as [`History::series`] tells it.
pub fn visit_series(
    hours: Vec<(u64, Result<HourBlocks, StoreError>)>,
    series: Series,
    visit: &mut dyn FnMut(u64, Result<SeriesColumn<'_>, StoreError>),
) {
    let mut cells = SeriesCells::default();
    for (hour, blocks) in hours {
        match blocks {
            Ok(blocks) => {
                for block in blocks.blocks() {
                    visit(hour, Ok(cells.of(block, series)));
                }
            }
            Err(error) => visit(hour, Err(error)),
        }
    }
}

/// The store at one instant.
pub struct View<'a> {
    pub(crate) store: &'a Store,
    pub(crate) snapshot: Snapshot<'a>,
    now_ms: u64,
    /// The first hours that are not hidden.
    oldest: Cutoffs,
    pub(crate) pins: Arc<Pins>,
    set_aside: set_aside::SetAside,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

impl Store {
    /// The store as it is now; `now_ms` decides what has expired.
    pub fn view(&self, now_ms: u64) -> View<'_> {
        let oldest = self.retention.cutoffs_at(now_ms);
        // A pin that is applied after this only keeps more than is seen.
        let pins = self.retention.pins();
        let (snapshot, set_aside) = (self.db.snapshot(), set_aside::SetAside::default());
        View { store: self, snapshot, now_ms, oldest, pins, set_aside }
    }
}

impl View<'_> {
    /// How far a group has come.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn applied(&self, group: GroupId) -> Result<Applied, StoreError> {
        Ok(self.get(group, &Key::Applied, Applied::decode)?.unwrap_or_default())
    }

    /// The stored blocks of one lineage-hour, whatever its age: for merging into.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn block(
        &self,
        group: GroupId,
        lineage: LineageId,
        hour: u64,
    ) -> Result<Option<HourBlocks>, StoreError> {
        self.get(group, &Key::Range { lineage, hour }, HourBlocks::decode)
    }

    /// The stored bytes of a key, decodable or not.
    ///
    /// # Errors
    /// A read failure, naming the key.
    pub fn raw(&self, group: GroupId, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(group, key, |value| Ok(value.to_vec()))
    }

    /// The stored roll-ups under a [`Key::Rollup`], whatever their age: for merging into.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn rollup(&self, group: GroupId, key: &Key) -> Result<Option<Chunk>, StoreError> {
        self.get(group, key, Chunk::decode)
    }

    /// The stored coverage of one hour, whatever its age: for merging into.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn coverage_of(&self, group: GroupId, hour: u64) -> Result<Option<Coverage>, StoreError> {
        self.get(group, &Key::Coverage { hour }, Coverage::decode)
    }

    /// The stored bucket index of one hour, whatever its age: for merging into.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn index_of(&self, group: GroupId, hour: u64) -> Result<Option<BucketIndex>, StoreError> {
        self.get(group, &Key::Index { hour }, BucketIndex::decode)
    }

    /// The stored mark of one expected source.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn member(&self, group: GroupId, node: &str) -> Result<Option<Member>, StoreError> {
        self.get(group, &Key::Member { node: node.to_owned() }, Member::decode)
    }

    /// No HLC above this was issued.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn hlc(&self) -> Result<Hlc, StoreError> {
        Ok(Hlc(self.get(key_layout::NODE_GROUP, &Key::Hlc, u64::decode)?.unwrap_or(0)))
    }

    /// Every lineage record of a group. A damaged one is an error in its place.
    ///
    /// # Errors
    /// A read failure.
    pub fn lineage_records(
        &self,
        group: GroupId,
    ) -> Result<Vec<Result<LineageRecord, StoreError>>, StoreError> {
        let pairs = self.scan_prefix(&key_layout::prefix::lineage(group))?;
        Ok(pairs
            .into_iter()
            .map(|(key, value)| {
                lineage_record::decode(&value).map_err(|source| damaged_physical(&key, source))
            })
            .collect())
    }

    /// Every boot of a source that this node has heard. A damaged mark is left out and told
    /// ([`Store::damage`]): its source is met as a new one.
    ///
    /// # Errors
    /// A read failure.
    pub fn boot_marks(&self) -> Result<Vec<(SourceId, BootMark)>, StoreError> {
        let mut marks = Vec::new();
        for (key, value) in self.scan_prefix(&key_layout::prefix::boot())? {
            let Some((_, Key::Boot { boot, node })) = Key::parse(&key) else { continue };
            match self.decoded(&key, &value, BootMark::decode) {
                Ok(mark) => marks.push((SourceId { node, boot }, mark)),
                Err(error) => self.store.damage.met(error.to_string()),
            }
        }
        Ok(marks)
    }

    /// The changes of leader in `[from_ms, to_ms)`, oldest first.
    ///
    /// # Errors
    /// A read or decode failure, naming the key.
    pub fn leader_events(
        &self,
        group: GroupId,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Vec<(Hlc, LeaderEvent)>, StoreError> {
        let key_at = |ms: u64| Key::Event { hlc: Hlc::new(ms, 0) };
        let mut events = Vec::new();
        if from_ms >= to_ms {
            return Ok(events);
        }
        for hours in self.visible(group, &key_at(0), unix_hour(from_ms)..=unix_hour(to_ms - 1)) {
            let first = key_at(from_ms.max(hours.start() * HOUR_MS)).encode(group);
            let end_ms = hours.end().saturating_add(1).saturating_mul(HOUR_MS);
            for (key, value) in self.scan(first, key_at(to_ms.min(end_ms)).encode(group))? {
                let event =
                    LeaderEvent::decode(&value).map_err(|source| damaged_physical(&key, source))?;
                if let Some((_, Key::Event { hlc })) = Key::parse(&key) {
                    events.push((hlc, event));
                }
            }
        }
        Ok(events)
    }
}

impl History for View<'_> {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn oldest_ms(&self) -> u64 {
        self.oldest.fine_hour * HOUR_MS
    }

    fn oldest_rollup_ms(&self) -> u64 {
        self.oldest.longest_hour * HOUR_MS
    }

    fn expired(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<RangeInclusive<u64>> {
        let kept = self.pins.hours_for(group, &Key::Range { lineage, hour: 0 });
        pins::hidden(&hours, self.oldest.fine_hour, kept)
    }

    fn blocks(
        &self,
        group: GroupId,
        lineage: LineageId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<HourBlocks, StoreError>)> {
        self.hours(group, hours, |hour| Key::Range { lineage, hour }, HourBlocks::decode)
    }

    /// Straight from the stored bytes: nothing is copied, and only this series is decoded.
    fn series(
        &self,
        group: GroupId,
        lineage: LineageId,
        series: Series,
        hours: RangeInclusive<u64>,
        visit: &mut dyn FnMut(u64, Result<SeriesColumn<'_>, StoreError>),
    ) {
        let key_of = |hour| Key::Range { lineage, hour };
        let mut reader = SeriesReader::default();
        for hours in self.visible(group, &key_of(0), hours) {
            for (hour, error) in self.set_aside(group, &hours, key_of) {
                visit(hour, Err(error));
            }
            let (from, to) = hours.into_inner();
            let mut end = key_of(to).encode(group);
            end.push(0);
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(end);
            let mut cursor = self.snapshot.raw_iterator_cf_opt(self.store.family(), options);
            cursor.seek(key_of(from).encode(group));
            let mut next = from;
            while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
                if let Some((_, Key::Range { hour, .. })) = Key::parse(key) {
                    next = hour.saturating_add(1);
                    match reader.read(value, series) {
                        Ok(columns) => columns.for_each(|column| visit(hour, Ok(column))),
                        Err(source) => visit(hour, Err(damaged_physical(key, source))),
                    }
                }
                cursor.next();
            }
            if cursor.status().is_err() {
                let hours = self.hour_by_hour(group, next..=to, key_of, HourBlocks::decode);
                visit_series(hours, series, visit);
            }
        }
    }

    /// The numbers are read from the store each time; who holds them asks [`View::rollups_by`].
    fn rollups(
        &self,
        group: GroupId,
        what: (Tier, Series),
        hours: RangeInclusive<u64>,
        wanted: &Wanted<'_>,
        visit: &mut dyn FnMut(u64, Part<'_>),
    ) {
        match self.numbers(group) {
            Ok(numbers) => self.rollups_by(&numbers, group, what, hours, wanted, visit),
            Err(error) => visit(*hours.start(), Part::Unread { tag: NOBODY, error }),
        }
    }

    fn coverage(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<Coverage, StoreError>)> {
        self.hours(group, hours, |hour| Key::Coverage { hour }, Coverage::decode)
    }

    fn groups(&self) -> Result<BTreeSet<GroupId>, StoreError> {
        self.all_groups()
    }

    fn buckets(
        &self,
        group: GroupId,
        hours: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<BucketIndex, StoreError>)> {
        self.hours(group, hours, |hour| Key::Index { hour }, BucketIndex::decode)
    }

    fn members(&self, group: GroupId) -> Result<Vec<(String, Member)>, StoreError> {
        let mut members = Vec::new();
        for (key, value) in self.scan_prefix(&key_layout::prefix::member(group))? {
            let Some((_, Key::Member { node })) = Key::parse(&key) else { continue };
            match self.decoded(&key, &value, Member::decode) {
                Ok(member) => members.push((node, member)),
                // What it recorded is then somebody's who was not expected: missing, not idle.
                Err(error) => self.store.damage.met(error.to_string()),
            }
        }
        Ok(members)
    }
}

pub(crate) fn damaged_physical(physical: &[u8], source: CodecError) -> StoreError {
    match Key::parse(physical) {
        Some((group, key)) => StoreError::damaged(group, &key, source),
        None => StoreError::Damaged { group: 0, key: physical.escape_ascii().to_string(), source },
    }
}
