//! Roll-ups: sum and largest finest cell of one series, of 256 lineages side by side, for one hour (one
//! window, or twelve of five minutes).
//!
//! Value under `rollup|<tier>|<series>|<hour>|<chunk>`, inside [`crate::envelope`], version 2. A lineage
//! of number `n` within its group is slot `n % 256` of chunk `n / 256`.
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
//! A column (see `codec::patched`; of version 1, `codec::column`, its bits behind its head, the last byte
//! filled up with zeros) has one number for each even slot. A sum of a later window is stored as what is left of it without
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

use crate::bits;
use crate::column::{Column, Kind};
use crate::varint::Reader;
use crate::{CellEntry, CodecError, HourBlocks, envelope, patched, presence};

mod chunk;
mod tier;

pub use chunk::Chunk;
pub use tier::Tier;

const VERSION: u8 = 2;
/// The version whose columns are those of blocks.
const OLD_VERSION: u8 = 1;
const WHAT: &str = "roll-up";
const FLAGGED: u8 = 1 << 2;
const WITH_UNEVEN: u8 = 1 << 3;
/// How many lineages share a value.
pub const SLOTS: usize = 256;
/// The most windows that a tier has an hour.
pub const MAX_WINDOWS: usize = 12;

/// Some of the slots of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots([u64; SLOTS / 64]);

impl Slots {
    fn of(places: &[u16]) -> Self {
        let mut slots = Self::default();
        places.iter().for_each(|&slot| slots.0[usize::from(slot) / 64] |= 1 << (slot % 64));
        slots
    }

    fn put(&mut self, slot: usize, is_in: bool) {
        let bit = 1 << (slot % 64);
        self.0[slot / 64] = self.0[slot / 64] & !bit | if is_in { bit } else { 0 };
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

impl Summary {
    /// What two summaries of different cells say together.
    #[must_use]
    fn plus(mut self, more: Self) -> Self {
        let max = self.max.max(more.max);
        self.add(more.sum, more.flags);
        self.max = max;
        self
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
                windows.iter_mut().zip(more).for_each(|(held, more)| *held = held.plus(more));
                Self::Even(windows)
            }
            _ => Self::Uneven,
        }
    }
}

/// The windows of one tier of one lineage-hour, by [`Series::ALL`]; `None` where they are uneven.
type Windows = Option<[[Summary; MAX_WINDOWS]; 4]>;

/// The entries of one lineage-hour, by [`Series::ALL`] (R1, R2).
pub fn of(hour: &HourBlocks, tier: Tier) -> [Entry; 4] {
    entries(windows_of(hour, tier))
}

/// [`of`] for every tier.
pub fn of_all(hour: &HourBlocks) -> [[Entry; 4]; Tier::ALL.len()] {
    let five = windows_of(hour, Tier::FiveMinutes);
    let hours = match &five {
        // What adds up to twelve windows adds up to the hour, at its top, too.
        Some(windows) => Some(windows.each_ref().map(|windows| {
            let mut whole = [Summary::default(); MAX_WINDOWS];
            whole[0] = windows.iter().copied().fold(Summary::default(), Summary::plus);
            whole
        })),
        None => windows_of(hour, Tier::Hour),
    };
    Tier::ALL.map(|tier| entries(if tier == Tier::Hour { hours } else { five }))
}

fn entries(windows: Windows) -> [Entry; 4] {
    windows.map_or([Entry::Uneven; 4], |windows| windows.map(Entry::Even))
}

/// What some cells of one contributor say together, by [`Series::ALL`].
fn summaries(cells: &[CellEntry]) -> [Summary; 4] {
    let mut all = [Summary::default(); 4];
    let mut flags = Flags::NONE;
    for CellEntry { counts, flags: more, .. } in cells {
        let counts = [counts.reads, counts.writes, counts.read_bytes, counts.write_bytes];
        for (held, count) in all.iter_mut().zip(counts) {
            held.sum = held.sum.saturating_add(count);
            held.max = held.max.max(count);
        }
        flags = flags.or(*more);
    }
    // A count at its top flags its cell in every series.
    if all.iter().any(|held| held.max == u64::MAX) {
        flags = flags.or(Flags::SATURATED);
    }
    all.iter_mut().for_each(|held| held.flags = flags);
    all
}

fn windows_of(hour: &HourBlocks, tier: Tier) -> Windows {
    let mut windows = [[Summary::default(); MAX_WINDOWS]; 4];
    for block in hour.blocks() {
        let width = tier.cells_of(block.step())?;
        let Some(mut cells) = block.of_one() else {
            block.visit_cells(&mut |index, cell| {
                let at = usize::from(index) / width;
                for (series, windows) in Series::ALL.into_iter().zip(&mut windows) {
                    windows[at].add(cell.counts.get(series), cell.flags);
                }
            });
            continue;
        };
        // One contributor, which is the rule: its cells are the merged ones.
        while let Some(first) = cells.first() {
            let at = usize::from(first.index) / width;
            let is_in = |cell: &&CellEntry| usize::from(cell.index) < (at + 1) * width;
            let (inside, rest) = cells.split_at(cells.iter().take_while(is_in).count());
            for (windows, more) in windows.iter_mut().zip(summaries(inside)) {
                windows[at] = windows[at].plus(more);
            }
            cells = rest;
        }
    }
    Some(windows)
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

fn kind_of_sums(window: usize) -> Kind {
    if window == 0 { Kind::Plain } else { Kind::Signed }
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
    /// Of the last chunk.
    version: u8,
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
        let (version, payload) = envelope::open_versioned(WHAT, VERSION, value)?;
        self.version = version;
        let mut input = Reader::new(payload, WHAT);
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
        let (packed, places) = (&mut self.packed, &self.places);
        packed.resize(places.len(), 0);
        match self.version {
            OLD_VERSION => read_old_column(input, kind, packed, &mut self.gaps)?,
            _ => patched::read(input, kind, packed)?,
        }
        if places.len() < SLOTS {
            packed.resize(SLOTS, 0);
            for (at, &slot) in places.iter().enumerate().rev() {
                let number = std::mem::take(&mut packed[at]);
                packed[usize::from(slot)] = number;
            }
        }
        Ok(())
    }
}

/// A column of version 1.
fn read_old_column(
    input: &mut Reader<'_>,
    kind: Kind,
    numbers: &mut [u64],
    gaps: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let column = Column::parse(input, kind)?;
    let end = column.read(input.rest(), 0, numbers, gaps);
    let end = end.filter(|&end| bits::is_filled_up(input.rest(), end));
    let end = end.ok_or_else(|| input.invalid("a column that does not add up"))?;
    input.raw(end.div_ceil(8)).map(|_| ())
}

#[cfg(test)]
#[path = "rollup_test.rs"]
mod rollup_test;
