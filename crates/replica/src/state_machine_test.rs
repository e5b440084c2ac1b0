//! R7: two replicas that apply the same commands end with the same bytes, whatever one of them goes
//! through meanwhile; and a command that comes twice changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use keyviz_codec::marks::Member;
use keyviz_codec::{CellEntry, Contributor, Coverage, HourBlocks, WindowCover};
use keyviz_lineage::{
    Cause, Change, Counts, Flags, GraphError, GroupId, HOUR_MS, Hlc, KeyRange, LineageGraph,
    LineageId, LineageRecord, RouteId, RouteSpec, SourceId, Step, Transition, unix_hour,
};
use keyviz_store::retention::Retention;
use keyviz_store::{History as _, Store, StoreOptions};
use proptest::prelude::*;
use uuid::Uuid;

use super::StateMachine;
use crate::command::{Command, Sweep};
use crate::memory::Delta;
use crate::pins::{MAX_PINS, PinOrder};
use crate::sweep::removable;

#[path = "random_log_test.rs"]
mod random_log_test;

use random_log_test::{Action, Log, action, command};

const START_MS: u64 = 1_700_000_000_000 - 1_700_000_000_000 % HOUR_MS;
const GROUPS: [GroupId; 2] = [1, 2];

/// One replica: a real store and the machine over it.
struct Replica {
    folder: tempfile::TempDir,
    machine: Option<StateMachine>,
}

impl Replica {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Some(open(folder.path()));
        Self { folder, machine }
    }

    fn machine(&self) -> &StateMachine {
        self.machine.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.machine = None;
        self.machine = Some(open(self.folder.path()));
    }

    fn dump(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.machine().store.view(0).dump().unwrap()
    }

    fn applied(&self, group: GroupId) -> u64 {
        self.machine().store.view(0).applied(group).unwrap().index
    }

    /// Every record in an order of its own.
    fn records(&self) -> BTreeMap<LineageId, LineageRecord> {
        let graph = self.machine().graph();
        graph.records().map(|record| (record.id, record.clone())).collect()
    }
}

fn open(folder: &Path) -> StateMachine {
    let options = StoreOptions { retention: Retention::new(7 * 24 * HOUR_MS) };
    let store = Arc::new(Store::open(folder, options).unwrap());
    let view = store.view(0);
    let groups = view.groups().unwrap().into_iter();
    let records: Vec<LineageRecord> = groups
        .flat_map(|group| view.lineage_records(group).unwrap())
        .collect::<Result<_, _>>()
        .unwrap();
    drop(view);
    assert!(crate::pins::load(&store).unwrap().is_empty(), "a damaged pin");
    StateMachine::new(store, LineageGraph::from_records(records))
}

/// Applies a command as the log's entry at `index`. What it did.
fn apply(replica: &Replica, group: GroupId, index: u64, command: &Command) -> Answer {
    let outcome = replica.machine().apply_at(group, index, command).unwrap();
    let pinned = outcome.pinned.map(|pinned| pinned.map_err(|error| error.to_string()));
    (outcome.transitions, outcome.swept, pinned)
}

type Answer = (Vec<Result<usize, GraphError>>, u64, Option<Result<u64, String>>);

/// The part of a command that was taken. What was refused may well be taken later.
fn taken(command: &Command, answer: &Answer) -> Command {
    match command {
        Command::Transitions(transitions) => {
            let each = transitions.iter().zip(&answer.0).filter(|(_, answer)| answer.is_ok());
            Command::Transitions(each.map(|(transition, _)| transition.clone()).collect())
        }
        other => other.clone(),
    }
}

/// The first replica applies everything at once; the second when it comes to it.
struct Pair {
    leader: Replica,
    follower: Replica,
    log: Log,
    /// How much of the log the follower has been given in this run of it.
    given: usize,
}

impl Pair {
    fn act(&mut self, action: &Action) {
        match action {
            Action::CatchUp { most } => self.catch_up(usize::from(*most)),
            Action::Restart { back } => {
                self.follower.reopen();
                self.given = self.given.saturating_sub(usize::from(*back));
            }
            _ => {
                if let Some((group, command)) = command(&self.leader, &mut self.log, action) {
                    self.append(group, command);
                }
            }
        }
    }

    fn append(&mut self, group: GroupId, command: Command) {
        let index = self.log.last_index.entry(group).or_default();
        *index += 1;
        let index = *index;
        let answer = apply(&self.leader, group, index, &command);
        let once = self.leader.dump();
        // Proposed once more: a new entry of the log that changes nothing, not even the index.
        apply(&self.leader, group, index + 1, &taken(&command, &answer));
        self.log.answers.push(answer);
        assert!(self.leader.dump() == once, "twice is more than once: {command:?}");
        self.log.entries.push((group, index, command));
    }

    fn catch_up(&mut self, most: usize) {
        for _ in 0..most {
            let Some((group, index, command)) = self.log.entries.get(self.given) else { return };
            let is_new = *index > self.follower.applied(*group);
            let answer = apply(&self.follower, *group, *index, command);
            if is_new {
                assert_eq!(answer, self.log.answers[self.given], "{command:?}");
            }
            self.given += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn two_replicas_that_apply_the_same_log_hold_the_same_bytes(actions in prop::collection::vec(action(), 1..70)) {
        let log = Log { now_ms: START_MS, ..Log::default() };
        let mut pair = Pair { leader: Replica::new(), follower: Replica::new(), log, given: 0 };
        for action in &actions {
            pair.act(action);
        }
        pair.catch_up(usize::MAX);
        let (leader, follower) = (pair.leader.dump(), pair.follower.dump());
        prop_assert_eq!(leader.len(), follower.len());
        for ((key, value), other) in leader.iter().zip(&follower) {
            prop_assert_eq!((key, value), other);
        }
        prop_assert_eq!(pair.leader.records(), pair.follower.records());
        // What is in memory is what a start would load.
        let before = pair.leader.records();
        pair.leader.reopen();
        prop_assert_eq!(before, pair.leader.records());
        // No pin keeps a record that is gone, but those that were gone when it was set.
        let view = pair.leader.machine().store.view(0);
        for (_, group, pin) in view.pins().iter() {
            let runs = pin.lineages.values().flatten();
            prop_assert!(runs.clone().all(|run| pin.fine_hours().contains(run.start())));
            prop_assert!(view.pins().iter().filter(|(_, of, _)| *of == group).count() <= MAX_PINS);
        }
    }
}
