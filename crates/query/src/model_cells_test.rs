//! The model's cells: what each row shows in each column, and what the columns add up to.

use std::collections::BTreeSet;

use keyviz_lineage::{Flags, GroupId, HOUR_MS, LineageId, LineageRecord, unix_hour};

use crate::model_test::{Model, Part, Recorded, Row};
use crate::{
    CellState, ColumnTotals, MAX_LISTED_ROUTES, Matrix, MatrixCell, MatrixRow, virtual_id,
};

/// Saturating, never wrapping.
pub(crate) fn fits(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

pub(crate) struct Answer<'a>(pub(crate) &'a Model<'a>);

impl Answer<'_> {
    pub(crate) fn matrix(&self) -> Matrix {
        let axis = &self.0.axis;
        let columns_ms: Vec<u64> =
            (axis.from_ms..axis.to_ms).step_by(axis.step_ms as usize).collect();
        Matrix {
            series: self.0.request.series,
            step_ms: axis.step_ms,
            recorded_step_ms: axis.unit_ms,
            tier: self.0.tier,
            rows: self.0.drawn.iter().map(|row| self.row(row, &columns_ms)).collect(),
            totals: columns_ms.iter().map(|&from_ms| self.totals(from_ms)).collect(),
            columns_ms,
            warnings: self.warnings(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let (model, world) = (self.0, self.0.world);
        let shown: BTreeSet<LineageId> =
            model.drawn.iter().flat_map(|row| row.sources.iter().copied()).collect();
        let blocks =
            shown.iter().flat_map(|&id| model.unread(id).into_iter().map(move |hour| (id, hour)));
        let blocks = blocks.map(|(id, hour)| world.block_damage(id, hour).to_string());
        let hours = unix_hour(model.axis.from_ms)..=unix_hour(model.axis.to_ms - 1);
        let coverage = world.damaged_coverage.iter();
        let coverage =
            coverage.filter(|(group, hour)| world.groups().contains(group) && hours.contains(hour));
        let coverage =
            coverage.map(|&(group, hour)| world.coverage_damage(group, hour).to_string());
        let indexes = world.damaged_index.iter();
        let indexes =
            indexes.filter(|(group, hour)| world.groups().contains(group) && hours.contains(hour));
        let indexes = indexes.map(|&(group, hour)| world.index_damage(group, hour).to_string());
        blocks.chain(coverage).chain(indexes).collect::<BTreeSet<String>>().into_iter().collect()
    }

    fn row(&self, row: &Row, columns_ms: &[u64]) -> MatrixRow {
        let records: Vec<&LineageRecord> =
            row.members.iter().map(|&id| self.0.record(id)).collect();
        let bucket = |id: &LineageId| self.0.buckets.get(id);
        let aggregate = records.len() > 1 || bucket(&row.members[0]).is_some();
        let routes = |id: &LineageId| match bucket(id) {
            Some(bucket) => bucket.members.iter().copied().collect(),
            None => vec![self.0.record(*id).route],
        };
        let live = records.iter().any(|record| record.is_live());
        MatrixRow {
            bucket_id: match aggregate {
                true => format!("virtual:{}", virtual_id(&row.range)),
                false => format!("route:{}", records[0].route),
            },
            range: row.range.clone(),
            aggregate,
            routes: row.members.iter().flat_map(routes).take(MAX_LISTED_ROUTES).collect(),
            route_count: row
                .members
                .iter()
                .map(|id| bucket(id).map_or(1, |b| b.member_count))
                .sum(),
            groups: self.groups(&row.members).into_iter().collect(),
            lineage: (records.len() == 1).then_some(row.members[0]),
            closed: row.closed,
            valid_from_ms: records.iter().map(|record| record.valid_from.unix_ms()).min().unwrap(),
            valid_to_ms: (!live)
                .then(|| records.iter().map(|r| r.valid_to.unwrap().unix_ms()).max().unwrap()),
            cells: columns_ms.iter().map(|&from_ms| self.cell(row, from_ms)).collect(),
        }
    }

    fn groups(&self, members: &[LineageId]) -> BTreeSet<GroupId> {
        let of_one = |id: &LineageId| match self.0.buckets.get(id) {
            Some(bucket) => bucket.groups.clone(),
            None => BTreeSet::from([self.0.record(*id).group]),
        };
        members.iter().flat_map(of_one).collect()
    }

    /// What a source recorded in `[from_ms, to_ms)`.
    fn values(&self, source: LineageId, from_ms: u64, to_ms: u64) -> Vec<Recorded> {
        let values = self.0.values[&source].iter();
        values.filter(|held| (from_ms..to_ms).contains(&held.start_ms)).copied().collect()
    }

    fn cell(&self, row: &Row, from_ms: u64) -> MatrixCell {
        let (model, to_ms) = (self.0, from_ms + self.0.axis.step_ms);
        let mut flags = Flags::NONE;
        let (mut counted, mut inherited, mut max, mut traffic) = (0u128, 0u128, 0u128, false);
        for unit_ms in (from_ms..to_ms).step_by(model.axis.unit_ms as usize) {
            let mut of_unit = 0;
            for &source in &row.sources {
                for Recorded { value, max: own_max, flags: own_flags, .. } in
                    self.values(source, unit_ms, unit_ms + model.axis.unit_ms)
                {
                    traffic |= value > 0;
                    flags = flags.or(own_flags);
                    let share = |value: u64| match model.part(row, source) {
                        Part::Apportioned => model.share(source, value, &row.members),
                        Part::Counted | Part::Inherited => value,
                    };
                    let shown = u128::from(share(value));
                    match model.part(row, source) {
                        Part::Counted => counted += shown,
                        Part::Inherited => {
                            flags = flags.or(Flags::INHERITED);
                            inherited += shown;
                        }
                        Part::Apportioned => {
                            flags = flags.or(Flags::APPORTIONED);
                            counted += shown;
                        }
                    }
                    of_unit = match model.tier {
                        // Of what others recorded in the same window a roll-up does not know.
                        Some(_) => of_unit.max(u128::from(share(own_max))),
                        None => of_unit + shown,
                    };
                }
            }
            max = max.max(of_unit);
        }
        let (state, stretched) = self.state(row, from_ms, traffic);
        for (holds, flag) in [
            (state == CellState::Partial, Flags::PARTIAL),
            (stretched, Flags::STRETCHED),
            (fits(counted) == u64::MAX || fits(inherited) == u64::MAX, Flags::SATURATED),
        ] {
            flags = if holds { flags.or(flag) } else { flags };
        }
        MatrixCell {
            counted: fits(counted),
            inherited: fits(inherited),
            max: fits(max),
            flags,
            state,
        }
    }

    /// What an empty cell means, window by window, for the groups of the lineages alive in each.
    fn state(&self, row: &Row, from_ms: u64, traffic: bool) -> (CellState, bool) {
        let (model, to_ms) = (self.0, from_ms + self.0.axis.step_ms);
        let sources: Vec<&LineageRecord> = row.sources.iter().map(|&id| model.record(id)).collect();
        let anyone_alive = sources.iter().any(|source| model.alive_in(source, from_ms, to_ms));
        if !anyone_alive && !traffic {
            return (CellState::Nonexistent, false);
        }
        // Where nobody lived, those who recorded all the same.
        let strays: BTreeSet<LineageId> = row
            .sources
            .iter()
            .copied()
            .filter(|&id| !self.values(id, from_ms, to_ms).is_empty())
            .collect();
        let (mut states, mut stretched, mut unread) = (Vec::new(), false, false);
        for unit_ms in (from_ms..to_ms).step_by(model.axis.unit_ms as usize) {
            for source in &sources {
                let is_stray = !anyone_alive && strays.contains(&source.id);
                if model.alive_in(source, unit_ms, unit_ms + model.axis.unit_ms) || is_stray {
                    for group in self.groups(&[source.id]) {
                        states.push(self.recorded_by_group(group, unit_ms));
                        stretched |= self.is_stretched(group, unit_ms);
                    }
                    unread |= anyone_alive && self.is_unread(source, unit_ms);
                }
            }
        }
        let all = |state: CellState| states.iter().all(|held| *held == state);
        let any = |state: CellState| states.contains(&state);
        let state = if all(CellState::Measured) {
            match (unread, traffic) {
                (true, _) => CellState::Partial,
                (false, true) => CellState::Measured,
                (false, false) => CellState::Idle,
            }
        } else if all(CellState::Missing) {
            if traffic { CellState::Partial } else { CellState::Missing }
        } else if any(CellState::Partial) || any(CellState::Missing) {
            CellState::Partial
        } else {
            CellState::Pending
        };
        (state, stretched)
    }

    fn is_unread(&self, source: &LineageRecord, unit_ms: u64) -> bool {
        self.0.unread(source.id).into_iter().any(|hour| hour == unix_hour(unit_ms))
    }

    /// How much of a window the boots of a node covered; more than all of it does not make up for a
    /// neighbour.
    fn covered_ms(&self, group: GroupId, node: &str, unit_ms: u64) -> u64 {
        let world = self.0.world;
        let damaged = world.damaged_coverage.contains(&(group, unix_hour(unit_ms)));
        let unit = unit_ms..unit_ms + self.0.axis.unit_ms;
        let covers = world
            .covers
            .iter()
            .filter(|c| c.group == group && c.node == node && unit.contains(&c.start_ms));
        let covers: Vec<_> = covers.filter(|_| !damaged).collect();
        let windows: BTreeSet<(u64, u64)> =
            covers.iter().map(|c| (c.start_ms, c.step_ms)).collect();
        let of_window = |(start_ms, step_ms): (u64, u64)| {
            let boots = covers.iter().filter(|c| (c.start_ms, c.step_ms) == (start_ms, step_ms));
            boots.map(|cover| cover.covered_ms).sum::<u64>().min(step_ms)
        };
        windows.into_iter().map(of_window).sum()
    }

    /// `Measured` = every expected source recorded all of it.
    fn recorded_by_group(&self, group: GroupId, unit_ms: u64) -> CellState {
        let (mut whole, mut part, mut out) = (0, 0, 0);
        for (node, member) in self.0.world.members.get(&group).into_iter().flatten() {
            let covered_ms = self.covered_ms(group, node, unit_ms);
            if covered_ms >= self.0.axis.unit_ms {
                whole += 1;
            } else if covered_ms > 0 {
                part += 1;
            } else if member.expected_at(unit_ms) {
                out += 1;
            }
        }
        let (end_ms, now_ms) = (unit_ms + self.0.axis.unit_ms, self.0.world.now_ms);
        let ended_two_steps_ago = end_ms + 2 * self.0.axis.unit_ms <= now_ms;
        let still_out = part > 0 || out > 0 || end_ms > now_ms;
        if whole > 0 && part == 0 && out == 0 {
            CellState::Measured
        } else if !ended_two_steps_ago && still_out {
            CellState::Pending
        } else if whole == 0 && part == 0 {
            CellState::Missing
        } else {
            CellState::Partial
        }
    }

    /// More than 1.1 steps in one window of one boot, or a window that it sent twice.
    fn is_stretched(&self, group: GroupId, unit_ms: u64) -> bool {
        let (world, unit) = (self.0.world, unit_ms..unit_ms + self.0.axis.unit_ms);
        let damaged = world.damaged_coverage.contains(&(group, unix_hour(unit_ms)));
        let covers = world
            .covers
            .iter()
            .filter(|c| !damaged && c.group == group && unit.contains(&c.start_ms));
        let mut windows: Vec<_> = covers.collect();
        windows.sort_by_key(|c| (c.start_ms, c.step_ms, c.node.as_str(), c.boot));
        let same = windows.chunk_by(|a, b| {
            (a.start_ms, a.step_ms, &a.node, a.boot) == (b.start_ms, b.step_ms, &b.node, b.boot)
        });
        same.into_iter()
            .any(|sent| sent.iter().map(|c| c.covered_ms).sum::<u64>() * 10 > sent[0].step_ms * 11)
    }

    fn totals(&self, from_ms: u64) -> ColumnTotals {
        let (model, to_ms) = (self.0, from_ms + self.0.axis.step_ms);
        let (mut recorded, mut counted, mut inherited) = (0u128, 0u128, 0u128);
        let (mut seen, mut seen_inherited) = (BTreeSet::new(), BTreeSet::new());
        for row in &model.drawn {
            for &source in &row.sources {
                let values = self.values(source, from_ms, to_ms).into_iter().map(|held| held.value);
                for value in values {
                    let whole = u128::from(value);
                    let elsewhere = match (model.part(row, source), model.owners.get(&source)) {
                        (Part::Apportioned, _) => {
                            u128::from(model.share(source, value, &self.hidden()))
                        }
                        (_, Some(owner)) if self.hidden().contains(owner) => whole,
                        _ => 0,
                    };
                    recorded += if seen.contains(&source) { 0 } else { whole - elsewhere };
                    match model.part(row, source) {
                        Part::Counted => counted += whole,
                        Part::Apportioned => {
                            counted += u128::from(model.share(source, value, &row.members));
                        }
                        Part::Inherited if model.owners.contains_key(&source) => {}
                        Part::Inherited => {
                            inherited += if seen_inherited.contains(&source) { 0 } else { whole }
                        }
                    }
                }
                seen.insert(source);
                if model.part(row, source) == Part::Inherited {
                    seen_inherited.insert(source);
                }
            }
        }
        ColumnTotals {
            recorded: fits(recorded),
            counted: fits(counted),
            inherited: fits(inherited),
            unattributed: self.unattributed(from_ms, to_ms),
        }
    }

    /// Rows outside the asked range.
    fn hidden(&self) -> Vec<LineageId> {
        let rows = self.0.all.iter().filter(|row| !row.range.overlaps(&self.0.request.range));
        rows.map(|row| row.members[0]).collect()
    }

    fn unattributed(&self, from_ms: u64, to_ms: u64) -> u64 {
        let (world, groups) = (self.0.world, self.0.world.groups());
        let read = world.covers.iter().filter(|c| groups.contains(&c.group));
        let read =
            read.filter(|c| !world.damaged_coverage.contains(&(c.group, c.start_ms / HOUR_MS)));
        let within = read.filter(|c| (from_ms..to_ms).contains(&c.start_ms));
        fits(within.map(|c| u128::from(c.unattributed)).sum())
    }
}
