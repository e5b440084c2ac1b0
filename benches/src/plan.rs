//! Planning: how long it takes to find out which lineages each row shows, as ranges and transitions
//! grow (goal: a full-width question over 7 days, 10,000 ranges and 100,000 transitions in <= 10 ms),
//! and that a narrow question costs what it overlaps, not what there is.
//!
//! The baseline is one look-up in a hash map for each pair of a row and a lineage that it shows: what
//! any walk over ids would pay at the least.

use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::ops::RangeInclusive;

use keyviz_codec::marks::Member;
use keyviz_codec::{Coverage, HourBlocks};
use keyviz_lineage::{
    Change, GroupId, Hlc, KeyRange, LineageGraph, LineageId, RouteSpec, Series, Step, Transition,
};
use keyviz_query::{MatrixRequest, explain};
use keyviz_store::{History, StoreError};
use uuid::Uuid;

use crate::report;

const WEEK_MS: u64 = 7 * 24 * 3_600_000;
const NOW_MS: u64 = 1_760_000_400_000;
const GROUPS: u64 = 16;

/// A history of lineages alone.
struct Silent;

impl History for Silent {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }

    fn oldest_ms(&self) -> u64 {
        NOW_MS - WEEK_MS
    }

    fn blocks(
        &self,
        _: GroupId,
        _: LineageId,
        _: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<HourBlocks, StoreError>)> {
        Vec::new()
    }

    fn coverage(
        &self,
        _: GroupId,
        _: RangeInclusive<u64>,
    ) -> Vec<(u64, Result<Coverage, StoreError>)> {
        Vec::new()
    }

    fn groups(&self) -> Result<BTreeSet<GroupId>, StoreError> {
        Ok(BTreeSet::new())
    }

    fn members(&self, _: GroupId) -> Result<Vec<(String, Member)>, StoreError> {
        Ok(Vec::new())
    }
}

/// A cluster that goes on splitting ranges and merging them again.
struct Cluster {
    graph: LineageGraph,
    /// Live routes with their bounds, in key order.
    live: Vec<(u64, GroupId, KeyRange)>,
    routes: u64,
    proposals: u128,
}

fn key(at: u64, ranges: u64) -> Vec<u8> {
    // A table's prefix, as keys have it, and room below each bound for splits.
    let mut key = b"t_0042_r".to_vec();
    key.extend_from_slice(&(at * (u64::MAX / (ranges + 1))).to_be_bytes());
    key
}

impl Cluster {
    fn new(ranges: u64) -> Result<Self, Box<dyn std::error::Error>> {
        let mut cluster =
            Self { graph: LineageGraph::default(), live: Vec::new(), routes: ranges, proposals: 0 };
        for at in 0..ranges {
            let start = if at == 0 { Vec::new() } else { key(at, ranges) };
            let end = if at + 1 == ranges { Vec::new() } else { key(at + 1, ranges) };
            let group = 1 + at * GROUPS / ranges;
            cluster.live.push((at + 1, group, KeyRange::new(start, end)?));
        }
        for group in 1..=GROUPS {
            let of_group = cluster.live.iter().filter(|(_, g, _)| *g == group);
            let routes =
                of_group.map(|(route, _, range)| RouteSpec { route: *route, range: range.clone() });
            let change = Change::Create { routes: routes.collect() };
            cluster.apply(group, NOW_MS - WEEK_MS - 3_600_000, change)?;
        }
        Ok(cluster)
    }

    fn apply(
        &mut self,
        group: GroupId,
        at_ms: u64,
        change: Change,
    ) -> Result<(), keyviz_lineage::GraphError> {
        self.proposals += 1;
        let (proposal, hlc) = (self.proposals.to_be_bytes(), Hlc::new(at_ms, 0));
        let transition = Transition { group, proposal, hlc, catalogue_version: 0, change };
        let plan = self.graph.plan(&transition)?;
        self.graph.install_plan(plan);
        Ok(())
    }

    fn route(&mut self, range: KeyRange) -> RouteSpec {
        self.routes += 1;
        RouteSpec { route: self.routes, range }
    }

    /// One transition: a split while as many ranges as at first are live, else a merge.
    fn change(&mut self, at_ms: u64, ranges: usize) -> Result<(), Box<dyn std::error::Error>> {
        // A walk over all ranges that never repeats itself soon.
        let pick = (self.proposals as usize).wrapping_mul(7_919) % (self.live.len() - 1);
        let (route, group, range) = self.live[pick].clone();
        if self.live.len() > ranges && self.live[pick + 1].1 == group {
            let (next, _, high) = self.live.remove(pick + 1);
            let survivor = self.route(range.hull(&high));
            self.live[pick] = (survivor.route, group, survivor.range.clone());
            self.apply(group, at_ms, Change::Merge { parents: vec![route, next], survivor })?;
            return Ok(());
        }
        let middle = middle(range.start(), range.end());
        let (low, high) =
            (KeyRange::new(range.start(), &*middle)?, KeyRange::new(&*middle, range.end())?);
        let children = vec![self.route(low), self.route(high)];
        let of = |spec: &RouteSpec| (spec.route, group, spec.range.clone());
        self.live[pick] = of(&children[0]);
        self.live.insert(pick + 1, of(&children[1]));
        self.apply(group, at_ms, Change::Split { parent: route, children })?;
        Ok(())
    }
}

/// A key between two bounds: the start with more behind it.
fn middle(start: &[u8], end: &[u8]) -> Vec<u8> {
    let mut middle = start.to_vec();
    for &byte in end.iter().skip(start.len()).take_while(|&&byte| byte == 0) {
        middle.push(byte);
    }
    middle.push(0x80);
    if !end.is_empty() && *middle >= *end {
        middle.pop();
        middle.extend_from_slice(&[0, 0x80]);
    }
    middle
}

fn history(ranges: u64, transitions: u64) -> Result<Cluster, Box<dyn std::error::Error>> {
    let mut cluster = Cluster::new(ranges)?;
    for n in 0..transitions {
        cluster.change(NOW_MS - WEEK_MS + n * WEEK_MS / transitions, ranges as usize)?;
    }
    Ok(cluster)
}

fn measure(
    label: &str,
    graph: &LineageGraph,
    request: &MatrixRequest,
) -> Result<(), Box<dyn std::error::Error>> {
    let explained = explain(&Silent, graph, request)?;
    let ids: Vec<LineageId> =
        (0..explained.sources as u128).map(|n| Uuid::from_u128(n << 64 | n)).collect();
    let map: HashMap<LineageId, u32> = ids.iter().map(|&id| (id, 1)).collect();
    let look_up = || {
        black_box(ids.iter().filter_map(|id| map.get(id)).sum::<u32>());
    };
    let plan = || {
        let _ = black_box(explain(&Silent, graph, request));
    };
    let (ours, theirs) = report::paired(plan, look_up);
    let label = format!("{label}: {} rows show {} lineages", explained.rows, explained.sources);
    report::line(&label, ours * 1e3, "ms", theirs * 1e3);
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let request = |from_ms, to_ms| MatrixRequest {
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        rows: None,
        step: Some(Step::HOUR),
        ..MatrixRequest::new(Series::Writes)
    };
    let cases = [
        (1_000, 0),
        (1_000, 1_680),
        (1_000, 168_000),
        (10_000, 0),
        (10_000, 1_680),
        (10_000, 100_000),
        (10_000, 168_000),
        (100_000, 0),
        (100_000, 1_680),
        (100_000, 168_000),
    ];
    for (ranges, transitions) in cases {
        let cluster = history(ranges, transitions)?;
        let label = format!("plan of 7 days, {ranges} ranges, {transitions} transitions");
        measure(&label, &cluster.graph, &request(NOW_MS - WEEK_MS, NOW_MS))?;
        if (ranges, transitions) == (10_000, 100_000) {
            narrow(&cluster, &request)?;
        }
    }
    Ok(())
}

/// Questions that overlap little of a long history.
fn narrow(
    cluster: &Cluster,
    request: &dyn Fn(u64, u64) -> MatrixRequest,
) -> Result<(), Box<dyn std::error::Error>> {
    let (_, _, range) = cluster.live[cluster.live.len() / 2].clone();
    let day_ms = 24 * 3_600_000;
    let week = request(NOW_MS - WEEK_MS, NOW_MS);
    let one = MatrixRequest { range: range.clone(), ..week };
    measure("plan of 7 days of one range among 10,000", &cluster.graph, &one)?;
    let hour = request(NOW_MS - 3 * day_ms, NOW_MS - 3 * day_ms + 3_600_000);
    measure("plan of an hour three days ago of all", &cluster.graph, &hour)?;
    let one_hour = MatrixRequest { range, ..hour };
    measure("plan of an hour three days ago of one range", &cluster.graph, &one_hour)?;
    Ok(())
}
