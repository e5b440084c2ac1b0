//! What each cell is, from who was alive and who recorded (contract section 5).
//!
//! Invariant: Q3.
//! Cost: a comparison a cell where the row's lineages lived through the whole span: what a group says is
//! looked up once for all its rows, a stretch of equal columns at a time.
//! Proof: `matrix_test.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use keyviz_lineage::{Flags, GroupId, HOUR_MS, Slot, unix_hour};
use keyviz_store::History;

use crate::CellState;
use crate::cast::Cast;
use crate::cells::RowCells;
use crate::presence::{self, Presence, Seen};
use crate::span::Span;
use crate::tile::Mark;

/// Tells what cells are.
pub(crate) struct States<'a> {
    pub(crate) history: &'a dyn History,
    pub(crate) cast: &'a Cast<'a>,
    pub(crate) span: &'a Span,
    presence: &'a BTreeMap<GroupId, Presence>,
    /// What each group says of whole columns, once it was asked for.
    columns: BTreeMap<GroupId, Vec<(Range<usize>, Seen)>>,
    /// Whether the finest columns were read, which may have expired.
    is_fine: bool,
    /// Whether a count may be at its top.
    pub(crate) may_be_full: bool,
}

/// When the lineages of a row lived, by group: units, ascending and apart.
type Lives = Vec<(GroupId, Vec<Range<usize>>)>;

impl<'a> States<'a> {
    pub(crate) fn new(
        history: &'a dyn History,
        cast: &'a Cast<'a>,
        span: &'a Span,
        presence: &'a BTreeMap<GroupId, Presence>,
        is_fine: bool,
    ) -> Self {
        Self { history, cast, span, presence, columns: BTreeMap::new(), is_fine, may_be_full: true }
    }

    fn lives(&self, sources: &[Slot]) -> Lives {
        let mut stretches: Vec<(GroupId, Range<usize>)> = Vec::new();
        for &source in sources {
            let alive = self.cast.alive(source, self.span);
            if !alive.is_empty() {
                let groups = self.cast.groups_of(source).iter();
                stretches.extend(groups.map(|&group| (group, alive.clone())));
            }
        }
        stretches.sort_unstable_by_key(|(group, units)| (*group, units.start));
        let mut lives = Lives::new();
        for (group, units) in stretches {
            if lives.last().is_none_or(|(held, _)| *held != group) {
                lives.push((group, Vec::new()));
            }
            let Some((_, held)) = lives.last_mut() else { continue };
            match held.last_mut() {
                Some(last) if units.start <= last.end => last.end = last.end.max(units.end),
                _ => held.push(units),
            }
        }
        lives
    }

    /// What a group says of whole columns.
    fn whole(&mut self, group: GroupId) -> Option<&[(Range<usize>, Seen)]> {
        let (presence, span) = (self.presence.get(&group)?, self.span);
        Some(self.columns.entry(group).or_insert_with(|| presence.by_column(span)))
    }

    /// What a group says of a stretch of units of a column.
    fn over(&mut self, group: GroupId, column: usize, units: &Range<usize>) -> Option<Seen> {
        if units.len() < self.span.units_per_column() {
            return Some(self.presence.get(&group)?.over(units));
        }
        let whole = self.whole(group)?;
        let at = whole.partition_point(|(columns, _)| columns.end <= column);
        whole.get(at).map(|(_, seen)| *seen)
    }

    /// Sets the states of one row, and the flags that come with them. `marks` may be empty.
    pub(crate) fn set(
        &mut self,
        sources: &[Slot],
        cells: &mut RowCells,
        marks: &[Mark],
        strays: impl Fn(usize) -> Option<&'a BTreeSet<GroupId>>,
    ) {
        let expired = self.expired(sources);
        cells.states.reserve_exact(cells.counted.len());
        let is_known = expired.is_empty();
        let whole = self.whole_life(sources).filter(|_| is_known);
        if whole.is_some_and(|group| self.set_whole(group, cells, marks).is_some()) {
            return;
        }
        let lives = self.lives(sources);
        let span = 0..self.span.units();
        if let [(group, stretches)] = &lives[..]
            && is_known
            && matches!(&stretches[..], [stretch] if *stretch == span)
            && self.set_whole(*group, cells, marks).is_some()
        {
            return;
        }
        let mut next = vec![0; lives.len()];
        for column in 0..cells.counted.len() {
            let (traffic, unread) = told(cells, marks, column);
            let first = column * self.span.units_per_column();
            let units = first..first + self.span.units_per_column();
            let mut seen: Option<Seen> = None;
            let mut lived = false;
            for ((group, stretches), next) in lives.iter().zip(&mut next) {
                while stretches.get(*next).is_some_and(|stretch| stretch.end <= units.start) {
                    *next += 1;
                }
                let here = stretches[*next..].iter().take_while(|s| s.start < units.end);
                for stretch in here {
                    lived = true;
                    let stretch = stretch.start.max(units.start)..stretch.end.min(units.end);
                    add(&mut seen, self.over(*group, column, &stretch));
                }
            }
            if !lived && traffic {
                for &group in strays(column).into_iter().flatten() {
                    add(&mut seen, self.over(group, column, &units));
                }
            }
            let gone = expired.iter().filter(|gone| gone.touches(&units)).count();
            let is_gone = gone > 0
                && expired.iter().map(|gone| gone.units_in(&units)).sum::<usize>()
                    >= sources
                        .iter()
                        .map(|&source| overlap(&self.cast.alive(source, self.span), &units))
                        .sum();
            let state = match seen {
                None => CellState::Nonexistent,
                Some(_) if is_gone && !traffic => CellState::Missing,
                Some(_) if gone > 0 => CellState::Partial,
                Some((recorded, _)) => state(recorded, traffic, unread),
            };
            cells.states.push(state);
            add_flags(cells, column, seen.map_or(Flags::NONE, |(_, flags)| flags));
        }
    }

    /// The group of a row's lineages where one of them lived through the whole span and the others are of
    /// the same group.
    fn whole_life(&self, sources: &[Slot]) -> Option<GroupId> {
        let whole = 0..self.span.units();
        let mut found = None;
        let mut is_whole = false;
        for &source in sources {
            let alive = self.cast.alive(source, self.span);
            if alive.is_empty() {
                continue;
            }
            let &[group] = self.cast.groups_of(source) else { return None };
            if *found.get_or_insert(group) != group {
                return None;
            }
            is_whole |= alive == whole;
        }
        found.filter(|_| is_whole)
    }

    /// [`States::set`] for the rule: of lineages of one group, some of which lived at any time of the
    /// span. `None`, and nothing done, where nothing is known of the group.
    fn set_whole(&mut self, group: GroupId, cells: &mut RowCells, marks: &[Mark]) -> Option<()> {
        let may_be_full = self.may_be_full || !cells.inherited.is_empty();
        for (columns, (recorded, flags)) in self.whole(group)? {
            let (columns, recorded) = (columns.clone(), *recorded);
            let (busy, quiet) = (state(recorded, true, false), state(recorded, false, false));
            let is_plain = marks.is_empty() && cells.inherited.is_empty();
            if is_plain {
                let counted = cells.counted[columns.clone()].iter();
                cells.states.extend(counted.map(|&sum| if sum > 0 { busy } else { quiet }));
            } else {
                for column in columns.clone() {
                    let (traffic, unread) = told(cells, marks, column);
                    cells.states.push(state(recorded, traffic, unread));
                }
            }
            let is_partial = [busy, quiet].contains(&CellState::Partial);
            if !is_plain || is_partial || may_be_full || !flags.is_none() {
                columns.for_each(|column| add_flags(cells, column, *flags));
            }
        }
        Some(())
    }

    /// What of the sources' lives has expired while what tells who recorded it has not.
    fn expired(&self, sources: &[Slot]) -> Vec<Expired> {
        let oldest_hour = unix_hour(self.history.oldest_ms());
        if !self.is_fine || *self.span.hours().start() >= oldest_hour {
            return Vec::new();
        }
        let of_source = |&source: &Slot| {
            let record = self.cast.record(source)?;
            let hours = self.history.expired(record.group, record.id, self.span.hours());
            let alive = self.cast.alive(source, self.span);
            Some(hours.into_iter().map(move |hours| {
                let end_ms = (*hours.end() + 1).saturating_mul(HOUR_MS);
                let units = self.span.units_within(*hours.start() * HOUR_MS, end_ms);
                Expired(alive.start.max(units.start)..alive.end.min(units.end))
            }))
        };
        sources.iter().filter_map(of_source).flatten().filter(|gone| !gone.0.is_empty()).collect()
    }
}

/// What a cell is of which that was recorded.
fn state(recorded: CellState, traffic: bool, unread: bool) -> CellState {
    match recorded {
        CellState::Measured if unread => CellState::Partial,
        CellState::Measured if !traffic => CellState::Idle,
        CellState::Missing if traffic => CellState::Partial,
        recorded => recorded,
    }
}

/// A stretch of a source's life that nothing is known of.
struct Expired(Range<usize>);

impl Expired {
    fn touches(&self, units: &Range<usize>) -> bool {
        self.units_in(units) > 0
    }

    fn units_in(&self, units: &Range<usize>) -> usize {
        overlap(&self.0, units)
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> usize {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

fn add(seen: &mut Option<Seen>, more: Option<Seen>) {
    if let Some((state, flags)) = more {
        *seen = Some(match *seen {
            Some(held) => (presence::combine(held.0, state), held.1.or(flags)),
            None => (state, flags),
        });
    }
}

/// Whether a cell has traffic, and whether some of it cannot be read.
fn told(cells: &RowCells, marks: &[Mark], column: usize) -> (bool, bool) {
    let mark = marks.get(column).copied().unwrap_or_default();
    let traffic = mark.traffic || cells.counted[column] > 0 || cells.inherited_at(column) > 0;
    (traffic, mark.unread)
}

/// Of a cell whose state is set.
fn add_flags(cells: &mut RowCells, column: usize, seen: Flags) {
    let mut flags = seen;
    if cells.states[column] == CellState::Partial {
        flags = flags.or(Flags::PARTIAL);
    }
    if cells.counted[column] == u64::MAX || cells.inherited_at(column) == u64::MAX {
        flags = flags.or(Flags::SATURATED);
    }
    cells.flag(column, flags);
}
