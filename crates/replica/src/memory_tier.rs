//! The memory tier: the stored blocks of the newest hours, of all lineages, as they are stored; so that
//! "everything, at full resolution, just now" does not look for a block in as many places as there are
//! ranges.
//!
//! ```text
//! hour -> shelf: the blocks of that hour, one behind the other, and where each ends, by number
//! ```
//!
//! Owns: for each group its shelves, and the applied mark that they are as of. Filled from the store
//! ([`fill`]), newest hour first, behind everybody's back; kept up to date by whoever applies a command,
//! before and after its batch.
//! Invariant R10: a shelf holds every stored block of its hour, byte for byte, as of the applied mark.
//! Nothing changes a block but a command, and each moves the mark; so who holds a snapshot with the
//! same mark may read the shelf in its place, and nobody else does. So do views, and the state machine
//! for the blocks that it merges into.
//! Must not: hold more than its cap (the oldest hours go), or be needed: an hour that is not here is
//! read from the store.
//! Proof: `memory_tier_test.rs`, `persist_test.rs` (the same bytes are stored without it).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyviz_codec::envelope::{self, Checksum};
use keyviz_codec::marks::Applied;
use keyviz_lineage::GroupId;
use keyviz_store::{Batch, Numbers};

pub(crate) mod fill;
pub(crate) mod read;

/// How many hours are held: those of the last 24 h, which begin within one, the open one, and the next,
/// which is empty until it begins.
pub(crate) const HOURS: u64 = 26;

/// What finding a block takes: its number, and where it ends.
const INDEX_BYTES: usize = 2 * size_of::<u32>();

/// Every block of one hour of one group.
#[derive(Debug)]
pub(crate) struct Shelf {
    bytes: Vec<u8>,
    /// Which lineages have one, ascending. (Numbers are never used again: most may be of the dead.)
    numbers: Vec<u32>,
    /// Where each of them ends.
    ends: Vec<u32>,
    /// [`Checksum::Known`] where every block passed its checksum when it came here.
    pub(crate) checksums: Checksum,
}

impl Shelf {
    /// The stored value of the lineage with this number.
    pub(crate) fn get(&self, number: u32) -> Option<&[u8]> {
        let at = self.numbers.binary_search(&number).ok()?;
        Some(self.at(at))
    }

    /// All stored values, by the numbers of their lineages.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &[u8])> {
        self.numbers.iter().enumerate().map(|(at, &number)| (number, self.at(at)))
    }

    fn at(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[at] as usize]
    }

    /// Blocks by ascending number; `None` if they are more than a shelf can hold.
    fn of<'a>(
        blocks: impl ExactSizeIterator<Item = (u32, &'a [u8])>,
        bytes: usize,
    ) -> Option<Self> {
        let count = blocks.len();
        let mut shelf = Self {
            bytes: Vec::with_capacity(bytes),
            numbers: Vec::with_capacity(count),
            ends: Vec::with_capacity(count),
            checksums: Checksum::Known,
        };
        for (number, block) in blocks {
            if !envelope::is_sound(block) {
                shelf.checksums = Checksum::Compute;
            }
            shelf.bytes.extend_from_slice(block);
            shelf.numbers.push(number);
            shelf.ends.push(u32::try_from(shelf.bytes.len()).ok()?);
        }
        Some(shelf)
    }

    /// With some blocks changed.
    fn with(&self, changed: &BTreeMap<u32, &[u8]>) -> Option<Self> {
        let mut blocks: BTreeMap<u32, &[u8]> = self.iter().collect();
        blocks.extend(changed);
        let bytes = blocks.values().map(|block| block.len()).sum();
        Self::of(blocks.into_iter(), bytes)
    }

    fn size(&self) -> u64 {
        (self.bytes.len() + self.numbers.len() * INDEX_BYTES) as u64
    }
}

/// A shelf that is being filled, lineage by lineage.
#[derive(Debug, Default)]
struct Filling {
    bytes: Vec<u8>,
    blocks: Vec<(u32, Range<usize>)>,
}

impl Filling {
    fn push(&mut self, number: u32, block: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(block);
        self.blocks.push((number, start..self.bytes.len()));
    }

    fn finish(mut self) -> Option<Shelf> {
        self.blocks.sort_unstable_by_key(|(number, _)| *number);
        let blocks = self.blocks.iter().map(|(number, at)| (*number, &self.bytes[at.clone()]));
        Shelf::of(blocks, self.bytes.len())
    }
}

/// The shelves of one group, as of one applied mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelves {
    applied: Option<Applied>,
    hours: BTreeMap<u64, Arc<Shelf>>,
}

impl Shelves {
    /// The stored block of the lineage with this number, if it is here.
    pub(crate) fn block(&self, number: u32, hour: u64) -> Option<&[u8]> {
        self.hours.get(&hour)?.get(number)
    }
}

#[derive(Debug, Default)]
struct GroupTier {
    shelves: Arc<Shelves>,
    /// Hours that are being read from the store and have not changed since that began.
    filling: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Held {
    groups: HashMap<GroupId, GroupTier>,
    /// Nothing older is held.
    from_hour: u64,
    bytes: u64,
}

/// What a batch changes, found before it is committed.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// The new shelf of each hour that it changes; `None` where none was held.
    hours: BTreeMap<u64, Option<Arc<Shelf>>>,
}

/// How much the memory tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryTierStatus {
    /// Bytes of blocks, and of where they begin.
    pub bytes: u64,
    /// The first hour that every group that was filled holds, as a Unix hour; `None` = nothing.
    pub first_hour: Option<u64>,
}

/// The shelves of every group.
#[derive(Debug, Default)]
pub(crate) struct MemoryTier {
    max_bytes: u64,
    /// One fills at a time: what is being filled is known once a group.
    filler: Mutex<()>,
    held: Mutex<Held>,
}

impl MemoryTier {
    /// Holds at most so many bytes; with 0, nothing.
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.filler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shelves of a group, if they are as of this mark.
    pub(crate) fn at(&self, group: GroupId, applied: Applied) -> Option<Arc<Shelves>> {
        let held = self.lock();
        let shelves = &held.groups.get(&group)?.shelves;
        (shelves.applied == Some(applied)).then(|| Arc::clone(shelves))
    }

    /// How much is held.
    pub(crate) fn status(&self) -> MemoryTierStatus {
        let held = self.lock();
        let firsts = held.groups.values().map(|tier| tier.shelves.hours.keys().next().copied());
        let firsts: Option<Vec<u64>> = firsts.collect();
        let first_hour = firsts.and_then(|firsts| firsts.into_iter().max());
        MemoryTierStatus { bytes: held.bytes, first_hour }
    }

    /// What `batch` is about to change of what is held.
    pub(crate) fn prepare(&self, group: GroupId, batch: &Batch, numbers: &Numbers) -> Prepared {
        if self.max_bytes == 0 {
            return Prepared::default();
        }
        // Filling may begin before the batch is committed: what it changes has to be known all the same.
        let held = self.lock().groups.get(&group).map(|tier| Arc::clone(&tier.shelves));
        let held = held.unwrap_or_default();
        let mut changed: BTreeMap<u64, BTreeMap<u32, &[u8]>> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for (lineage, hour, block) in batch.blocks() {
            let of_hour = changed.entry(hour).or_default();
            match numbers.get(lineage) {
                Some(number) => drop(of_hour.insert(number, block)),
                None => drop(unknown.insert(hour)),
            }
        }
        let hours = changed.into_iter().map(|(hour, changed)| {
            let shelf = held.hours.get(&hour).filter(|_| !unknown.contains(&hour));
            (hour, shelf.and_then(|shelf| shelf.with(&changed)).map(Arc::new))
        });
        Prepared { hours: hours.collect() }
    }

    /// The batch is committed, and the group is at `applied` with it.
    pub(crate) fn committed(&self, group: GroupId, applied: Applied, prepared: Prepared) {
        let mut held = self.lock();
        let Held { groups, bytes, .. } = &mut *held;
        let Some(tier) = groups.get_mut(&group) else { return };
        let shelves = Arc::make_mut(&mut tier.shelves);
        shelves.applied = Some(applied);
        for (hour, shelf) in prepared.hours {
            tier.filling.remove(&hour);
            // One that came since then lacks what the batch brought.
            let Some(was) = shelves.hours.remove(&hour) else { continue };
            if let Some(shelf) = shelf {
                *bytes = *bytes - was.size() + shelf.size();
                shelves.hours.insert(hour, shelf);
            } else {
                *bytes -= was.size();
            }
        }
        self.keep_cap(&mut held);
    }

    /// Forgets what is too old to be held when it is `now_hour`.
    pub(crate) fn trim(&self, now_hour: u64) {
        let mut held = self.lock();
        let oldest_hour = (now_hour + 2).saturating_sub(HOURS);
        if held.from_hour > now_hour + HOURS {
            // The clock was far ahead, and is not any more.
            held.from_hour = oldest_hour;
        }
        let from_hour = oldest_hour.max(held.from_hour);
        forget_before(&mut held, from_hour);
    }

    /// Hours of a group that are to be read from the store, newest first: as many as are there
    /// already, at least one. None where it would not be kept.
    fn begin(&self, group: GroupId, now_hour: u64) -> Vec<u64> {
        if self.max_bytes == 0 {
            return Vec::new();
        }
        let mut held = self.lock();
        let hours = (held.from_hour..=now_hour + 1).rev();
        let tier = held.groups.entry(group).or_default();
        let most = tier.shelves.hours.len().max(1);
        let missing = hours.filter(|hour| !tier.shelves.hours.contains_key(hour));
        let missing: Vec<u64> = missing.take(most).collect();
        tier.filling = missing.iter().copied().collect();
        missing
    }

    /// Bytes that may still come of hours from `from_hour` on: what is older makes way.
    fn room(&self, from_hour: u64) -> u64 {
        let held = self.lock();
        let newer = held.groups.values().flat_map(|tier| tier.shelves.hours.range(from_hour..));
        self.max_bytes.saturating_sub(newer.map(|(_, shelf)| shelf.size()).sum())
    }

    /// Takes what was read from a snapshot at `applied`. What has changed since is left out. Returns how
    /// many hours were taken.
    fn install(&self, group: GroupId, applied: Applied, shelves: BTreeMap<u64, Shelf>) -> usize {
        let mut held = self.lock();
        let Held { groups, bytes, from_hour } = &mut *held;
        let Some(tier) = groups.get_mut(&group) else { return 0 };
        let filling = std::mem::take(&mut tier.filling);
        let known = *Arc::make_mut(&mut tier.shelves).applied.get_or_insert(applied);
        if known.index < applied.index {
            // A command is in the snapshot that nobody has told of yet.
            return 0;
        }
        let mut taken = 0;
        for (hour, shelf) in shelves {
            if hour >= *from_hour && filling.contains(&hour) {
                *bytes += shelf.size();
                let before = Arc::make_mut(&mut tier.shelves).hours.insert(hour, Arc::new(shelf));
                *bytes -= before.map_or(0, |shelf| shelf.size());
                taken += 1;
            }
        }
        self.keep_cap(&mut held);
        taken
    }

    /// There is no room for what is older than `from_hour`.
    fn give_up(&self, from_hour: u64) {
        forget_before(&mut self.lock(), from_hour);
    }

    fn keep_cap(&self, held: &mut Held) {
        while held.bytes > self.max_bytes {
            let firsts = held.groups.values().filter_map(|tier| tier.shelves.hours.keys().next());
            let Some(&oldest) = firsts.min() else { return };
            forget_before(held, oldest + 1);
        }
    }
}

fn forget_before(held: &mut Held, from_hour: u64) {
    if from_hour <= held.from_hour {
        return;
    }
    held.from_hour = from_hour;
    for tier in held.groups.values_mut() {
        if tier.shelves.hours.keys().next().is_some_and(|&first| first < from_hour) {
            let shelves = Arc::make_mut(&mut tier.shelves);
            let kept = shelves.hours.split_off(&from_hour);
            let gone = std::mem::replace(&mut shelves.hours, kept);
            held.bytes -= gone.values().map(|shelf| shelf.size()).sum::<u64>();
        }
    }
}

#[cfg(test)]
#[path = "memory_tier_test.rs"]
mod memory_tier_test;
