//! A roll-up's value to write: entries by slot, and how they are encoded.
//!
//! Invariant: a slot without an (even) entry holds zeros, so that columns can be compared and encoded as
//! they are.
//! Must not: know how entries come about.
//! Proof: `rollup_test.rs`.

use keyviz_lineage::Flags;

use super::{
    Columns, Entry, FLAGGED, MAX_WINDOWS, SLOTS, Share, Slots, Summary, Tier, VERSION, WITH_UNEVEN,
    kind_of_sums,
};
use crate::column::Kind;
use crate::varint::Writer;
use crate::{CodecError, envelope, patched, presence};

/// How many cells a window may be tried to have.
const DIVISORS: [u64; 13] = [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600];

/// The entries of up to [`SLOTS`] lineages, of one series and hour. Column by column, as in
/// [`Columns`]; flags are always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    tier: Tier,
    taken: Slots,
    uneven: Slots,
    sums: Vec<u64>,
    maxima: Vec<u64>,
    flags: Vec<Flags>,
}

impl Chunk {
    /// One without entries.
    pub fn new(tier: Tier) -> Self {
        let length = tier.windows() * SLOTS;
        Self {
            tier,
            taken: Slots::default(),
            uneven: Slots::default(),
            sums: vec![0; length],
            maxima: vec![0; length],
            flags: vec![Flags::NONE; length],
        }
    }

    /// The length of its windows.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The entry of a slot; `None` also where there is no such slot.
    pub fn get(&self, slot: usize) -> Option<Entry> {
        if slot >= SLOTS || !self.taken.contains(slot) {
            return None;
        }
        if self.uneven.contains(slot) {
            return Some(Entry::Uneven);
        }
        let mut windows = [Summary::default(); MAX_WINDOWS];
        for (window, held) in windows.iter_mut().enumerate().take(self.tier.windows()) {
            let at = window * SLOTS + slot;
            *held = Summary { sum: self.sums[at], max: self.maxima[at], flags: self.flags[at] };
        }
        Some(Entry::Even(windows))
    }

    /// Whether a slot has an entry.
    pub fn has(&self, slot: usize) -> bool {
        slot < SLOTS && self.taken.contains(slot)
    }

    /// Puts an entry into a slot below [`SLOTS`], or takes it away.
    pub fn set(&mut self, slot: usize, entry: Option<Entry>) {
        debug_assert!(slot < SLOTS);
        if slot >= SLOTS {
            return;
        }
        self.taken.put(slot, entry.is_some());
        self.uneven.put(slot, entry == Some(Entry::Uneven));
        let nothing = [Summary::default(); MAX_WINDOWS];
        let windows = if let Some(Entry::Even(windows)) = &entry { windows } else { &nothing };
        for (window, held) in windows.iter().enumerate().take(self.tier.windows()) {
            let at = window * SLOTS + slot;
            (self.sums[at], self.maxima[at], self.flags[at]) = (held.sum, held.max, held.flags);
        }
    }

    /// Whether no slot has an entry.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        let all = 0..SLOTS as u16;
        let taken: Vec<u16> = all.filter(|&slot| self.taken.contains(slot.into())).collect();
        let is_uneven = |slot: u16| self.uneven.contains(slot.into());
        let even: Vec<u16> = taken.iter().copied().filter(|&slot| !is_uneven(slot)).collect();
        let windows = self.tier.windows();
        let (mut out, mut slots) = (Writer::default(), Writer::default());
        let mut shape = presence::write(&taken, SLOTS, &mut slots);
        if !self.uneven.is_empty() {
            shape |= WITH_UNEVEN;
            let places = (0u16..).zip(&taken).filter(|&(_, &slot)| is_uneven(slot));
            let uneven: Vec<u16> = places.map(|(at, _)| at).collect();
            let mut places = Writer::default();
            let form = presence::write(&uneven, taken.len(), &mut places);
            slots.raw(&[form]);
            slots.raw(&places.bytes);
        }
        if self.flags.iter().any(|flags| !flags.is_none()) {
            shape |= FLAGGED;
            let of_window = |flags: &'_ [Flags; SLOTS], slot: &u16| flags[usize::from(*slot)];
            let by_window = self.flags.as_chunks::<SLOTS>().0.iter();
            presence::write_flags(
                by_window.flat_map(|flags| even.iter().map(move |slot| of_window(flags, slot))),
                &mut slots,
            );
        }
        out.raw(&[windows as u8, shape]);
        out.raw(&slots.bytes);
        if even.len() == SLOTS {
            write_columns(&self.sums, &self.maxima, windows, &mut out);
        } else {
            let (sums, maxima) = (pick(&self.sums, &even), pick(&self.maxima, &even));
            write_columns(&sums, &maxima, windows, &mut out);
        }
        envelope::seal(VERSION, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut columns = Columns::default();
        columns.read(value)?;
        let tier = columns.tier();
        let Columns { taken, uneven, sums, maxima, mut flags, .. } = columns;
        flags.resize(tier.windows() * SLOTS, Flags::NONE);
        Ok(Self { tier, taken, uneven, sums, maxima, flags })
    }
}

/// The numbers of these slots, window by window.
fn pick(column: &[u64], slots: &[u16]) -> Vec<u64> {
    let windows = column.as_chunks::<SLOTS>().0.iter();
    windows.flat_map(|window| slots.iter().map(|&slot| window[usize::from(slot)])).collect()
}

/// Sums and maxima of all windows, the slots of each side by side.
fn write_columns(sums: &[u64], maxima: &[u64], windows: usize, out: &mut Writer) {
    let mut room = patched::Room::default();
    let slots = sums.len() / windows;
    let divisor = best_divisor(sums, maxima);
    out.uint(divisor);
    let (mut before, mut left) = (vec![0u64; slots], vec![0u64; slots]);
    for window in 0..windows {
        let share = Share::of(window as u64);
        let sums = &sums[window * slots..][..slots];
        for ((left, before), &sum) in left.iter_mut().zip(&mut before).zip(sums) {
            *left = sum.wrapping_sub(share.take(*before));
            *before = before.wrapping_add(sum);
        }
        patched::write(&left, kind_of_sums(window), &mut room, out);
    }
    let share = Share::of(divisor);
    for window in 0..windows {
        let (sums, maxima) = (&sums[window * slots..], &maxima[window * slots..][..slots]);
        for ((left, &max), &sum) in left.iter_mut().zip(maxima).zip(sums) {
            *left = max.wrapping_sub(share.take(sum));
        }
        patched::write(&left, Kind::Signed, &mut room, out);
    }
}

/// The divisor that leaves the least of the maxima: about as many cells as most windows have.
fn best_divisor(sums: &[u64], maxima: &[u64]) -> u64 {
    let (mut best, mut least) = (DIVISORS[0], u64::MAX);
    for divisor in DIVISORS {
        let (share, mut left) = (Share::of(divisor), 0u64);
        for (sums, maxima) in sums.chunks(SLOTS).zip(maxima.chunks(SLOTS)) {
            // Most are far off, which shows at once.
            if left >= least {
                break;
            }
            // Of an hour that is not over, most windows are empty.
            if sums.iter().chain(maxima).fold(0, |all, number| all | number) > 0 {
                let apart = maxima
                    .iter()
                    .zip(sums)
                    .map(|(max, &sum)| (max.wrapping_sub(share.take(sum)) as i64).unsigned_abs());
                left = apart.fold(left, u64::saturating_add);
            }
        }
        if left < least {
            (best, least) = (divisor, left);
        }
    }
    best
}
