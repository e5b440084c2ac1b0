//! What the numbers of [`crate::story_test`] mean: a story becomes a [`World`], a question a request.

use keyviz_lineage::{
    Bucket, BucketPart, Change, Counts, Flags, GroupId, HOUR_MS, Hlc, KeyRange, LineageId,
    LineageRecord, RouteId, Series,
};

use crate::story_test::{Asked, Event, HOUR, KEYS, NODES, STEPS_MS, Story, Told};
use crate::world_test::{Sent, World, spec, step};
use crate::{Continuity, MatrixRequest, RowSet};

/// A story while it is told.
struct Teller {
    world: World,
    now_ms: u64,
    step_ms: u64,
    routes: RouteId,
    /// Windows by which the HLC of a change lies back.
    skew: u64,
}

pub(crate) fn history(story: &Story) -> World {
    let step_ms = STEPS_MS[usize::from(story.step)];
    let now_ms = HOUR * HOUR_MS - u64::from(story.before_hour) * step_ms;
    let mut teller = Teller { world: World::default(), now_ms, step_ms, routes: 100, skew: 0 };
    let whole = |route, from, to| spec(route, KeyRange::new(from, to).unwrap());
    let routes = vec![whole(1, KEYS[0], KEYS[8]), whole(2, KEYS[8], KEYS[11])];
    teller.world.apply(now_ms, 1, Change::Create { routes });
    for event in &story.events {
        teller.tell(event);
    }
    let mut world = teller.world;
    world.now_ms = teller.now_ms + u64::from(story.wait) * teller.step_ms;
    for &(pick, block) in &story.damage {
        let ids: Vec<_> =
            sorted(&world).into_iter().map(|record| (record.id, record.group)).collect();
        let (id, group) = ids[usize::from(pick) % ids.len()];
        let hour = HOUR - u64::from(pick) % 2;
        match block {
            true if pick.is_multiple_of(5) => world.damage_index(group, hour),
            true => world.damage_block(id, hour),
            false => world.damage_coverage(group, hour),
        }
    }
    world
}

fn sorted(world: &World) -> Vec<LineageRecord> {
    let mut records: Vec<LineageRecord> = world.graph.records().cloned().collect();
    records.sort_by_key(|record| (record.valid_from, record.id));
    records
}

impl Teller {
    /// Changes fall into the middle of a window.
    fn change(&mut self, group: GroupId, change: Change) -> bool {
        let at_ms = self.now_ms + self.step_ms / 3;
        match self.skew {
            0 => self.world.apply(at_ms, group, change),
            // Room between the ticks, so that no two commands share one.
            back => {
                let hlc = Hlc::new(at_ms - back * self.step_ms, self.routes as u16 * 32);
                self.world.apply_with(hlc, group, change)
            }
        }
    }

    fn live(&self, pick: u8) -> Option<LineageRecord> {
        let live: Vec<_> = sorted(&self.world).into_iter().filter(LineageRecord::is_live).collect();
        (!live.is_empty()).then(|| live[usize::from(pick) % live.len()].clone())
    }

    fn closed(&self, pick: u8) -> Option<LineageRecord> {
        let closed: Vec<_> =
            sorted(&self.world).into_iter().filter(|record| !record.is_live()).collect();
        (!closed.is_empty()).then(|| closed[usize::from(pick) % closed.len()].clone())
    }

    fn route(&mut self) -> RouteId {
        self.routes += 1;
        self.routes
    }

    fn is_free(&self, range: &KeyRange) -> bool {
        (1..=3).all(|group| self.world.graph.live_overlapping(group, range).next().is_none())
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Create { group, from, to, route, wild } => {
                let Some(range) = keys(*from, *to) else { return };
                if *wild || self.is_free(&range) {
                    self.change(
                        u64::from(*group) + 1,
                        Change::Create { routes: vec![spec(u64::from(*route), range)] },
                    );
                }
            }
            Event::Recreate { pick } => {
                let Some(old) = self.closed(*pick).filter(|old| self.is_free(&old.range)) else {
                    return;
                };
                self.change(old.group, Change::Create { routes: vec![spec(old.route, old.range)] });
            }
            Event::Split { pick, cuts, reuse, hole } => self.split(*pick, cuts, *reuse, *hole),
            Event::Merge { pick, three } => self.merge(*pick, *three),
            Event::Drop { pick } => {
                let Some(old) = self.live(*pick) else { return };
                self.change(old.group, Change::Drop { route: old.route });
            }
            Event::Move { pick, group, gap } => {
                let (Some(old), route) = (self.live(*pick), self.route()) else { return };
                let group = u64::from(*group) + 1;
                let out_ms = self.now_ms + self.step_ms / 3;
                // The first gaps are none at all.
                let in_ms = out_ms + u64::from(gap.saturating_sub(2)) * self.step_ms / 2;
                if group != old.group {
                    self.world.move_to(out_ms, in_ms, &old, group, route);
                }
            }
            Event::Backfill { pick, to, exact } => self.backfill(*pick, *to, *exact),
            Event::Leave { node } => {
                self.world.leave(NODES[usize::from(*node)], self.now_ms + self.step_ms / 2);
            }
            Event::Step(pick) => {
                self.step_ms = STEPS_MS[usize::from(*pick)];
                self.now_ms = self.now_ms.next_multiple_of(self.step_ms);
            }
            Event::Skip(windows) => self.now_ms += u64::from(*windows) * self.step_ms,
            Event::Skew(windows) => self.skew = u64::from(*windows),
            Event::Again(pick) => {
                let told = &self.world.transitions;
                let again = told[usize::from(*pick) % told.len()].clone();
                let before = self.world.graph.len();
                let records = sorted(&self.world);
                self.world.take(&again);
                // What was refused may be taken now; what was taken changes nothing.
                if self.world.graph.len() == before {
                    assert_eq!(sorted(&self.world), records, "{again:?}");
                }
            }
            Event::Restart(lost) => {
                let records = sorted(&self.world);
                let lost = lost.filter(|_| records.len() > 1);
                let lost = lost.map(|pick| records[usize::from(pick) % records.len()].id);
                self.world.restart(lost);
            }
            Event::Window(told) => {
                told.iter().for_each(|told| self.window(told));
                self.now_ms += self.step_ms;
            }
        }
    }

    fn split(&mut self, pick: u8, cuts: &[u8; 3], reuse: bool, hole: bool) {
        let Some(old) = self.live(pick) else { return };
        let inner = |key: &&[u8]| old.range.contains(key) && **key != *old.range.start();
        let mut bounds: Vec<&[u8]> =
            cuts.iter().map(|&cut| KEYS[usize::from(cut)]).filter(inner).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let starts = std::iter::once(old.range.start()).chain(bounds.iter().copied());
        let ends = bounds.iter().copied().chain([old.range.end()]);
        let ranges: Vec<KeyRange> =
            starts.zip(ends).map(|(start, end)| KeyRange::new(start, end).unwrap()).collect();
        let mut children = Vec::new();
        for (at, range) in ranges.into_iter().enumerate() {
            let route = if reuse && at == 0 { old.route } else { self.route() };
            children.push(spec(route, range));
        }
        if hole && children.len() > 2 {
            // A host that lets a part of the parent go.
            children.remove(1);
        }
        self.change(old.group, Change::Split { parent: old.route, children });
    }

    fn merge(&mut self, pick: u8, three: bool) {
        let live: Vec<_> = sorted(&self.world).into_iter().filter(LineageRecord::is_live).collect();
        let after = |record: &LineageRecord| {
            live.iter()
                .find(|next| next.group == record.group && record.range.touches(&next.range))
                .cloned()
        };
        let pairs: Vec<_> =
            live.iter().filter_map(|first| Some(vec![first.clone(), after(first)?])).collect();
        if pairs.is_empty() {
            return;
        }
        let mut parents = pairs[usize::from(pick) % pairs.len()].clone();
        if three {
            parents.extend(after(&parents[1]));
        }
        let range = parents
            .iter()
            .skip(1)
            .fold(parents[0].range.clone(), |hull, parent| hull.hull(&parent.range));
        let route = if pick.is_multiple_of(2) { parents[0].route } else { self.route() };
        let group = parents[0].group;
        let parents = parents.iter().map(|parent| parent.route).collect();
        self.change(group, Change::Merge { parents, survivor: spec(route, range) });
    }

    fn backfill(&mut self, pick: u8, to: u8, exact: bool) {
        let route = self.route();
        let (group, range) = match self.closed(pick) {
            Some(old) if exact => (old.group, old.range),
            _ => match keys(pick % KEYS.len() as u8, to) {
                Some(range) => (u64::from(pick % 3) + 1, range),
                None => return,
            },
        };
        if self.is_free(&range) {
            self.change(group, Change::Backfill { route: spec(route, range) });
        }
    }

    fn window(&mut self, told: &Told) {
        let node = NODES[usize::from(told.node)];
        let step_ms = match told.how {
            // A node that records at another step than the rest.
            23 if self.now_ms.is_multiple_of(60_000) => 60_000,
            _ => self.step_ms,
        };
        // Boot and covered share of the window in percent.
        let sent: &[(u128, u64)] = match told.how {
            0..=2 => &[(1, 60)],
            3 => &[(1, 60), (2, 40)],
            4 => &[(1, 60), (2, 30)],
            5 => &[(1, 100), (1, 100)],
            6 => &[(1, 150)],
            7 => &[(1, 200)],
            8 => &[(2, 110)],
            9 => &[(1, 0)],
            _ => &[(1, 100)],
        };
        let mut rows: Vec<(LineageId, u64, Counts, Flags)> = Vec::new();
        let records = sorted(&self.world);
        for &(pick, term, size, extra) in &told.rows {
            // Mostly live ones; else any: late counts of closed ones, windows before a birth.
            let record = match extra % 16 {
                0 => records[usize::from(pick) % records.len()].clone(),
                _ => match self.live(pick) {
                    Some(live) => live,
                    None => continue,
                },
            };
            let flags = match extra / 16 % 32 {
                0 => Flags::SAMPLED,
                1 => Flags::STALE_LEADER,
                2 => Flags::SAMPLED.or(Flags::SOFT),
                _ => Flags::NONE,
            };
            rows.push((record.id, u64::from(term % 3), counts(size, extra), flags));
        }
        let mut groups: Vec<GroupId> =
            rows.iter().map(|(id, ..)| self.world.record(*id).group).collect();
        let bucket = told.bucket.and_then(bucket);
        if let Some(bucket) = &bucket {
            groups.extend(bucket.parts.iter().map(|part| part.group).chain([bucket.group]));
        }
        groups.extend((0..3).filter(|group| told.groups >> group & 1 == 1).map(|group| group + 1));
        if told.groups == 8 {
            groups.push(0);
        }
        groups.sort_unstable();
        groups.dedup();
        for (nth, &(boot, percent)) in sent.iter().enumerate() {
            self.world.send(&Sent {
                node,
                boot,
                start_ms: self.now_ms,
                step: step(step_ms),
                covered_ms: step_ms * percent / 100,
                unattributed: u64::from(told.unattributed.saturating_sub(4)),
                groups: groups.clone(),
                rows: if nth == 0 { rows.clone() } else { rows.iter().take(1).cloned().collect() },
                buckets: bucket.iter().cloned().collect(),
            });
        }
    }
}

/// What a source over its budget counts together. Where it is kept depends on its bounds alone.
fn bucket((from, to, size, extra): (u8, u8, u8, u16)) -> Option<Bucket> {
    let range = keys(from, to)?;
    let group = u64::from(from.min(to)) % 3 + 1;
    let part = |group: u64, nth: u16| BucketPart {
        group,
        term: u64::from(extra >> nth) % 3,
        counts: counts(size.rotate_left(u32::from(nth)), extra),
        flags: if extra % 8 == nth { Flags::SAMPLED } else { Flags::NONE },
    };
    let mut parts = vec![part(group, 0)];
    if size.is_multiple_of(3) {
        parts.push(part(group % 3 + 1, 1));
    }
    parts.sort_by_key(|part| (part.group, part.term));
    let members: Vec<RouteId> =
        (1..=u64::from(size) % 4 + 1).map(|n| n * u64::from(from + 1)).collect();
    let member_count = members.len() as u64 + u64::from(extra % 3);
    Some(Bucket { group, range, members, member_count, parts })
}

fn keys(from: u8, to: u8) -> Option<KeyRange> {
    let (from, to) = (usize::from(from.min(to)), usize::from(from.max(to)));
    (from < to).then(|| KeyRange::new(KEYS[from], KEYS[to]).unwrap())
}

/// Small numbers, zeros, and now and then what a counter cannot hold.
fn counts(size: u8, extra: u16) -> Counts {
    let of = |series: u16| match (extra >> 9, size >> (2 * series) & 3) {
        (127, _) => u64::MAX - u64::from(size) / 2 * u64::from(series),
        (_, 0) => 0,
        (_, low) => u64::from(low) * 7 + u64::from(size % 16),
    };
    Counts { reads: of(0), writes: of(1), read_bytes: of(2), write_bytes: of(3) }
}

pub(crate) fn question(world: &World, asked: &Asked) -> MatrixRequest {
    let first_ms =
        world.graph.records().map(|record| record.valid_from.unix_ms()).min().unwrap() - 5_000;
    // What is left after a loss may be born later than now.
    let last_ms = (world.now_ms + 5_000).max(first_ms);
    let at = |part: u8| first_ms + (last_ms - first_ms) * u64::from(part) / 255;
    MatrixRequest {
        series: Series::ALL[usize::from(asked.series)],
        from_ms: asked.from.map(|from| at(from / 2)),
        to_ms: asked.to.map(|to| at(127 + to / 2)),
        range: asked.range.and_then(|(from, to)| keys(from, to)).unwrap_or_default(),
        rows: asked.rows,
        step: asked.step.map(step),
        row_set: match asked.row_set {
            (0..=2, _) => RowSet::AsOfTo,
            (3 | 4, _) => RowSet::AsOfFrom,
            (5 | 6, at_part) => RowSet::AsOf(at(at_part)),
            _ => RowSet::Union,
        },
        continuity: if asked.apportion { Continuity::Apportion } else { Continuity::Inherit },
    }
}
