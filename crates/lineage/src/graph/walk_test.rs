use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    Cause, Change, Hlc, KeyRange, Life, LineageId, LineageRecord, RouteSpec, Step, Transition,
    Window,
};

/// What a day of a small cluster may bring.
#[derive(Clone, Debug)]
enum Event {
    Split { pick: u8, at: u8 },
    Merge { pick: u8 },
    Drop { pick: u8 },
    Create { from: u8, to: u8 },
    Move { pick: u8 },
    Backfill { from: u8, to: u8 },
    Remove { pick: u8 },
    Record { pick: u8, minute: u8 },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (any::<u8>(), any::<u8>()).prop_map(|(pick, at)| Event::Split { pick, at }),
        5 => any::<u8>().prop_map(|pick| Event::Merge { pick }),
        1 => any::<u8>().prop_map(|pick| Event::Drop { pick }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Event::Create { from, to }),
        1 => any::<u8>().prop_map(|pick| Event::Move { pick }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Event::Backfill { from, to }),
        1 => any::<u8>().prop_map(|pick| Event::Remove { pick }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(pick, minute)| Event::Record { pick, minute }),
    ];
    prop::collection::vec(event, 0..60)
}

fn range(start: u8, end: u8) -> Option<KeyRange> {
    let start = if start == 0 { vec![] } else { vec![start] };
    KeyRange::new(start, if end == 0 { vec![] } else { vec![end] }).ok()
}

/// The graph with all that was recorded outside of lives, as a list.
#[derive(Default)]
struct Told {
    graph: LineageGraph,
    minutes: u64,
    routes: u64,
    recorded: Vec<(LineageId, u64, u64)>,
}

const MINUTE: u64 = 60_000;
const START: u64 = 1_000 * MINUTE;

impl Told {
    fn apply(&mut self, group: u64, change: Change) {
        self.minutes += 40;
        let hlc = Hlc::new(START + self.minutes * MINUTE, 0);
        let proposal = u128::from(self.minutes).to_be_bytes();
        let transition = Transition { group, proposal, hlc, catalogue_version: 0, change };
        if let Ok(plan) = self.graph.plan(&transition) {
            let until_ms = self.recorded.iter().map(|&(_, _, to_ms)| to_ms).max();
            self.graph.install_plan_at(plan, until_ms.unwrap_or(0));
        }
    }

    fn live(&self, pick: u8) -> Option<LineageRecord> {
        let mut live: Vec<_> = self.graph.records().filter(|record| record.is_live()).collect();
        live.sort_by_key(|record| record.id);
        (!live.is_empty()).then(|| live[usize::from(pick) % live.len()].clone())
    }

    fn any(&self, pick: u8) -> Option<LineageRecord> {
        let mut all: Vec<_> = self.graph.records().collect();
        all.sort_by_key(|record| record.id);
        (!all.is_empty()).then(|| all[usize::from(pick) % all.len()].clone())
    }

    fn spec(&mut self, range: KeyRange) -> RouteSpec {
        self.routes += 1;
        RouteSpec { route: self.routes, range }
    }

    fn tell(&mut self, event: &Event) {
        match *event {
            Event::Split { pick, at } => {
                let Some(parent) = self.live(pick) else { return };
                let at = vec![at.max(1)];
                if !parent.range.contains(&at) || parent.range.start() == at {
                    return;
                }
                let low = KeyRange::new(parent.range.start(), at.clone()).unwrap();
                let high = KeyRange::new(at, parent.range.end()).unwrap();
                let children = vec![self.spec(low), self.spec(high)];
                self.apply(parent.group, Change::Split { parent: parent.route, children });
            }
            Event::Merge { pick } => {
                let Some(low) = self.live(pick) else { return };
                let next = self
                    .graph
                    .records()
                    .find(|r| r.is_live() && r.group == low.group && low.range.touches(&r.range));
                let Some(high) = next.cloned() else { return };
                let survivor = self.spec(low.range.hull(&high.range));
                let parents = vec![low.route, high.route];
                self.apply(low.group, Change::Merge { parents, survivor });
            }
            Event::Drop { pick } => {
                let Some(record) = self.live(pick) else { return };
                self.apply(record.group, Change::Drop { route: record.route });
            }
            Event::Create { from, to } => {
                let Some(range) = range(from, to) else { return };
                let routes = vec![self.spec(range)];
                self.apply(1 + u64::from(from % 2), Change::Create { routes });
            }
            Event::Move { pick } => {
                let Some(old) = self.live(pick) else { return };
                let (group, route) = (3 - old.group, self.spec(old.range.clone()));
                let out =
                    Change::MoveOut { route: old.route, to_group: group, to_route: route.route };
                self.apply(old.group, out);
                self.apply(group, Change::MoveIn { route, from: old.as_parent() });
            }
            Event::Backfill { from, to } => {
                let Some(range) = range(from, to) else { return };
                let route = self.spec(range);
                self.apply(1, Change::Backfill { route });
            }
            Event::Remove { pick } => {
                if let Some(record) = self.any(pick).filter(|record| !record.is_live()) {
                    self.graph.remove(record.id);
                }
            }
            Event::Record { pick, minute } => {
                let Some(record) = self.any(pick) else { return };
                let from_ms = START + u64::from(minute) * 20 * MINUTE;
                self.graph.note_recorded(record.id, from_ms, from_ms + MINUTE);
                self.recorded.push((record.id, from_ms, from_ms + MINUTE));
            }
        }
    }

    /// When it owned its keys, from the records alone.
    fn life(&self, record: &LineageRecord) -> Life {
        let mut life = Life::of(record);
        if record.cause == Cause::Backfill {
            let parents = self
                .graph
                .records()
                .filter(|other| record.parents.iter().any(|parent| parent.id == other.id));
            let ends = parents.map(|other| Life::of(other).end_ms);
            life.owned_from_ms = ends.max().unwrap_or(0).min(life.born_ms);
        }
        life
    }

    /// Whether anything was recorded of it, as far as anyone was told: windows within its life, and
    /// those that the graph was told of.
    fn holds(&self, record: &LineageRecord, from_ms: u64, to_ms: u64) -> bool {
        let life = self.graph.life(self.graph.slot(record.id).unwrap());
        assert_eq!(life, self.life(record), "what is kept is what the records say");
        life.owned_from_ms < to_ms && from_ms < life.end_ms
            || self
                .recorded
                .iter()
                .any(|&(id, from, to)| id == record.id && from < to_ms && from_ms < to)
    }

    /// The obvious walk: along the edges, through all that overlaps.
    fn linked(&self, row: &LineageRecord) -> BTreeSet<LineageId> {
        let mut found = BTreeSet::from([row.id]);
        for back in [true, false] {
            let mut open = vec![row.clone()];
            while let Some(here) = open.pop() {
                let next: Vec<LineageRecord> = self
                    .graph
                    .records()
                    .filter(|other| match back {
                        true => here.parents.iter().any(|parent| parent.id == other.id),
                        false => other.parents.iter().any(|parent| parent.id == here.id),
                    })
                    .filter(|other| other.range.overlaps(&row.range))
                    .cloned()
                    .collect();
                open.extend(next.into_iter().filter(|other| found.insert(other.id)));
            }
        }
        found
    }
}

fn check(told: &Told, from_ms: u64, to_ms: u64, at_ms: u64) -> Result<(), TestCaseError> {
    let graph = &told.graph;
    let mut rows: Vec<Slot> = graph.overlapping(&KeyRange::all(), 0, u64::MAX);
    prop_assert_eq!(rows.len(), graph.len().0, "everything overlaps everything");
    rows.retain(|&row| graph.record(row).is_some_and(|record| record.alive_at(at_ms)));
    rows.sort_by_key(|&row| {
        graph.record(row).map(|record| (record.range.start().to_vec(), record.id))
    });
    let links = graph.link(&rows, from_ms, to_ms);
    for (at, &row) in rows.iter().enumerate() {
        let record = graph.record(row).unwrap();
        let shown = links.of(at);
        prop_assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "ascending, once each");
        let shown: BTreeSet<LineageId> =
            shown.iter().map(|&slot| graph.record(slot).unwrap().id).collect();
        let linked = told.linked(record);
        prop_assert!(shown.is_subset(&linked) && shown.contains(&record.id));
        for id in linked.difference(&shown) {
            let left_out = graph.get(*id).unwrap();
            prop_assert!(!told.holds(left_out, from_ms, to_ms), "{left_out:?} was left out");
        }
        let past = graph.link_past(row, from_ms, to_ms);
        prop_assert!(past.iter().all(|slot| links.of(at).contains(slot)));
    }
    let found: BTreeSet<Slot> =
        graph.overlapping(&KeyRange::all(), from_ms, to_ms).into_iter().collect();
    for record in graph.records().filter(|record| told.holds(record, from_ms, to_ms)) {
        prop_assert!(found.contains(&graph.slot(record.id).unwrap()), "{record:?} was not found");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn rows_show_what_an_obvious_walk_shows(
        events in events(),
        questions in prop::collection::vec((0u64..90, 1u64..60, 0u64..100), 1..4),
        reload in any::<bool>(),
    ) {
        let mut told = Told::default();
        told.apply(1, Change::Create { routes: vec![RouteSpec { route: 1_000, range: KeyRange::all() }] });
        let copy = told.graph.clone();
        events.iter().for_each(|event| told.tell(event));
        prop_assert_eq!(copy.len(), (1, 1), "a copy does not see what came after");
        if reload {
            told.graph = LineageGraph::from_records(told.graph.records().cloned().collect::<Vec<_>>());
            for (id, from_ms, to_ms) in told.recorded.clone() {
                told.graph.note_recorded(id, from_ms, to_ms);
            }
        }
        for (from, length, at) in questions {
            let scale = 40 * MINUTE;
            let from_ms = START + from * scale;
            check(&told, from_ms, from_ms + length * scale / 8, START + at * scale + 1)?;
        }
        check(&told, 0, u64::MAX, START + told.minutes * MINUTE + 1)?;
    }
}

#[test]
fn a_window_around_a_life_is_expected_and_others_are_not() {
    let mut told = Told::default();
    told.apply(1, Change::Create { routes: vec![RouteSpec { route: 1, range: KeyRange::all() }] });
    told.apply(1, Change::Drop { route: 1 });
    let record = told.graph.records().next().unwrap();
    // Born at 17:20, dropped at 18:00; the hours in which anything may lie are 17 and 18.
    let window = |minutes: i64| {
        let start_ms = record.valid_from.unix_ms().saturating_add_signed(minutes * 60_000);
        let window = Window::new(start_ms, Step::MINUTE).unwrap();
        LineageGraph::expects(record, window.start_ms, window.end_ms())
    };
    assert_eq!([-21, -20, 0, 40, 99, 100].map(window), [false, true, true, true, true, false]);
}
