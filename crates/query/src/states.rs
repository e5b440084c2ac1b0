//! What each cell is, from who was alive and who recorded (contract section 5).
//!
//! Invariant: Q3.
//! Cost: a look-up a cell where the row's lineages lived through the whole column.
//! Proof: `matrix_test.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use keyviz_lineage::{Flags, GroupId, HOUR_MS, Slot, unix_hour};
use keyviz_store::History;

use crate::cast::Cast;
use crate::presence::{self, Presence};
use crate::span::Span;
use crate::sums::Mark;
use crate::{CellState, MatrixCell};

/// A state, and whether any of it is stretched or shed.
type Seen = (CellState, Flags);

/// Tells what cells are.
pub(crate) struct States<'a> {
    pub(crate) history: &'a dyn History,
    pub(crate) cast: &'a Cast<'a>,
    pub(crate) span: &'a Span,
    presence: &'a BTreeMap<GroupId, Presence>,
    /// What each group says of whole columns, once it was asked for.
    columns: BTreeMap<GroupId, Vec<Seen>>,
    /// Whether the finest columns were read, which may have expired.
    is_fine: bool,
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
        Self { history, cast, span, presence, columns: BTreeMap::new(), is_fine }
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

    /// What a group says of a stretch of units.
    fn over(&mut self, group: GroupId, column: usize, units: &Range<usize>) -> Option<Seen> {
        let (presence, per_column) = (self.presence.get(&group)?, self.span.units_per_column());
        if units.len() < per_column {
            return Some(presence.over(units));
        }
        let whole =
            |column: usize| presence.over(&(column * per_column..(column + 1) * per_column));
        let columns = 0..self.span.columns();
        let held = self.columns.entry(group).or_insert_with(|| columns.map(whole).collect());
        held.get(column).copied()
    }

    /// Sets the states of one row, and the flags that come with them.
    pub(crate) fn set(
        &mut self,
        sources: &[Slot],
        cells: &mut [MatrixCell],
        marks: &[Mark],
        strays: impl Fn(usize) -> Option<&'a BTreeSet<GroupId>>,
    ) {
        let lives = self.lives(sources);
        let expired = self.expired(sources);
        if expired.is_empty() && self.set_whole(&lives, cells, marks).is_some() {
            return;
        }
        let mut next = vec![0; lives.len()];
        for (column, (cell, &mark)) in cells.iter_mut().zip(marks).enumerate() {
            let traffic = mark.traffic || cell.counted > 0 || cell.inherited > 0;
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
            cell.state = match seen {
                None => CellState::Nonexistent,
                Some(_) if is_gone && !traffic => CellState::Missing,
                Some(_) if gone > 0 => CellState::Partial,
                Some((recorded, _)) => state(recorded, traffic, mark.unread),
            };
            add_flags(cell, seen.map_or(Flags::NONE, |(_, flags)| flags));
        }
    }

    /// [`States::set`] for the rule: lineages of one group that lived through the whole span. `None`, and
    /// nothing done, where that is not so.
    fn set_whole(&mut self, lives: &Lives, cells: &mut [MatrixCell], marks: &[Mark]) -> Option<()> {
        let [(group, stretches)] = &lives[..] else { return None };
        if !matches!(&stretches[..], [whole] if *whole == (0..self.span.units())) {
            return None;
        }
        // Fills in what the group says of every column.
        self.over(*group, 0, &(0..self.span.units_per_column()))?;
        for ((cell, &mark), &(recorded, stretched)) in
            cells.iter_mut().zip(marks).zip(self.columns.get(group)?)
        {
            let traffic = mark.traffic || cell.counted > 0 || cell.inherited > 0;
            cell.state = state(recorded, traffic, mark.unread);
            add_flags(cell, stretched);
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

fn add_flags(cell: &mut MatrixCell, seen: Flags) {
    cell.flags = cell.flags.or(seen);
    if cell.state == CellState::Partial {
        cell.flags = cell.flags.or(Flags::PARTIAL);
    }
    if cell.counted == u64::MAX || cell.inherited == u64::MAX {
        cell.flags = cell.flags.or(Flags::SATURATED);
    }
}
