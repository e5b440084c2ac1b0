//! Which lineages are linked to which rows: along the edges in either direction, through lineages
//! that overlap the row (contract section 8).
//!
//! All rows are walked at once. The rows that come to a lineage are a few runs of neighbours, and
//! travel from child to parent (or back) as such; where the next range covers the last one nothing
//! is compared. Slots are visited in order, children before parents (L5 of [`super`]), so each one
//! once. Nothing is visited that cannot lead to something recorded in the asked-for span
//! (`extent.rs`). So the cost is that of the answer.

use smallvec::SmallVec;

use super::{Edge, LineageGraph, Node, Slot};
use crate::KeyRange;

/// Rows `[from, to)`, ascending.
type Runs = SmallVec<[(u32, u32); 1]>;

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
    /// recorded in `[from_ms, to_ms)`; the row itself always. Rows are best given in key order.
    pub fn link(&self, rows: &[Slot], from_ms: u64, to_ms: u64) -> Links {
        let ranges: Vec<Option<&KeyRange>> =
            rows.iter().map(|&row| Some(&self.record(row)?.range)).collect();
        let span = (from_ms, to_ms);
        let past = Walk::new(self, rows, &ranges, span, Way::Back).run();
        let future = Walk::new(self, rows, &ranges, span, Way::Forth).run();
        // Ancestors stand before a row, descendants behind it: each list is ascending as it comes.
        let found = past.iter().rev().chain(&future);
        let found = || {
            found.clone().flat_map(|(slot, runs)| {
                runs.iter().flat_map(|&(from, to)| from..to).map(move |row| (row as usize, *slot))
            })
        };
        let mut starts = vec![0u32; rows.len() + 1];
        for (row, _) in found() {
            starts[row + 1] += 1;
        }
        for row in 0..rows.len() {
            starts[row + 1] += starts[row];
        }
        let mut fill = starts.clone();
        let mut sources = vec![0; starts[rows.len()] as usize];
        for (row, slot) in found() {
            sources[fill[row] as usize] = slot;
            fill[row] += 1;
        }
        Links { starts, sources }
    }

    /// The lineages that one row came from and that overlap it, itself included, ascending.
    pub fn link_past(&self, row: Slot, from_ms: u64, to_ms: u64) -> Vec<Slot> {
        let ranges = [self.record(row).map(|record| &record.range)];
        let past = Walk::new(self, &[row], &ranges, (from_ms, to_ms), Way::Back).run();
        past.iter().rev().map(|&(slot, _)| slot).collect()
    }
}

struct Walk<'a> {
    graph: &'a LineageGraph,
    rows: &'a [Slot],
    ranges: &'a [Option<&'a KeyRange>],
    from_ms: u64,
    to_ms: u64,
    way: Way,
    /// One bit a slot: still to be visited.
    open: Vec<u64>,
    /// 1 + index into `found`, by slot.
    place: Vec<u32>,
    found: Vec<(Slot, Runs)>,
    /// Indexes into `found`, as they were visited.
    order: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(
        graph: &'a LineageGraph,
        rows: &'a [Slot],
        ranges: &'a [Option<&'a KeyRange>],
        (from_ms, to_ms): (u64, u64),
        way: Way,
    ) -> Self {
        let slots = graph.nodes.len();
        // Zeroed by the system when it is touched: a narrow question touches little.
        let (open, place) = (vec![0; slots.div_ceil(64)], vec![0; slots]);
        Self {
            graph,
            rows,
            ranges,
            from_ms,
            to_ms,
            way,
            open,
            place,
            found: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Every lineage that was come to, in the order of the walk.
    fn run(mut self) -> Vec<(Slot, Runs)> {
        for at in 0..self.rows.len() {
            self.come_to(self.rows[at], SmallVec::from_buf([(at as u32, at as u32 + 1)]));
        }
        let words = self.open.len();
        for step in 0..words {
            let word = if self.way == Way::Back { words - 1 - step } else { step };
            while self.open[word] != 0 {
                let bit = match self.way {
                    Way::Back => 63 - self.open[word].leading_zeros(),
                    Way::Forth => self.open[word].trailing_zeros(),
                };
                self.open[word] &= !(1 << bit);
                self.visit(word as Slot * 64 + bit);
            }
        }
        let order = std::mem::take(&mut self.order);
        let visited = order.into_iter().map(|at| {
            let (slot, runs) = &mut self.found[at];
            (*slot, at, std::mem::take(runs))
        });
        let visited: Vec<_> = visited.collect();
        let shown = visited.into_iter().map(|(slot, at, runs)| (slot, self.shown(slot, at, runs)));
        shown.filter(|(_, runs)| !runs.is_empty()).collect()
    }

    /// Of the rows that came to a lineage, those that show it.
    fn shown(&self, slot: Slot, at: usize, mut runs: Runs) -> Runs {
        let own = |row: usize| self.rows[row] == slot;
        let is_row = at < self.rows.len();
        let holds = self.graph.may_hold(slot, self.from_ms, self.to_ms);
        match self.way {
            // Of what holds nothing, the row itself stays.
            Way::Back if !holds && is_row => keep_rows(&mut runs, own),
            // The walk back has the row itself already.
            Way::Forth if holds && is_row => keep_rows(&mut runs, |row| !own(row)),
            _ if !holds => runs.clear(),
            _ => {}
        }
        runs
    }

    fn come_to(&mut self, slot: Slot, runs: Runs) {
        let place = &mut self.place[slot as usize];
        if *place == 0 {
            self.found.push((slot, runs));
            *place = self.found.len() as u32;
            self.open[slot as usize / 64] |= 1 << (slot % 64);
        } else {
            join(&mut self.found[*place as usize - 1].1, &runs);
        }
    }

    fn visit(&mut self, slot: Slot) {
        let graph = self.graph;
        let at = self.place[slot as usize] as usize - 1;
        self.order.push(at);
        let Some(node) = graph.nodes.get(slot as usize) else { return };
        for &edge in self.next(node) {
            let Some(range) = graph.record(edge.slot).map(|record| &record.range) else { continue };
            let leads_on = match self.way {
                Way::Back => graph.has_past(edge.slot, self.from_ms),
                Way::Forth => graph.has_future(edge.slot, self.to_ms),
            };
            if !leads_on {
                continue;
            }
            let mut runs = self.found[at].1.clone();
            if !edge.covers {
                let ranges = self.ranges;
                keep_rows(&mut runs, |at| ranges[at].is_some_and(|row| row.overlaps(range)));
            }
            if !runs.is_empty() {
                self.come_to(edge.slot, runs);
            }
        }
    }

    fn next(&self, node: &'a Node) -> &'a [Edge] {
        match self.way {
            Way::Back => &node.parents,
            Way::Forth => &node.children,
        }
    }
}

/// Leaves the rows for which `keep` holds.
fn keep_rows(runs: &mut Runs, keep: impl Fn(usize) -> bool) {
    let mut kept = Runs::new();
    for row in runs.iter().flat_map(|&(from, to)| from..to).filter(|&row| keep(row as usize)) {
        match kept.last_mut() {
            Some((_, to)) if *to == row => *to += 1,
            _ => kept.push((row, row + 1)),
        }
    }
    *runs = kept;
}

/// Adds `more` to `runs`.
fn join(runs: &mut Runs, more: &Runs) {
    if let ([(from, to)], [(more_from, more_to)]) = (runs.as_mut_slice(), more.as_slice())
        && *more_from <= *to
        && *from <= *more_to
    {
        (*from, *to) = ((*from).min(*more_from), (*to).max(*more_to));
        return;
    }
    let mut all: Vec<(u32, u32)> = runs.iter().chain(more).copied().collect();
    all.sort_unstable();
    runs.clear();
    for (from, to) in all {
        match runs.last_mut() {
            Some((_, end)) if from <= *end => *end = (*end).max(to),
            _ => runs.push((from, to)),
        }
    }
}

#[cfg(test)]
#[path = "walk_test.rs"]
mod walk_test;
