//! T2: whatever the clock, the pins, compactions and restarts do, every read returns exactly what is
//! retained or pinned.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_codec::marks::LeaderEvent;
use keyviz_codec::rollup::Tier;
use keyviz_codec::{BucketIndex, Coverage, HourBlocks, Pin};
use keyviz_lineage::{HOUR_MS, Hlc, KeyRange, LineageId, Series, Step};
use proptest::prelude::*;

use super::*;
use crate::retention::Retention;
use crate::{Batch, History as _, Store, StoreOptions};

const FINE_HOURS: u64 = 4;
const LONGEST_HOURS: u64 = 9;
const HOURS: u64 = 40;
const GROUPS: [GroupId; 2] = [1, 2];

#[derive(Clone, Debug)]
enum Action {
    Write {
        group: u8,
        lineage: u8,
        hour: u64,
    },
    Pin {
        id: u8,
        group: u8,
        first: u64,
        fine: u64,
        length: u64,
        lineages: Vec<(u8, u64, u64)>,
    },
    Unpin {
        id: u8,
        group: u8,
    },
    /// The clock goes on, or jumps.
    Clock(i64),
    /// Garbage collection believes the clock.
    AllowGc,
    Compact,
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    let runs = prop::collection::vec((0u8..3, 0..HOURS, 0u64..6), 0..4);
    prop_oneof![
        12 => (0u8..2, 0u8..3, 0..HOURS).prop_map(|(group, lineage, hour)| Action::Write { group, lineage, hour }),
        3 => (0u8..3, 0u8..2, 0..HOURS, 0u64..4, 0u64..8, runs).prop_map(|(id, group, first, fine, length, lineages)|
            Action::Pin { id, group, first, fine, length, lineages }),
        1 => (0u8..3, 0u8..2).prop_map(|(id, group)| Action::Unpin { id, group }),
        4 => (-10i64..20).prop_map(Action::Clock),
        3 => Just(Action::AllowGc),
        3 => Just(Action::Compact),
        1 => Just(Action::Reopen),
    ]
}

/// What every key's value says of itself: its hour.
fn keys(lineage: LineageId, hour: u64) -> Vec<Key> {
    let rollup = |tier| Key::Rollup { tier, series: Series::Writes, hour, chunk: 3 };
    vec![
        Key::Range { lineage, hour },
        Key::Range { lineage, hour }.quarantine(),
        rollup(Tier::Hour),
        rollup(Tier::FiveMinutes),
        Key::Coverage { hour },
        Key::Index { hour },
        Key::Event { hlc: Hlc::new(hour * HOUR_MS + 5, 0) },
    ]
}

struct World {
    folder: tempfile::TempDir,
    store: Option<Store>,
    now_hour: u64,
    /// Everything written, and whether it may have been dropped.
    rows: BTreeMap<(GroupId, Key), bool>,
    marks: BTreeMap<(GroupId, Uuid), Pin>,
    cutoffs: (u64, u64),
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(open(folder.path()));
        let (rows, marks) = (BTreeMap::new(), BTreeMap::new());
        Self { folder, store, now_hour: 20, rows, marks, cutoffs: (0, 0) }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn set_pins(&self) {
        let marks = self.marks.iter().map(|(&(group, id), pin)| (group, id, pin.clone()));
        self.store().retention().set_pins(Pins::new(marks));
    }

    /// Whether a pin keeps it, said plainly.
    fn is_pinned(&self, group: GroupId, key: &Key) -> bool {
        let inner = key.set_aside().unwrap_or_else(|| key.clone());
        let Some(hour) = inner.expiry_hour() else { return false };
        self.marks.iter().filter(|((of, _), _)| *of == group).any(|(_, pin)| match &inner {
            Key::Range { lineage, .. } => pin
                .lineages
                .get(lineage)
                .is_some_and(|runs| runs.iter().any(|run| run.contains(&hour))),
            Key::Rollup { tier: Tier::FiveMinutes, .. } => pin.fine_hours().contains(&hour),
            _ => pin.hours().contains(&hour),
        })
    }

    fn is_expired(&self, key: &Key, (fine, longest): (u64, u64)) -> bool {
        match key.set_aside().as_ref().unwrap_or(key) {
            Key::Range { hour, .. } | Key::Rollup { tier: Tier::FiveMinutes, hour, .. } => {
                *hour < fine
            }
            other => other.expiry_hour().is_some_and(|hour| hour < longest),
        }
    }

    fn oldest(&self) -> (u64, u64) {
        (self.now_hour.saturating_sub(FINE_HOURS), self.now_hour.saturating_sub(LONGEST_HOURS))
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Write { group, lineage, hour } => {
                self.write(GROUPS[usize::from(*group)], id(*lineage), *hour);
            }
            Action::Pin { id: name, group, first, fine, length, lineages } => {
                let pin = pin((*first, *fine, *length), lineages);
                assert_eq!(Pin::decode(&pin.encode()), Ok(pin.clone()));
                self.marks.insert((GROUPS[usize::from(*group)], id(*name)), pin);
                self.set_pins();
            }
            Action::Unpin { id: name, group } => {
                self.marks.remove(&(GROUPS[usize::from(*group)], id(*name)));
                self.set_pins();
            }
            Action::Clock(hours) => self.now_hour = self.now_hour.saturating_add_signed(*hours),
            Action::AllowGc => {
                self.store().retention().allow_gc_at(self.now_hour * HOUR_MS);
                self.cutoffs = self.oldest();
            }
            Action::Compact => self.compact(),
            Action::Reopen => {
                self.store = None;
                self.store = Some(open(self.folder.path()));
                self.cutoffs = (0, 0);
                self.set_pins();
            }
        }
        for row in self.going() {
            self.rows.insert(row, true);
        }
    }

    fn write(&mut self, group: GroupId, lineage: LineageId, hour: u64) {
        let mut batch = Batch::default();
        for key in keys(lineage, hour) {
            let value = match &key {
                Key::Range { .. } => {
                    let mut hour = HourBlocks::default();
                    hour.block_mut(Step::MINUTE);
                    hour.encode()
                }
                Key::Coverage { .. } => Coverage::default().encode(),
                Key::Index { .. } => BucketIndex::default().encode(),
                Key::Event { .. } => keyviz_codec::marks::Mark::encode(&LeaderEvent::default()),
                _ => Vec::new(),
            };
            batch.put(group, &key, value);
            self.rows.insert((group, key), false);
        }
        self.store().commit(&batch).unwrap();
    }

    /// What has expired by what garbage collection believes, and no pin keeps.
    fn going(&self) -> Vec<(GroupId, Key)> {
        let goes = |(group, key): &&(GroupId, Key)| {
            self.is_expired(key, self.cutoffs) && !self.is_pinned(*group, key)
        };
        self.rows.keys().filter(goes).cloned().collect()
    }

    fn compact(&mut self) {
        self.store().flush().unwrap();
        self.store().compact();
        let held = self.store().view(0).dump().unwrap();
        for (group, key) in self.going() {
            let is_there = held.contains_key(&key.encode(group));
            assert!(!is_there, "{key} of group {group} is still there");
            self.rows.remove(&(group, key));
        }
    }

    /// A row is seen if and only if it is retained or pinned, and was not dropped for good reason.
    fn check(&self) {
        let view = self.store().view(self.now_hour * HOUR_MS);
        for group in GROUPS {
            let mut seen = BTreeSet::new();
            for lineage in (0..3).map(id) {
                let blocks: Vec<u64> = view
                    .blocks(group, lineage, 0..=HOURS)
                    .into_iter()
                    .filter_map(|(hour, block)| match block {
                        // Of what lies under `damaged|`, told besides what was stored.
                        Err(StoreError::SetAside { .. }) => None,
                        block => block.map(|_| hour).ok(),
                    })
                    .collect();
                let expired: BTreeSet<u64> =
                    view.expired(group, lineage, 0..=HOURS).into_iter().flatten().collect();
                for hour in 0..=HOURS {
                    let key = Key::Range { lineage, hour };
                    let hidden =
                        self.is_expired(&key, self.oldest()) && !self.is_pinned(group, &key);
                    assert_eq!(expired.contains(&hour), hidden, "{key} of group {group}");
                }
                let mut told = Vec::new();
                view.series(group, lineage, Series::Writes, 0..=HOURS, &mut |hour, column| {
                    told.extend(column.is_ok().then_some(hour));
                });
                assert!(told.iter().all(|hour| blocks.contains(hour)));
                seen.extend(blocks.into_iter().map(|hour| Key::Range { lineage, hour }));
            }
            seen.extend(
                view.coverage(group, 0..=HOURS).into_iter().map(|(hour, _)| Key::Coverage { hour }),
            );
            seen.extend(
                view.buckets(group, 0..=HOURS).into_iter().map(|(hour, _)| Key::Index { hour }),
            );
            let events = view.leader_events(group, 0, HOURS * HOUR_MS).unwrap();
            seen.extend(events.into_iter().map(|(hlc, _)| Key::Event { hlc }));
            let is_read = |key: &Key| !matches!(key, Key::Damaged { .. } | Key::Rollup { .. });
            for ((_, key), may_be_gone) in
                self.rows.iter().filter(|((of, key), _)| *of == group && is_read(key))
            {
                let hidden = self.is_expired(key, self.oldest()) && !self.is_pinned(group, key);
                assert!(!(hidden && seen.contains(key)), "{key} of group {group} has expired");
                assert!(
                    hidden || *may_be_gone || seen.contains(key),
                    "{key} of group {group} is missing"
                );
            }
            assert!(
                seen.iter().all(|key| self.rows.contains_key(&(group, key.clone()))),
                "from nowhere"
            );
        }
        self.check_oldest(&view);
    }

    fn check_oldest(&self, view: &View<'_>) {
        let (mut fine, mut longest) = (u64::MAX, u64::MAX);
        for (key, _) in view.dump().unwrap() {
            let Some((group, key)) = Key::parse(&key) else { continue };
            // What was set aside is not looked at.
            if matches!(key, Key::Damaged { .. }) || self.is_pinned(group, &key) {
                continue;
            }
            match key {
                Key::Range { hour, .. } | Key::Rollup { tier: Tier::FiveMinutes, hour, .. } => {
                    fine = fine.min(hour);
                }
                other => longest = longest.min(other.expiry_hour().unwrap_or(u64::MAX)),
            }
        }
        let oldest = view.oldest_on_disk().unwrap();
        assert_eq!((oldest.fine_hour, oldest.longest_hour), (fine, longest));
    }
}

fn pin((first, fine, length): (u64, u64, u64), lineages: &[(u8, u64, u64)]) -> Pin {
    let last_hour = first + length;
    let first_fine_hour = (first + fine).min(last_hour + 1);
    let mut runs: BTreeMap<LineageId, Vec<RangeInclusive<u64>>> = BTreeMap::new();
    for (lineage, start, length) in lineages {
        let run = *start.max(&first_fine_hour)..=(start + length).min(last_hour);
        runs.entry(id(*lineage)).or_default().extend(Some(run).filter(|run| !run.is_empty()));
    }
    runs.values_mut().for_each(pins::join_hours);
    Pin {
        created: Hlc(1),
        first_hour: first,
        first_fine_hour,
        last_hour,
        range: KeyRange::all(),
        note: String::new(),
        bytes: 0,
        lineages: runs,
    }
}

fn id(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

fn open(folder: &std::path::Path) -> Store {
    let retention = Retention::with_rollups(FINE_HOURS * HOUR_MS, LONGEST_HOURS * HOUR_MS);
    Store::open(folder, StoreOptions { retention }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn reads_show_what_is_retained_or_pinned_and_nothing_else(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
            world.check();
        }
    }
}
