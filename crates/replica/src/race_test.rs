//! Commands race columns: whatever order they come in, every count is found under the range that it
//! was counted on (contract section 5: columns of a closed lineage are accepted for windows before its
//! close).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Change, Column, Counts, Entry, Flags, GroupId, Hlc, KeyRange, RouteId, RouteSpec, Row, Step,
    Transition, Window, unix_hour,
};
use keyviz_store::History;
use proptest::prelude::*;

use crate::recorder_test::{START_MS, crash, open, persist, send};
use crate::{Recorder, Verdict};

/// Late counts of a closed route are taken this long, in windows of a second.
const GRACE_S: u64 = 5;
/// The story ends here, in seconds.
const END_S: u64 = 4_000;

/// A route from its birth to its end.
#[derive(Clone, Debug)]
struct Life {
    route: RouteId,
    group: GroupId,
    range: KeyRange,
    born_s: u64,
    closed_s: Option<u64>,
}

#[derive(Clone, Debug)]
enum Action {
    Split {
        pick: u8,
        cut: u8,
        after_s: u64,
    },
    Merge {
        pick: u8,
        after_s: u64,
    },
    Move {
        pick: u8,
        after_s: u64,
    },
    /// Counts of some route, living or closed, for a window of its life (in permille of it).
    Count {
        pick: u8,
        at: u64,
        writes: u64,
    },
    /// Counts of a route that closed, for a window so long after.
    TooLate {
        pick: u8,
        by_s: u64,
    },
    /// Both in one batch: counts of a range, and the split that closes it.
    Together {
        pick: u8,
        cut: u8,
        writes: u64,
    },
    Persist,
    Crash,
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let (pick, writes) = (any::<u8>(), 1u64..1_000);
    prop_oneof![
        3 => (pick, any::<u8>(), 1u64..300).prop_map(|(pick, cut, after_s)| Action::Split { pick, cut, after_s }),
        2 => (pick, 1u64..300).prop_map(|(pick, after_s)| Action::Merge { pick, after_s }),
        2 => (pick, 1u64..300).prop_map(|(pick, after_s)| Action::Move { pick, after_s }),
        14 => (pick, 0u64..=1_000, writes.clone()).prop_map(|(pick, at, writes)| Action::Count { pick, at, writes }),
        2 => (pick, 1u64..600).prop_map(|(pick, by_s)| Action::TooLate { pick, by_s }),
        1 => (pick, any::<u8>(), writes).prop_map(|(pick, cut, writes)| Action::Together { pick, cut, writes }),
        1 => Just(Action::Persist),
        1 => Just(Action::Crash),
        1 => Just(Action::Restart),
    ]
}

type Found = BTreeMap<(RouteId, u64), u64>;

/// Every stored write, by route and window.
fn contents(recorder: &Recorder) -> Found {
    let view = recorder.view().unwrap();
    let mut found = Found::new();
    for record in view.graph().records() {
        let hours = 0..=unix_hour(START_MS + END_S * 2_000);
        for (hour, blocks) in view.blocks(record.group, record.id, hours) {
            for block in blocks.unwrap().blocks() {
                for (index, cell) in block.cells() {
                    let window_s = (hour * 3_600_000 - START_MS) / 1_000 + u64::from(index);
                    *found.entry((record.route, window_s)).or_default() += cell.counts.writes;
                }
            }
        }
    }
    found
}

fn column(life: &Life, window_s: u64, writes: u64) -> Entry {
    let start_ms = START_MS + window_s * 1_000;
    let counts = Counts { writes, ..Counts::default() };
    let (route, group, range) = (life.route, life.group, life.range.clone());
    Entry::Column(Column {
        window: Window::new(start_ms, Step::from_ms(1_000).unwrap()).unwrap(),
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 1_000,
        unattributed: 0,
        groups: vec![group],
        buckets: Vec::new(),
        rows: vec![Row { route, group, term: 1, range, counts, flags: Flags::NONE }],
    })
}

struct Race {
    root: tempfile::TempDir,
    folder: PathBuf,
    clock: Arc<ManualClock>,
    recorder: Option<Recorder>,
    sequence: u64,
    now_s: u64,
    lives: Vec<Life>,
    model: Found,
}

impl Race {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("0");
        let clock = Arc::new(ManualClock::at(START_MS + END_S * 2_000));
        let recorder = Some(open(&folder, &clock));
        let first = Life { route: 1, group: 1, range: KeyRange::all(), born_s: 0, closed_s: None };
        let mut race = Self {
            root,
            folder,
            clock,
            recorder,
            sequence: 0,
            now_s: 1,
            lives: vec![first.clone()],
            model: Found::new(),
        };
        let change = Change::Create { routes: vec![RouteSpec { route: 1, range: first.range }] };
        race.tell(1, &change, 0);
        race
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().unwrap()
    }

    fn send(&mut self, entry: Entry) -> Verdict {
        self.sequence += 1;
        send(self.recorder(), 1, self.sequence, entry)
    }

    fn transition(&self, group: GroupId, change: Change, at_s: u64) -> Entry {
        Entry::Transition(Transition {
            group,
            proposal: u128::from(self.sequence + 1).to_be_bytes(),
            hlc: Hlc::new(START_MS + at_s * 1_000, 1),
            catalogue_version: 0,
            change,
        })
    }

    fn tell(&mut self, group: GroupId, change: &Change, at_s: u64) {
        let entry = self.transition(group, change.clone(), at_s);
        let verdict = self.send(entry);
        assert!(matches!(verdict, Verdict::Stored { .. }), "{change:?}: {verdict:?}");
    }

    fn living(&self) -> Vec<usize> {
        let mut living: Vec<usize> =
            (0..self.lives.len()).filter(|&at| self.lives[at].closed_s.is_none()).collect();
        living.sort_by(|&a, &b| self.lives[a].range.start().cmp(self.lives[b].range.start()));
        living
    }

    fn pass(&mut self, after_s: u64) {
        self.now_s = (self.now_s + after_s).min(END_S - 1);
    }

    fn close(&mut self, at: usize) {
        self.lives[at].closed_s = Some(self.now_s);
    }

    fn open(&mut self, group: GroupId, range: KeyRange) -> RouteSpec {
        let route = self.lives.len() as RouteId + 1;
        let born_s = self.now_s;
        self.lives.push(Life { route, group, range: range.clone(), born_s, closed_s: None });
        RouteSpec { route, range }
    }

    /// The split of a living range, if it can be split there.
    fn split(&mut self, pick: u8, cut: u8) -> Option<(GroupId, Change)> {
        let living = self.living();
        let at = living[usize::from(pick) % living.len()];
        let (group, range) = (self.lives[at].group, self.lives[at].range.clone());
        let low = KeyRange::new(range.start(), vec![cut]).ok()?;
        let high = KeyRange::new(vec![cut], range.end()).ok()?;
        if !range.covers(&low) || !range.covers(&high) {
            return None;
        }
        self.close(at);
        let children = vec![self.open(group, low), self.open(group, high)];
        Some((group, Change::Split { parent: at as RouteId + 1, children }))
    }

    fn merge(&mut self, pick: u8) -> Option<(GroupId, Change)> {
        let living = self.living();
        let pairs: Vec<_> = living
            .windows(2)
            .map(|pair| (pair[0], pair[1]))
            .filter(|&(a, b)| {
                let (a, b) = (&self.lives[a], &self.lives[b]);
                a.group == b.group && a.range.touches(&b.range)
            })
            .collect();
        let &(a, b) = pairs.get(usize::from(pick) % pairs.len().max(1))?;
        let (group, union) = (self.lives[a].group, self.lives[a].range.hull(&self.lives[b].range));
        self.close(a);
        self.close(b);
        let survivor = self.open(group, union);
        Some((group, Change::Merge { parents: vec![b as RouteId + 1, a as RouteId + 1], survivor }))
    }

    fn relocate(&mut self, pick: u8) -> (GroupId, Change) {
        let living = self.living();
        let at = living[usize::from(pick) % living.len()];
        let (group, range) = (self.lives[at].group, self.lives[at].range.clone());
        self.close(at);
        let to_group = 3 - group;
        let to_route = self.open(to_group, range).route;
        (group, Change::MoveOut { route: at as RouteId + 1, to_group, to_route })
    }

    fn count(&mut self, life: &Life, window_s: u64, writes: u64) {
        let verdict = self.send(column(life, window_s, writes));
        let stored = Verdict::Stored { rows: 1, refused_rows: vec![] };
        assert_eq!(verdict, stored, "{life:?} in {window_s}");
        *self.model.entry((life.route, window_s)).or_default() += writes;
    }

    fn act(&mut self, step: usize, action: &Action) {
        match *action {
            Action::Split { pick, cut, after_s } => {
                self.pass(after_s);
                if let Some((group, change)) = self.split(pick, cut) {
                    self.tell(group, &change, self.now_s);
                }
            }
            Action::Merge { pick, after_s } => {
                self.pass(after_s);
                if let Some((group, change)) = self.merge(pick) {
                    self.tell(group, &change, self.now_s);
                }
            }
            Action::Move { pick, after_s } => {
                self.pass(after_s);
                let (group, change) = self.relocate(pick);
                self.tell(group, &change, self.now_s);
            }
            Action::Count { pick, at, writes } => {
                let life = self.lives[usize::from(pick) % self.lives.len()].clone();
                let last_s = life.closed_s.map_or(self.now_s, |closed| closed + GRACE_S);
                // What was in flight when the range opened is counted a moment before its birth.
                let first_s = life.born_s.saturating_sub(1);
                self.count(&life, first_s + (last_s - first_s) * at / 1_000, writes);
            }
            Action::TooLate { pick, by_s } => {
                let life = self.lives[usize::from(pick) % self.lives.len()].clone();
                let Some(closed_s) = life.closed_s else { return };
                let verdict = self.send(column(&life, closed_s + GRACE_S + by_s, 9));
                let Verdict::Stored { rows: 0, refused_rows } = verdict else {
                    panic!("{life:?}: {verdict:?}")
                };
                let (route, reason) = &refused_rows[0];
                assert_eq!(*route, life.route);
                assert!(
                    reason.contains(&format!("route {route} of group {}", life.group)),
                    "{reason}"
                );
            }
            Action::Together { pick, cut, writes } => {
                let (lives, window_s) = (self.lives.clone(), self.now_s);
                self.pass(1);
                let Some((group, change)) = self.split(pick, cut) else { return };
                let Change::Split { parent, .. } = change else { unreachable!() };
                let parent = &lives[parent as usize - 1];
                let late = column(parent, window_s, writes);
                let split = self.transition(group, change, self.now_s);
                let queue = |race: &mut Self, entry: Entry| {
                    race.sequence += 1;
                    let source = crate::recorder_test::source(1);
                    race.recorder().submit(source, race.sequence, Ok(entry))
                };
                let answers = [queue(self, late.clone()), queue(self, split), queue(self, late)];
                for answer in answers {
                    let verdict = futures::executor::block_on(answer);
                    assert!(matches!(verdict, Verdict::Stored { .. }), "{verdict:?}");
                }
                *self.model.entry((parent.route, window_s)).or_default() += 2 * writes;
            }
            Action::Persist => persist(self.recorder()),
            Action::Crash => {
                let next = self.root.path().join(format!("{step}c"));
                crash(self.recorder.take().unwrap(), &self.folder, &next);
                self.folder = next;
                self.recorder = Some(open(&self.folder, &self.clock));
            }
            Action::Restart => {
                self.recorder = None;
                self.recorder = Some(open(&self.folder, &self.clock));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_command_that_races_columns_keeps_every_count(actions in prop::collection::vec(action(), 1..60)) {
        let mut race = Race::new();
        for (step, action) in actions.into_iter().enumerate() {
            race.act(step, &action);
        }
        prop_assert_eq!(&contents(race.recorder()), &race.model);
        let counted = race.recorder().counters();
        prop_assert_eq!((counted.backfills, counted.rehomed_rows), (0, 0), "every row knew its range");
    }
}
