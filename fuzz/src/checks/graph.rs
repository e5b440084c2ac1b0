//! What must hold of the lineage graph, whatever a host says: no panic; L1 (live ranges of a group do
//! not overlap); L2 (a closed side's end is the new side's birth, later than its own); L3 (a transition
//! twice, or the same event under another proposal id, changes nothing); L4 (planning is pure); no
//! cycles; and a graph of the stored records is the graph.
//!
//! Input: operations, each a byte that says what, and then the bytes that it asks for (0 when the input
//! has ended). About half of them follow from what lives, so that histories grow; the rest is anything.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_lineage::graph::Plan;
use keyviz_lineage::{
    Change, GroupId, Hlc, KeyRange, LineageGraph, LineageId, LineageRecord, ParentRef, RouteId,
    RouteSpec, Step, Transition,
};

const MOST_OPERATIONS: usize = 200;
const MOST_RESTARTS: usize = 4;
/// A replayed transition gets a proposal id and a moment of its own: a new leader tries again.
const OTHER_LEADER: u8 = 0x80;

/// Runs a history and checks it.
pub fn graph(input: &[u8]) {
    let mut history = History { input, ..History::default() };
    for _ in 0..MOST_OPERATIONS {
        let Some((&operation, rest)) = history.input.split_first() else { break };
        history.input = rest;
        history.run(operation);
    }
    check_graph(&history.graph);
}

#[derive(Default)]
struct History<'a> {
    input: &'a [u8],
    graph: LineageGraph,
    hlc: u64,
    proposals: u8,
    /// What changed something, in order.
    applied: Vec<Transition>,
    /// A clock went back: what closed a route may now hit the route's next life.
    went_back: bool,
    restarts: usize,
}

impl History<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.input.split_first() else { return 0 };
        self.input = rest;
        byte
    }

    fn run(&mut self, operation: u8) {
        match operation % 16 {
            14 => self.replay(operation),
            15 => self.restart(),
            which => {
                let (group, change) = match which {
                    3..=5 => self.split(),
                    7 | 8 => self.merge(),
                    10 => self.move_in(),
                    _ => (self.group(), self.any_change(which)),
                };
                let transition = self.transition(group, change);
                self.apply(transition);
            }
        }
    }

    fn restart(&mut self) {
        self.restarts += 1;
        if self.restarts <= MOST_RESTARTS {
            check_graph(&self.graph);
            self.graph = LineageGraph::from_records(self.graph.records().cloned());
        }
    }

    fn any_change(&mut self, which: u8) -> Change {
        match which {
            0 | 1 => Change::Create { routes: self.specs() },
            2 => Change::Split { parent: self.route(), children: self.specs() },
            6 => Change::Merge {
                parents: (0..self.byte() % 4).map(|_| self.route()).collect(),
                survivor: self.spec(),
            },
            9 => Change::MoveOut {
                route: self.route(),
                to_group: self.group(),
                to_route: self.route(),
            },
            11 => Change::Drop { route: self.route() },
            12 => Change::Backfill { route: self.spec() },
            _ => Change::Leader { node: String::new(), term: u64::from(self.byte()) },
        }
    }

    fn transition(&mut self, group: GroupId, change: Change) -> Transition {
        let (moment, version) = (self.byte(), self.byte());
        let proposal = match version >> 6 {
            3 => version & 3, // again one of a few
            _ => {
                self.proposals = self.proposals.wrapping_add(1);
                self.proposals
            }
        };
        let hlc = self.moment(moment);
        let catalogue_version = match version & 0x3F {
            0x3F => u64::MAX - u64::from(version >> 7),
            version => u64::from(version),
        };
        Transition { group, proposal: [proposal; 16], hlc: Hlc(hlc), catalogue_version, change }
    }

    fn moment(&mut self, byte: u8) -> u64 {
        let hlc = match byte {
            0xFF => u64::MAX,
            0xFE => u64::MAX - u64::from(self.byte()),
            0xC0..=0xFD => self.hlc.saturating_sub(u64::from(byte - 0xC0) << 8),
            _ => self.hlc.saturating_add(u64::from(byte) << 10 | 1),
        };
        self.went_back |= hlc <= self.hlc;
        self.hlc = self.hlc.max(hlc);
        hlc
    }

    fn apply(&mut self, transition: Transition) {
        let planned = self.graph.plan(&transition);
        assert_eq!(planned, self.graph.plan(&transition), "L4");
        let Ok(plan) = planned else { return };
        if plan.records.is_empty() {
            return;
        }
        check_plan(&self.graph, &transition, &plan);
        self.graph.install_plan(plan.clone());
        for record in &plan.records {
            assert_eq!(self.graph.get(record.id), Some(record), "installed as planned");
        }
        assert_eq!(self.graph.plan(&transition), Ok(Plan::default()), "L3: {transition:?}");
        self.applied.push(transition);
    }

    /// Something that was applied comes again, perhaps much later and from another leader.
    fn replay(&mut self, operation: u8) {
        let at = usize::from(self.byte()) % self.applied.len().max(1);
        let Some(mut transition) = self.applied.get(at).cloned() else { return };
        let is_birth = transition.change.births() > 0;
        if operation & OTHER_LEADER != 0 {
            // Nothing else tells the event from a new one.
            let has_version = transition.catalogue_version != 0;
            let is_decided = matches!(
                transition.change,
                Change::Create { .. } | Change::Split { .. } | Change::Merge { .. }
            );
            if !(has_version && is_decided) {
                return;
            }
            transition.proposal = [0xEE; 16];
            transition.hlc = Hlc(self.moment(1));
        }
        if is_birth || !self.went_back {
            let planned = self.graph.plan(&transition);
            // At the end of time a retry has no moment left.
            let is_last = planned.is_err() && transition.hlc.0 > u64::MAX - (1 << 32);
            assert!(is_last || planned == Ok(Plan::default()), "L3: {transition:?}: {planned:?}");
        }
    }

    fn group(&mut self) -> GroupId {
        GroupId::from(self.byte() % 4)
    }

    fn route(&mut self) -> RouteId {
        RouteId::from(self.byte() % 12)
    }

    fn key(&mut self) -> Vec<u8> {
        match self.byte() {
            0 => Vec::new(),
            0xFF => vec![0xFF, 0xFF],
            byte if byte & 1 == 0 => vec![byte >> 4],
            byte => vec![byte >> 4, byte & 0x0E],
        }
    }

    fn range(&mut self) -> KeyRange {
        let (a, b) = (self.key(), self.key());
        let is_inverted = !b.is_empty() && a > b;
        let (start, end) = if is_inverted { (b, a) } else { (a, b) };
        KeyRange::new(start, end).unwrap_or_default()
    }

    fn spec(&mut self) -> RouteSpec {
        RouteSpec { route: self.route(), range: self.range() }
    }

    fn specs(&mut self) -> Vec<RouteSpec> {
        (0..self.byte() % 4).map(|_| self.spec()).collect()
    }

    /// What left for another group arrives there; or something else does.
    fn move_in(&mut self) -> (GroupId, Change) {
        let from = self.parent();
        match self.graph.get(from.id).and_then(|record| record.successor) {
            Some((group, route)) => {
                let route = RouteSpec { route, range: from.range.clone() };
                (group, Change::MoveIn { route, from })
            }
            None => (self.group(), Change::MoveIn { route: self.spec(), from }),
        }
    }

    fn parent(&mut self) -> ParentRef {
        let moment = self.byte();
        if let Some(record) = self.pick(false) {
            return record.as_parent();
        }
        // One that is not there (yet): its id may be one that a transition will derive.
        let valid_from = Hlc(self.moment(moment));
        let (group, proposal) = (self.group(), [self.byte(); 16]);
        let id = keyviz_lineage::id::derive(valid_from, group, &proposal, 0);
        ParentRef { group, id, range: self.range(), valid_from }
    }

    /// A record of the graph, in an order that does not depend on hashing.
    fn pick(&mut self, live: bool) -> Option<LineageRecord> {
        let at = usize::from(self.byte());
        let mut records: Vec<&LineageRecord> =
            self.graph.records().filter(|record| !live || record.is_live()).collect();
        records.sort_by_key(|record| (record.group, record.range.start(), record.id));
        let at = at.checked_rem(records.len() + usize::from(!live))?;
        records.get(at).map(|&record| record.clone())
    }

    /// A split of a live route at keys inside it.
    fn split(&mut self) -> (GroupId, Change) {
        let Some(parent) = self.pick(true) else { return self.creation() };
        let cuts: BTreeSet<Vec<u8>> = (0..1 + self.byte() % 4).map(|_| self.key()).collect();
        let inside = |key: &Vec<u8>| parent.range.contains(key) && **key != *parent.range.start();
        let mut bounds: Vec<Vec<u8>> = vec![parent.range.start().to_vec()];
        bounds.extend(cuts.into_iter().filter(inside));
        bounds.push(parent.range.end().to_vec());
        let children = bounds
            .windows(2)
            .map(|pair| KeyRange::new(pair[0].clone(), pair[1].clone()).unwrap_or_default())
            .map(|range| RouteSpec { route: self.route(), range })
            .collect();
        (parent.group, Change::Split { parent: parent.route, children })
    }

    fn creation(&mut self) -> (GroupId, Change) {
        (self.group(), Change::Create { routes: self.specs() })
    }

    /// A merge of live neighbours.
    fn merge(&mut self) -> (GroupId, Change) {
        let Some(first) = self.pick(true) else { return self.creation() };
        let all = KeyRange::all();
        let more = usize::from(self.byte() % 3) + 1;
        let run: Vec<&LineageRecord> = self
            .graph
            .live_overlapping(first.group, &all)
            .skip_while(|record| record.id != first.id)
            .take(more + 1)
            .collect();
        let union = run.iter().fold(first.range.clone(), |hull, next| hull.hull(&next.range));
        let parents = run.iter().map(|record| record.route).collect();
        let survivor = RouteSpec { route: self.route(), range: union };
        (first.group, Change::Merge { parents, survivor })
    }
}

/// L2 of what a plan changes, and that it changes nothing else.
fn check_plan(graph: &LineageGraph, transition: &Transition, plan: &Plan) {
    let ids: BTreeSet<LineageId> = plan.records.iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), plan.records.len(), "every record of a plan once");
    for record in &plan.records {
        assert_eq!(record.group, transition.group, "a command changes one group only");
        match (graph.get(record.id), record.valid_to) {
            (None, None) => {}
            (Some(held), Some(end)) => {
                assert!(held.is_live() && end > held.valid_from, "L2: ends after its birth");
                let successor = record.successor;
                let closed = LineageRecord { valid_to: Some(end), successor, ..held.clone() };
                assert_eq!(*record, closed, "closing changes nothing else");
                let born = plan.records.iter().filter(|born| born.is_live());
                assert!(born.into_iter().all(|born| born.valid_from == end), "L2");
            }
            (held, _) => panic!("{held:?} became {record:?}"), // invariant: a record is born once
        }
        let is_later = |parent: &ParentRef| parent.valid_from < record.valid_from;
        assert!(record.parents.iter().all(is_later), "a child is born after its parents");
    }
}

/// The invariants of a whole graph, the slow way.
fn check_graph(graph: &LineageGraph) {
    let records: BTreeMap<LineageId, &LineageRecord> =
        graph.records().map(|record| (record.id, record)).collect();
    let mut live: BTreeMap<GroupId, Vec<&LineageRecord>> = BTreeMap::new();
    for &record in records.values().filter(|record| record.is_live()) {
        live.entry(record.group).or_default().push(record);
        assert_eq!(graph.live_route(record.group, record.route), Some(record));
    }
    assert_eq!(graph.len(), (records.len(), live.values().map(Vec::len).sum()));
    for (&group, ranges) in &mut live {
        ranges.sort_by(|a, b| a.range.start().cmp(b.range.start()));
        let is_apart = |pair: &[&LineageRecord]| !pair[0].range.overlaps(&pair[1].range);
        assert!(ranges.windows(2).all(is_apart), "L1 in group {group}");
        let ranges_asked: BTreeSet<&KeyRange> = records.values().map(|r| &r.range).collect();
        for wanted in ranges_asked {
            let found: Vec<&LineageRecord> = graph.live_overlapping(group, wanted).collect();
            let slow: Vec<&LineageRecord> =
                ranges.iter().copied().filter(|held| held.range.overlaps(wanted)).collect();
            assert_eq!(found, slow, "live ranges of group {group} that overlap {wanted}");
        }
    }
    check_edges(graph, &records);
    let again = LineageGraph::from_records(records.values().map(|&record| record.clone()));
    assert_eq!(again.len(), graph.len());
    for (&id, &record) in &records {
        assert_eq!(again.get(id), Some(record));
        let window = Step::MINUTE.window_ending_near(record.valid_from.unix_ms());
        let found = graph.resolve(record.group, record.route, &record.range, window);
        assert!(found.is_some_and(|found| found.range == record.range));
        assert_eq!(children(&again, id), children(graph, id));
        let routes = |graph: &LineageGraph| -> BTreeSet<LineageId> {
            graph.of_route(record.group, record.route).map(|record| record.id).collect()
        };
        assert!(routes(graph).contains(&id));
        assert_eq!(routes(&again), routes(graph));
    }
}

/// Edges go both ways, and following parents ends.
fn check_edges(graph: &LineageGraph, records: &BTreeMap<LineageId, &LineageRecord>) {
    let mut left: BTreeMap<LineageId, usize> = BTreeMap::new();
    for (&id, record) in records {
        assert!(record.parents.iter().all(|parent| children(graph, parent.id).contains(&id)));
        let known = record.parents.iter().filter(|parent| records.contains_key(&parent.id));
        left.insert(id, known.count());
    }
    let mut free: Vec<LineageId> =
        left.iter().filter(|(_, parents)| **parents == 0).map(|(&id, _)| id).collect();
    let mut seen = 0;
    while let Some(id) = free.pop() {
        seen += 1;
        for child in graph.children(id) {
            let parents = left.entry(child).or_default();
            *parents = parents.saturating_sub(1);
            if *parents == 0 {
                free.push(child);
            }
        }
    }
    assert_eq!(seen, records.len(), "a cycle of parents");
}

fn children(graph: &LineageGraph, id: LineageId) -> BTreeSet<LineageId> {
    graph.children(id).into_iter().collect()
}
