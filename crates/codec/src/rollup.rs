//! Roll-ups: sum and largest finest cell of one series, of 256 lineages side by side, for one hour (one
//! window, or twelve of five minutes).
//!
//! Value under `rollup|<tier>|<series>|<hour>|<chunk>`, inside [`crate::envelope`], version 1. A lineage
//! of number `n` within its group is slot `n % 64` of chunk `n / 64`.
//!
//! ```text
//! windows: 1 or 12                                                                      byte
//! shape: form of the slots in bits 0..1 | 2: flags | 3: uneven slots                    byte
//! slots:   as `codec::presence`, 256 places: which have an entry
//! uneven:  with bit 3: form (byte), then as `codec::presence`, which of those are uneven
//! flags:   with bit 2: as `codec::presence`, window by window, all even slots of each
//! divisor: varint
//! for each window: a column of sums       the first plain, the others signed
//! for each window: a column of maxima     signed
//! ```
//!
//! A column (see `codec::column`) has one number for each even slot; its bits follow its head at once,
//! the last byte filled up with zeros. A sum of a later window is stored as what is left of it without
//! `share(sum of the windows before it, their number)`, a maximum without `share(its sum, divisor)`,
//! where `share(n, d)` is 0 for d = 0, n for d = 1, and otherwise `n x floor((2^64 - 1) / d) / 2^64`,
//! rounded down. All of it is taken modulo 2^64.
//!
//! Invariants: an entry is a pure function of the merged block (R1); a maximum is the largest finest cell
//! of one lineage (R2); where a step does not divide the tier's window, the entry is uneven and says
//! nothing: read the block (R3).
//! Must not: be adjusted; what changed is computed anew by [`of`].
//! Proof: `rollup_test.rs`.

use keyviz_lineage::{Flags, Series};

use crate::bits::{self, BitWriter};
use crate::column::{self, Column, Fold, Kind, Room};
use crate::varint::{Reader, Writer};
use crate::{Cell, CodecError, HourBlocks, cell, envelope, presence};

mod tier;

pub use tier::Tier;

const VERSION: u8 = 1;
const WHAT: &str = "roll-up";
const FLAGGED: u8 = 1 << 2;
const WITH_UNEVEN: u8 = 1 << 3;
/// How many lineages share a value.
pub const SLOTS: usize = 256;
/// The most windows that a tier has an hour.
pub const MAX_WINDOWS: usize = 12;
/// How many cells a window may be tried to have.
const DIVISORS: [u64; 13] = [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600];

/// Some of the slots of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots([u64; SLOTS / 64]);

impl Slots {
    fn of(places: &[u16]) -> Self {
        let mut slots = Self::default();
        places.iter().for_each(|&slot| slots.0[usize::from(slot) / 64] |= 1 << (slot % 64));
        slots
    }

    /// Whether a slot (below [`SLOTS`]) is one of them.
    pub fn contains(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One window of one lineage and series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The sum of its cells, saturating (and flagged then).
    pub sum: u64,
    /// The largest of them.
    pub max: u64,
    /// The flags of all of them.
    pub flags: Flags,
}

impl Summary {
    /// Takes in one more cell.
    pub fn add(&mut self, value: u64, flags: Flags) {
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
        self.flags = self.flags.or(flags);
        if self.sum == u64::MAX {
            self.flags = self.flags.or(Flags::SATURATED);
        }
    }
}

/// What a chunk says of one lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // nearly all are even, and 64 boxes a chunk would cost more
pub enum Entry {
    /// Its windows; a tier with fewer leaves the others at their default.
    Even([Summary; MAX_WINDOWS]),
    /// A block of its hour has a step that does not divide the tier's windows (R3).
    Uneven,
}

impl Entry {
    /// What two entries of one hour say together, where neither holds what the other does.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        match (self, more) {
            (Self::Even(mut windows), Self::Even(more)) => {
                for (held, more) in windows.iter_mut().zip(&more) {
                    let max = held.max.max(more.max);
                    held.add(more.sum, more.flags);
                    held.max = max;
                }
                Self::Even(windows)
            }
            _ => Self::Uneven,
        }
    }
}

/// The entries of one lineage-hour, by [`Series::ALL`] (R1, R2).
pub fn of(hour: &HourBlocks, tier: Tier) -> [Entry; 4] {
    let mut windows = [[Summary::default(); MAX_WINDOWS]; 4];
    for block in hour.blocks() {
        let Some(window_of) = tier.window_of(block.step()) else { return [Entry::Uneven; 4] };
        let mut add = |index: u16, cell: Cell| {
            for (series, windows) in Series::ALL.into_iter().zip(&mut windows) {
                windows[window_of(index)].add(cell.counts.get(series), cell.flags);
            }
        };
        let mut contributors = block.contributors();
        match (contributors.next(), contributors.next()) {
            // One contributor, which is the rule: its cells are the merged ones.
            (Some((who, cells)), None) => {
                cells.iter().for_each(|entry| add(entry.index, cell::merge(&[(who, entry)])));
            }
            _ => block.cells().into_iter().for_each(|(index, cell)| add(index, cell)),
        }
    }
    windows.map(Entry::Even)
}

/// `share(n, d)` for one `d`.
#[derive(Clone, Copy)]
struct Share {
    reciprocal: u64,
    /// All bits for d = 1.
    whole: u64,
}

impl Share {
    fn of(divisor: u64) -> Self {
        match divisor {
            0 => Self { reciprocal: 0, whole: 0 },
            1 => Self { reciprocal: 0, whole: u64::MAX },
            _ => Self { reciprocal: u64::MAX / divisor, whole: 0 },
        }
    }

    fn take(self, number: u64) -> u64 {
        let part = ((u128::from(number) * u128::from(self.reciprocal)) >> 64) as u64;
        part | number & self.whole
    }
}

/// The entries of up to [`SLOTS`] lineages, of one series and hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    tier: Tier,
    slots: Vec<Option<Entry>>,
}

impl Chunk {
    /// One without entries.
    pub fn new(tier: Tier) -> Self {
        Self { tier, slots: vec![None; SLOTS] }
    }

    /// The length of its windows.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The entry of a slot; `None` also where there is no such slot.
    pub fn get(&self, slot: usize) -> Option<&Entry> {
        self.slots.get(slot)?.as_ref()
    }

    /// Puts an entry into a slot below [`SLOTS`], or takes it away.
    pub fn set(&mut self, slot: usize, entry: Option<Entry>) {
        debug_assert!(slot < SLOTS);
        if let Some(held) = self.slots.get_mut(slot) {
            *held = entry;
        }
    }

    /// Whether no slot has an entry.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        let entries: Vec<&Entry> = self.slots.iter().flatten().collect();
        let places = |found: &dyn Fn(usize) -> bool, count: usize| -> Vec<u16> {
            (0..count).filter(|&at| found(at)).map(|at| at as u16).collect()
        };
        let taken = places(&|slot| self.slots[slot].is_some(), SLOTS);
        let uneven = places(&|at| *entries[at] == Entry::Uneven, entries.len());
        let even: Vec<&[Summary; MAX_WINDOWS]> = entries
            .iter()
            .filter_map(|entry| if let Entry::Even(windows) = entry { Some(windows) } else { None })
            .collect();
        let windows = self.tier.windows();
        let flags = || (0..windows).flat_map(|at| even.iter().map(move |entry| entry[at].flags));
        let (mut out, mut slots) = (Writer::default(), Writer::default());
        let mut shape = presence::write(&taken, SLOTS, &mut slots);
        if !uneven.is_empty() {
            shape |= WITH_UNEVEN;
            let mut places = Writer::default();
            let form = presence::write(&uneven, entries.len(), &mut places);
            slots.raw(&[form]);
            slots.raw(&places.bytes);
        }
        if flags().any(|flags| !flags.is_none()) {
            shape |= FLAGGED;
            presence::write_flags(flags(), &mut slots);
        }
        out.raw(&[windows as u8, shape]);
        out.raw(&slots.bytes);
        write_columns(&even, windows, &mut out);
        envelope::seal(VERSION, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut columns = Columns::default();
        columns.read(value)?;
        let mut chunk = Self::new(columns.tier());
        for slot in 0..SLOTS {
            let entry = if columns.uneven.contains(slot) {
                Entry::Uneven
            } else {
                let summary = |window: usize| columns.get(window, slot);
                Entry::Even(std::array::from_fn(summary))
            };
            chunk.set(slot, columns.taken.contains(slot).then_some(entry));
        }
        Ok(chunk)
    }
}

fn write_columns(even: &[&[Summary; MAX_WINDOWS]], windows: usize, out: &mut Writer) {
    let mut room = Room::default();
    let divisor = best_divisor(even, windows);
    let share = Share::of(divisor);
    out.uint(divisor);
    let mut before = vec![0u64; even.len()];
    for window in 0..windows {
        let sums = even.iter().map(|entry| entry[window].sum);
        let (left, share) = (sums.clone().zip(&before), Share::of(window as u64));
        let left: Vec<u64> =
            left.map(|(sum, &before)| sum.wrapping_sub(share.take(before))).collect();
        before.iter_mut().zip(sums).for_each(|(total, sum)| *total = total.wrapping_add(sum));
        write_column(&left, kind_of_sums(window), &mut room, out);
    }
    for window in 0..windows {
        let summaries = even.iter().map(|entry| entry[window]);
        let left: Vec<u64> = summaries.map(|held| left_of_max(&held, share)).collect();
        write_column(&left, Kind::Signed, &mut room, out);
    }
}

fn write_column(numbers: &[u64], kind: Kind, room: &mut Room, out: &mut Writer) {
    let plan = column::plan(numbers, kind, Fold::Yes, room);
    let mut bits = BitWriter::default();
    plan.write_head(numbers, out);
    plan.write_bits(numbers, &mut bits);
    out.raw(&bits.finish());
}

fn kind_of_sums(window: usize) -> Kind {
    if window == 0 { Kind::Plain } else { Kind::Signed }
}

fn left_of_max(held: &Summary, share: Share) -> u64 {
    held.max.wrapping_sub(share.take(held.sum))
}

/// The divisor that leaves the least of the maxima: about as many cells as most windows have.
fn best_divisor(even: &[&[Summary; MAX_WINDOWS]], windows: usize) -> u64 {
    let left = |divisor: &u64| {
        let share = Share::of(*divisor);
        let summaries = even.iter().flat_map(|entry| &entry[..windows]);
        let apart = summaries.map(|held| (left_of_max(held, share) as i64).unsigned_abs());
        apart.fold(0, u64::saturating_add)
    };
    DIVISORS.into_iter().min_by_key(left).unwrap_or(0)
}

/// A decoded chunk, column by column, in buffers that the next one uses again.
///
/// Every slice is `windows x SLOTS` long: slot `s` of window `w` is at `w x SLOTS + s`. Slots without an (even)
/// entry hold zeros.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    tier: Option<Tier>,
    /// The slots that have an entry.
    pub taken: Slots,
    /// The slots whose entry is [`Entry::Uneven`].
    pub uneven: Slots,
    /// Sums.
    pub sums: Vec<u64>,
    /// Largest finest cells; empty after [`Columns::read_sums`].
    pub maxima: Vec<u64>,
    /// Flags, or nothing where none are set.
    pub flags: Vec<Flags>,
    gaps: Vec<u8>,
    /// The numbers of one column.
    packed: Vec<u64>,
    places: Vec<u16>,
    packed_flags: Vec<Flags>,
}

impl Columns {
    /// The tier of the last chunk (before the first: of an hour).
    pub fn tier(&self) -> Tier {
        self.tier.unwrap_or(Tier::Hour)
    }

    /// One window of one slot; of a slot without an (even) entry, or past the tier's: nothing.
    fn get(&self, window: usize, slot: usize) -> Summary {
        let at = window * SLOTS + slot;
        let number = |column: &[u64]| column.get(at).copied().unwrap_or_default();
        let flags = self.flags.get(at).copied().unwrap_or_default();
        Summary { sum: number(&self.sums), max: number(&self.maxima), flags }
    }

    /// Decodes a stored chunk.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn read(&mut self, value: &[u8]) -> Result<(), CodecError> {
        let (mut input, divisor) = self.read_before_maxima(value)?;
        let (windows, share) = (self.tier().windows(), Share::of(divisor));
        self.maxima.resize(windows * SLOTS, 0);
        for window in 0..windows {
            self.read_column(&mut input, Kind::Signed)?;
            let sums = &self.sums[window * SLOTS..][..SLOTS];
            let maxima = &mut self.maxima[window * SLOTS..][..SLOTS];
            for ((max, left), &sum) in maxima.iter_mut().zip(&self.packed).zip(sums) {
                *max = left.wrapping_add(share.take(sum));
            }
        }
        input.end()
    }

    /// Decodes all but the maxima, which makes it about twice as fast.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn read_sums(&mut self, value: &[u8]) -> Result<(), CodecError> {
        self.read_before_maxima(value).map(|_| ())
    }

    fn read_before_maxima<'a>(&mut self, value: &'a [u8]) -> Result<(Reader<'a>, u64), CodecError> {
        self.maxima.clear();
        self.flags.clear();
        let mut input = Reader::new(envelope::open(WHAT, VERSION, value)?, WHAT);
        let [windows, shape] = input.array()?;
        let tier = Tier::from_windows(windows);
        self.tier = Some(tier.ok_or_else(|| input.invalid("a tier that there is not"))?);
        if shape & !(presence::FORM_MASK | FLAGGED | WITH_UNEVEN) != 0 {
            return Err(input.invalid("an unknown shape"));
        }
        self.read_slots(shape, &mut input)?;
        let windows = usize::from(windows);
        if shape & FLAGGED != 0 {
            self.read_flags(windows, &mut input)?;
        }
        let divisor = input.uint()?;
        self.sums.resize(windows * SLOTS, 0);
        let mut before = [0u64; SLOTS];
        for window in 0..windows {
            self.read_column(&mut input, kind_of_sums(window))?;
            let share = Share::of(window as u64);
            let sums = &mut self.sums[window * SLOTS..][..SLOTS];
            if windows == 1 {
                sums.copy_from_slice(&self.packed);
                continue;
            }
            for ((sum, left), before) in sums.iter_mut().zip(&self.packed).zip(&mut before) {
                *sum = left.wrapping_add(share.take(*before));
                *before = before.wrapping_add(*sum);
            }
        }
        Ok((input, divisor))
    }

    /// Leaves the even slots in `places`.
    fn read_slots(&mut self, shape: u8, input: &mut Reader<'_>) -> Result<(), CodecError> {
        self.places.clear();
        presence::read(shape, SLOTS, input, &mut self.places)?;
        (self.taken, self.uneven) = (Slots::of(&self.places), Slots::default());
        if shape & WITH_UNEVEN != 0 {
            let [form] = input.array()?;
            let mut uneven = Vec::new();
            presence::read(form, self.places.len(), input, &mut uneven)?;
            if form & !presence::FORM_MASK != 0 || uneven.is_empty() {
                return Err(input.invalid("uneven slots that are none"));
            }
            uneven.iter_mut().for_each(|at| *at = self.places[usize::from(*at)]);
            self.uneven = Slots::of(&uneven);
            let odd = self.uneven;
            self.places.retain(|&slot| !odd.contains(usize::from(slot)));
        }
        Ok(())
    }

    fn read_flags(&mut self, windows: usize, input: &mut Reader<'_>) -> Result<(), CodecError> {
        self.packed_flags.clear();
        presence::read_flags(windows * self.places.len(), input, &mut self.packed_flags)?;
        if self.packed_flags.iter().all(|flags| flags.is_none()) {
            return Err(input.invalid("flags that say nothing"));
        }
        self.flags.resize(windows * SLOTS, Flags::NONE);
        let places = (0..windows).flat_map(|window| {
            self.places.iter().map(move |&slot| window * SLOTS + usize::from(slot))
        });
        for (at, &flags) in places.zip(&self.packed_flags) {
            self.flags[at] = flags;
        }
        Ok(())
    }

    /// Reads one column into `packed`: a number for each slot.
    fn read_column(&mut self, input: &mut Reader<'_>, kind: Kind) -> Result<(), CodecError> {
        let column = Column::parse(input, kind)?;
        let (packed, places) = (&mut self.packed, &self.places);
        packed.resize(places.len(), 0);
        let end = column.read(input.rest(), 0, packed, &mut self.gaps);
        let end = end.filter(|&end| bits::is_filled_up(input.rest(), end));
        let end = end.ok_or_else(|| input.invalid("a column that does not add up"))?;
        if places.len() < SLOTS {
            packed.resize(SLOTS, 0);
            for (at, &slot) in places.iter().enumerate().rev() {
                let number = std::mem::take(&mut packed[at]);
                packed[usize::from(slot)] = number;
            }
        }
        input.raw(end.div_ceil(8)).map(|_| ())
    }
}

#[cfg(test)]
#[path = "rollup_test.rs"]
mod rollup_test;
