//! The model's shares: how the value of a source that sticks out of its rows reaches them.

use std::collections::BTreeMap;

use keyviz_lineage::{LineageId, LineageRecord};

use crate::model_test::{Model, Row};

impl Model<'_> {
    /// What of `value` the rows of `members` get: it flows along the edges, in equal whole numbers at
    /// each fork, the remainder to the first in key order.
    pub(crate) fn share(&self, source: LineageId, value: u64, members: &[LineageId]) -> u64 {
        let born_ms = self.record(source).valid_from.unix_ms();
        let towards = self.at_ms.is_some_and(|at_ms| born_ms <= at_ms);
        let ways = [(towards, true), (!towards, true), (towards, false), (!towards, false)];
        let Some(&way) = ways.iter().find(|way| self.leads(source, source, **way)) else {
            return if self.is_loose(source) { self.straight(source, value, members) } else { 0 };
        };
        let mut held: BTreeMap<LineageId, u64> = BTreeMap::from([(source, value)]);
        loop {
            let open = held.keys().copied().filter(|&id| !self.ends_at(source, id));
            let age = |id: &LineageId| (self.record(*id).valid_from, *id);
            let next = if way.0 { open.min_by_key(age) } else { open.max_by_key(age) };
            let Some(here) = next else { break };
            let amount = held.remove(&here).unwrap();
            let branches: Vec<_> = self
                .next(source, here, way)
                .into_iter()
                .filter(|&to| self.leads(source, to, way))
                .collect();
            for (nth, &to) in branches.iter().enumerate() {
                let (ways, first) = (branches.len() as u64, nth == 0);
                *held.entry(to).or_default() +=
                    amount / ways + if first { amount % ways } else { 0 };
            }
        }
        held.iter().filter(|(id, _)| members.contains(id)).map(|(_, amount)| amount).sum()
    }

    /// A loose source that no lineage leads on from is shared among the rows that show it.
    fn straight(&self, source: LineageId, value: u64, members: &[LineageId]) -> u64 {
        let rows: Vec<&Row> = self.all.iter().filter(|row| row.sources.contains(&source)).collect();
        let ways = rows.len() as u64;
        let part = |nth: usize| value / ways + if nth == 0 { value % ways } else { 0 };
        let of_members =
            rows.iter().enumerate().filter(|(_, row)| members.contains(&row.members[0]));
        of_members.map(|(nth, _)| part(nth)).sum()
    }

    /// The lineages that a loose source overlaps, of those alive when it began, else at some time.
    fn heirs(&self, loose: LineageId) -> Vec<LineageId> {
        let source = self.record(loose);
        let from_ms = source.valid_from.unix_ms();
        let end_ms = source.valid_to.map_or(u64::MAX, |end| end.unix_ms());
        let alive_until = |to_ms| -> Vec<LineageId> {
            let records = self.records.iter().filter(|record| !self.is_loose(record.id));
            let over = records.filter(|record| record.range.overlaps(&source.range));
            over.filter(|record| self.alive_in(record, from_ms, to_ms)).map(|r| r.id).collect()
        };
        let at_first = alive_until(from_ms + 1);
        if at_first.is_empty() { alive_until(end_ms) } else { at_first }
    }

    fn ends_at(&self, source: LineageId, id: LineageId) -> bool {
        self.all.iter().any(|row| row.members[0] == id && row.sources.contains(&source))
    }

    fn next(
        &self,
        source: LineageId,
        here: LineageId,
        (forward, overlapping): (bool, bool),
    ) -> Vec<LineageId> {
        let heirs = if self.is_loose(here) { self.heirs(here) } else { vec![] };
        let is_next = |record: &&LineageRecord| match forward {
            _ if self.is_loose(here) => heirs.contains(&record.id),
            true => record.parents.iter().any(|parent| parent.id == here),
            false => {
                !self.is_loose(record.id)
                    && self.record(here).parents.iter().any(|parent| parent.id == record.id)
            }
        };
        let fits = |record: &&LineageRecord| {
            !overlapping || record.range.overlaps(&self.record(source).range)
        };
        let mut next: Vec<&LineageRecord> =
            self.records.iter().filter(is_next).filter(fits).collect();
        next.sort_by_key(|record| (record.range.start(), record.id));
        next.into_iter().map(|record| record.id).collect()
    }

    fn leads(&self, source: LineageId, here: LineageId, way: (bool, bool)) -> bool {
        self.ends_at(source, here)
            || self.next(source, here, way).into_iter().any(|to| self.leads(source, to, way))
    }
}
