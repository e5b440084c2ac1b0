//! Which lineages are linked to which rows: along the edges in either direction, through lineages
//! that overlap the row (contract section 8).
//!
//! All rows are walked at once. The rows that come to a lineage are a few runs of neighbours, and
//! travel from child to parent (or back) as such. Slots are visited in order, children before parents
//! (L5 of [`super`]), so each one once, after everybody who sends rows to it, and memory is read in
//! order. Whether a row overlaps is decided there, by ranks ([`super::key_order`]), not by keys.
//! A walk does not go on where nothing behind can lead to something recorded in the asked-for span
//! (`extent.rs`). So the cost is that of the answer, and of the bits of all slots between its first
//! and its last.

use super::extent::Hours;
use super::key_order::Rank;
use super::slots::Spot;
use super::{LineageGraph, Slot, SlotSet};

/// Rows `[from, to)`.
type Run = (u32, u32);

/// For each row, the lineages that it shows, itself included.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Where the sources of a row begin, and after the last one where they end.
    starts: Vec<u32>,
    sources: Vec<Slot>,
}

impl Links {
    /// The sources of the `row`-th row, ascending.
    pub fn of(&self, row: usize) -> &[Slot] {
        match self.starts.get(row..row + 2) {
            Some(&[from, to]) => &self.sources[from as usize..to as usize],
            _ => &[],
        }
    }

    /// How many pairs of row and source there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From children to parents.
    Back,
    /// From parents to children.
    Forth,
}

impl LineageGraph {
    /// The lineages linked to each of `rows` that overlap it and of which something may have been
    /// recorded in `[from_ms, to_ms)`; the row itself always. No slot comes twice in `rows`, which are
    /// best given in key order.
    pub fn link(&self, rows: &[Slot], from_ms: u64, to_ms: u64) -> Links {
        let asked = Hours::around(from_ms, to_ms);
        let rows = &Rows::new(self, rows);
        let past = Walk::new(self, rows, asked, Way::Back).run();
        let future = Walk::new(self, rows, asked, Way::Forth).run();
        // Ancestors stand before a row, descendants behind it: each list is ascending as it comes.
        let found = || past.iter().rev().chain(&future);
        // How many more (or fewer) sources a row has than the one before.
        let mut changes = vec![0i32; rows.len() + 1];
        for &(_, (from, to)) in found() {
            changes[from as usize] += 1;
            changes[to as usize] -= 1;
        }
        let (mut starts, mut count, mut sum) = (vec![0u32], 0, 0);
        for change in &changes[..rows.len()] {
            count += change;
            sum += count as u32;
            starts.push(sum);
        }
        let mut fill = starts.clone();
        let mut sources = vec![0; starts[rows.len()] as usize];
        for &(slot, (from, to)) in found() {
            for place in &mut fill[from as usize..to as usize] {
                sources[*place as usize] = slot;
                *place += 1;
            }
        }
        Links { starts, sources }
    }

    /// The lineages that one row came from and that overlap it, itself included, ascending.
    pub fn link_past(&self, row: Slot, from_ms: u64, to_ms: u64) -> Vec<Slot> {
        let rows = Rows::new(self, &[row]);
        let past = Walk::new(self, &rows, Hours::around(from_ms, to_ms), Way::Back).run();
        past.iter().rev().map(|&(slot, _)| slot).collect()
    }
}

/// The rows of a walk.
struct Rows {
    slots: Vec<Slot>,
    /// Ranks of the start and the end of each.
    ranks: Vec<(Rank, Rank)>,
    /// Both starts and ends ascend, as they do where rows do not overlap: so the rows that overlap
    /// something are neighbours.
    are_ascending: bool,
    /// The slots again.
    set: SlotSet,
}

impl Rows {
    fn new(graph: &LineageGraph, rows: &[Slot]) -> Self {
        let ranks =
            |&row: &Slot| graph.slots.spots.get(row as usize).map_or((0, 0), |spot| spot.ranks);
        let ranks: Vec<(Rank, Rank)> = rows.iter().map(ranks).collect();
        let are_ascending =
            ranks.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1);
        let mut set = SlotSet::with_room(graph.slots());
        for &row in rows {
            set.insert(row);
        }
        debug_assert_eq!(set.len(), rows.len(), "no slot twice");
        Self { slots: rows.to_vec(), ranks, are_ascending, set }
    }

    fn len(&self) -> usize {
        self.slots.len()
    }

    /// Appends those among `came` that overlap `spot`.
    fn keep(&self, spot: &Spot, came: &[Run], kept: &mut Vec<Run>) {
        let overlaps = |row: u32| spot.overlaps(self.ranks[row as usize]);
        for &(mut from, mut to) in came {
            if self.are_ascending {
                if !overlaps(from) || !overlaps(to - 1) {
                    let ranks = &self.ranks[from as usize..to as usize];
                    let behind = ranks.partition_point(|&(_, end)| end <= spot.ranks.0) as u32;
                    let within = ranks.partition_point(|&(start, _)| start < spot.ranks.1) as u32;
                    (from, to) = (from + behind, from + within);
                }
                if from < to {
                    kept.push((from, to));
                }
                continue;
            }
            for row in (from..to).filter(|&row| overlaps(row)) {
                match kept.last_mut() {
                    Some((_, to)) if *to == row => *to += 1,
                    _ => kept.push((row, row + 1)),
                }
            }
        }
    }

    /// Which of `runs` is the row of `slot`, if it has one.
    fn own(&self, slot: Slot, runs: &[Run]) -> Option<u32> {
        let mut rows = runs.iter().flat_map(|&(from, to)| from..to);
        if self.set.contains(slot) {
            rows.find(|&row| self.slots[row as usize] == slot)
        } else {
            None
        }
    }
}

struct Walk<'a> {
    graph: &'a LineageGraph,
    rows: &'a Rows,
    asked: Hours,
    way: Way,
    /// One bit a slot: still to be visited.
    open: Vec<u64>,
    /// 1 + index into `sent` of the last run that was sent to a slot.
    last: Vec<u32>,
    /// Runs, each with 1 + index of the one that was sent to the same slot before, or (once they were
    /// gathered) of the next one that is free.
    sent: Vec<(Run, u32)>,
    /// 1 + index of a run that is free.
    free: u32,
    /// What is shown, in the order of the walk: which lineage by which rows.
    found: Vec<(Slot, Run)>,
    /// The rows that came to the slot in work, ascending, none twice.
    came: Vec<Run>,
    /// Of these, those that go on.
    kept: Vec<Run>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a LineageGraph, rows: &'a Rows, asked: Hours, way: Way) -> Self {
        let slots = graph.slots.len();
        Self {
            graph,
            rows,
            asked,
            way,
            // Zeroed by the system when it is touched: a narrow question touches little.
            open: vec![0; slots.div_ceil(64)],
            last: vec![0; slots],
            sent: Vec::new(),
            free: 0,
            found: Vec::new(),
            came: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// What every row shows on this way.
    fn run(mut self) -> Vec<(Slot, Run)> {
        for (at, &row) in (0..).zip(&self.rows.slots) {
            self.send(row, (at, at + 1));
        }
        let words = self.rows.slots.iter().map(|&row| row as usize / 64);
        // Nothing is open yet on the far side of the rows.
        let mut words = match self.way {
            Way::Back => 0..words.max().map_or(0, |last| last + 1),
            Way::Forth => words.min().unwrap_or(0)..self.open.len(),
        };
        while let Some(word) = if self.way == Way::Back { words.next_back() } else { words.next() }
        {
            while self.open[word] != 0 {
                let bit = match self.way {
                    Way::Back => 63 - self.open[word].leading_zeros(),
                    Way::Forth => self.open[word].trailing_zeros(),
                };
                self.open[word] &= !(1 << bit);
                self.visit(word as Slot * 64 + bit);
            }
        }
        self.found
    }

    fn send(&mut self, slot: Slot, run: Run) {
        let Some(last) = self.last.get_mut(slot as usize) else { return };
        match self.free.checked_sub(1) {
            Some(at) => {
                (*last, self.free) = (self.free, {
                    let free = &mut self.sent[at as usize];
                    let next_free = free.1;
                    *free = (run, *last);
                    next_free
                });
            }
            None => {
                self.sent.push((run, *last));
                *last = self.sent.len() as u32;
            }
        }
        self.open[slot as usize / 64] |= 1 << (slot % 64);
    }

    /// Shows a slot to the rows that came to it and overlap it, and sends them on.
    fn visit(&mut self, slot: Slot) {
        let slots = &self.graph.slots;
        let Some(spot) = slots.spots.get(slot as usize) else { return };
        self.gather(slot);
        let mut kept = std::mem::take(&mut self.kept);
        self.rows.keep(spot, &self.came, &mut kept);
        let own = self.rows.own(slot, &kept);
        match (self.way, spot.extent.own.meets(self.asked), own) {
            (Way::Back, true, _) | (Way::Forth, true, None) => {
                self.found.extend(kept.iter().map(|&run| (slot, run)));
            }
            // The row itself is shown whatever it holds,
            (Way::Back, false, Some(row)) => self.found.push((slot, (row, row + 1))),
            // and the walk back has it already.
            (Way::Forth, true, Some(row)) => {
                let around = |&(from, to): &Run| [(from, to.min(row)), (from.max(row + 1), to)];
                let others = kept.iter().flat_map(around).filter(|(from, to)| from < to);
                self.found.extend(others.map(|run| (slot, run)));
            }
            _ => {}
        }
        let (next, leads_on) = match self.way {
            Way::Back => (&slots.parents, spot.extent.has_past(self.asked)),
            Way::Forth => (&slots.children, spot.extent.has_future(self.asked)),
        };
        if leads_on && let Some(next) = next.get(slot as usize) {
            for &next in next {
                kept.iter().for_each(|&run| self.send(next, run));
            }
        }
        kept.clear();
        self.kept = kept;
    }

    /// Puts what was sent to a slot into `came`, in order.
    fn gather(&mut self, slot: Slot) {
        self.came.clear();
        let mut at = self.last[slot as usize];
        while at != 0 {
            let (run, before) = &mut self.sent[at as usize - 1];
            self.came.push(*run);
            // Free from now on.
            (at, *before, self.free) = (*before, self.free, at);
        }
        if self.came.len() > 1 {
            self.came.sort_unstable();
            self.came.dedup_by(|next, held| {
                let meets = next.0 <= held.1;
                if meets {
                    held.1 = held.1.max(next.1);
                }
                meets
            });
        }
    }
}

#[cfg(test)]
#[path = "walk_test.rs"]
mod walk_test;
