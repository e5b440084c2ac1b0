//! R10 and S2: whatever is recorded, persisted, filled, forgotten and opened again, in whatever order, a
//! wide read tells what the blocks of each lineage tell, each window once; and the cap is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use keyviz_codec::Key;
use keyviz_codec::rollup::Tier;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Column, Counts, Entry, Flags, HOUR_MS, LineageId, Row, Series, SourceId, Step, Window,
    unix_hour,
};
use keyviz_store::{History, NOBODY, Part, Wanted, visit_each};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::recorder_test::{START_MS, range};
use crate::{Progress, Recorder, RecorderConfig, RecorderView};

const ROUTES: u64 = 6;
const GROUPS: [GroupId; 2] = [1, 2];

#[derive(Clone, Debug)]
enum Action {
    /// A column of one node: which hour (back from now), which window, whose counts.
    Column {
        node: u8,
        back: u64,
        window: u64,
        by_ten_minutes: bool,
        counts: [u64; 6],
    },
    Persist,
    Fill,
    Reopen,
    Later {
        minutes: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let counts =
        prop::array::uniform6(prop_oneof![2 => Just(0u64), 3 => 1..1_000u64, 1 => Just(u64::MAX)]);
    let column = (0..2u8, prop_oneof![3 => Just(0u64), 1 => 0..30u64], 0..60u64, 0..8u8, counts);
    let column = column.prop_map(|(node, back, window, ten, counts)| Action::Column {
        node,
        back,
        window,
        by_ten_minutes: ten == 0,
        counts,
    });
    prop_oneof![
        8 => column,
        2 => Just(Action::Persist),
        3 => Just(Action::Fill),
        1 => Just(Action::Reopen),
        1 => (1..200u64).prop_map(|minutes| Action::Later { minutes }),
    ]
}

/// Fills everything that has room.
fn fill_all(recorder: &Recorder) {
    let (machine, now_ms) = (&recorder.shared.machine, recorder.shared.clock.unix_ms());
    fill::round(&recorder.shared, &mut |group| {
        fill::step(machine, group, now_ms, &|| false).unwrap()
    });
}

struct Rig<'a> {
    folder: &'a Path,
    clock: Arc<ManualClock>,
    max_bytes: u64,
    boot: u128,
    sequences: [u64; 2],
}

impl Rig<'_> {
    fn open(&mut self) -> Recorder {
        self.boot += 1;
        self.sequences = [0; 2];
        let config = RecorderConfig {
            persist_interval_ms: HOUR_MS,
            memory_max_bytes: self.max_bytes,
            ..RecorderConfig::new(self.folder)
        };
        Recorder::open(config, Arc::clone(&self.clock) as _, &Progress::default()).unwrap()
    }

    fn now_ms(&self) -> u64 {
        keyviz_lineage::Clock::unix_ms(&*self.clock)
    }

    fn column(&mut self, recorder: &Recorder, action: &Action) {
        let &Action::Column { node, back, window, by_ten_minutes, counts } = action else { return };
        let step = Step::from_ms(if by_ten_minutes { 600_000 } else { 60_000 }).unwrap();
        let hour_ms = (unix_hour(self.now_ms()) - back) * HOUR_MS;
        let start_ms = hour_ms + window * 60_000 / step.ms() * step.ms();
        let rows = (0..ROUTES).zip(counts).filter(|(_, count)| *count > 0).map(|(route, count)| {
            let at = |route: u64| {
                if route == 0 || route == ROUTES { String::new() } else { format!("k{route}") }
            };
            let counts =
                Counts { reads: count, writes: count / 2, read_bytes: count, write_bytes: 7 };
            let (group, flags) = (1 + route % 2, Flags::NONE);
            Row {
                route: route + 1,
                group,
                term: 1,
                range: range(&at(route), &at(route + 1)),
                counts,
                flags,
            }
        });
        let column = Column {
            window: Window::new(start_ms, step).unwrap(),
            covered_from_ms: start_ms,
            covered_to_ms: start_ms + step.ms(),
            unattributed: 0,
            groups: GROUPS.to_vec(),
            rows: rows.collect(),
            buckets: Vec::new(),
        };
        let source = SourceId {
            node: format!("n{node}"),
            boot: Uuid::from_u128(self.boot * 2 + u128::from(node)),
        };
        self.sequences[usize::from(node)] += 1;
        let sequence = self.sequences[usize::from(node)];
        let _ = block_on(recorder.submit(source, sequence, Ok(Entry::Column(column))));
    }
}

/// By lineage, hour, step in ms and window.
type Told = BTreeMap<(u32, u64, u64, u16), (u64, Flags)>;

fn tell(told: &mut Told) -> impl FnMut(u64, Part<'_>) {
    |hour, part| {
        let Part::Cells { tag, column } = part else { panic!("{part:?}") };
        for (window, value, flags) in column.cells() {
            let twice = told.insert((tag, hour, column.step.ms(), window), (value, flags));
            assert_eq!(twice, None, "a window is told once");
        }
    }
}

fn check(recorder: &Recorder, max_bytes: u64) {
    assert!(recorder.memory_tier().bytes <= max_bytes);
    let view = recorder.view().unwrap();
    let hours = unix_hour(START_MS) - 40..=unix_hour(START_MS) + 2_000;
    for group in GROUPS {
        let records = view.graph().records().filter(|record| record.group == group);
        let lineages: Vec<(LineageId, u32)> = records.map(|r| r.id).zip(0..).collect();
        let wanted = Wanted { lineages: &lineages, maxima: true };
        for series in Series::ALL {
            let (mut told, mut expected) = (Told::new(), Told::new());
            view.cells(group, series, hours.clone(), &wanted, &mut tell(&mut told));
            visit_each(&view, group, series, hours.clone(), &wanted, &mut tell(&mut expected));
            assert_eq!(told, expected);
            check_rollups(&view, (group, series), &hours, &wanted, &expected);
        }
    }
}

/// What roll-ups tell, the open hours included, adds up to the same.
fn check_rollups(
    view: &RecorderView<'_>,
    (group, series): (GroupId, Series),
    hours: &std::ops::RangeInclusive<u64>,
    wanted: &Wanted<'_>,
    expected: &Told,
) {
    let mut sums: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    let mut add = |tag: u32, hour: u64, value: u64| {
        let sum = sums.entry((tag, hour)).or_default();
        *sum = sum.saturating_add(value);
    };
    view.rollups(
        group,
        (Tier::Hour, series),
        hours.clone(),
        wanted,
        &mut |hour, part| match part {
            Part::Chunk { tags, columns } => {
                let slots = tags.iter().zip(&columns.sums).filter(|(tag, _)| **tag != NOBODY);
                slots.for_each(|(&tag, &sum)| add(tag, hour, sum));
            }
            Part::Cells { tag, column } => {
                column.cells().for_each(|(_, value, _)| add(tag, hour, value));
            }
            Part::Unread { error, .. } => panic!("{error}"),
        },
    );
    for (&(tag, hour, ..), &(value, _)) in expected {
        let sum = sums.get_mut(&(tag, hour)).unwrap();
        if value != u64::MAX && *sum != u64::MAX {
            *sum -= value;
        } else {
            *sum = u64::MAX;
        }
    }
    assert!(sums.values().all(|&sum| sum == 0 || sum == u64::MAX), "{sums:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_wide_read_tells_what_the_blocks_tell(
        actions in prop::collection::vec(action(), 1..60),
        max_bytes in prop_oneof![Just(0u64), 100..4_000u64, Just(1 << 20)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS + 5_000));
        let mut rig = Rig { folder: folder.path(), clock, max_bytes, boot: 0, sequences: [0; 2] };
        let mut recorder = rig.open();
        for action in &actions {
            match action {
                Action::Column { .. } => rig.column(&recorder, action),
                Action::Persist => recorder.shared.checkpoint.persist_and_wait(Duration::from_secs(60)),
                Action::Fill => fill_all(&recorder),
                Action::Reopen => {
                    drop(recorder);
                    recorder = rig.open();
                }
                Action::Later { minutes } => rig.clock.advance(minutes * 60_000),
            }
            check(&recorder, max_bytes);
        }
    }
}

/// Otherwise the test above would hold for a tier that holds nothing.
#[test]
fn what_was_filled_is_read_and_kept_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let max_bytes = 1 << 20;
    let mut rig = Rig { folder: folder.path(), clock, max_bytes, boot: 0, sequences: [0; 2] };
    let recorder = rig.open();
    let persist = || recorder.shared.checkpoint.persist_and_wait(Duration::from_secs(60));
    let column = |window, back| {
        let counts = [1, 2, 0, 4, 5, 6];
        Action::Column { node: 0, back, window, by_ten_minutes: false, counts }
    };
    rig.column(&recorder, &column(0, 0));
    rig.column(&recorder, &column(9, 3));
    persist();
    fill_all(&recorder);
    let now_hour = unix_hour(START_MS);
    let held = |hour: u64| {
        let view = recorder.view().unwrap();
        let shelves = view.shelves(1).unwrap();
        assert_eq!(shelves.hours.len() as u64, HOURS);
        shelves.hours[&hour].bytes.len()
    };
    let before = (held(now_hour), held(now_hour - 3), held(now_hour - 4));
    assert!(before.0 > 0 && before.1 > 0 && before.2 == 0, "{before:?}");
    rig.column(&recorder, &column(1, 0));
    assert_eq!(held(now_hour), before.0, "it is not stored yet");
    persist();
    assert!(held(now_hour) > before.0);
    assert_eq!(held(now_hour - 3), before.1);
    check(&recorder, max_bytes);

    rig.clock.advance(2 * HOUR_MS);
    recorder.shared.machine.memory_tier().trim(now_hour + 2);
    let view = recorder.view().unwrap();
    assert_eq!(view.shelves(1).unwrap().hours.keys().next(), Some(&(now_hour + 4 - HOURS)));
    assert_eq!(recorder.memory_tier().first_hour, Some(now_hour + 4 - HOURS));
}

/// R10 in every order that a writer's and a filler's steps can come in: whoever is told shelves as of a
/// mark finds what is stored as of that mark.
#[test]
fn a_shelf_is_as_of_its_mark_whatever_the_order() {
    const NOW: u64 = 480_000;
    const LINEAGE: LineageId = LineageId::from_u128(7 << 64);
    // What the store has of the hour as of a mark.
    let stored = |mark: u64| vec![mark as u8; 3 + mark as usize];
    let as_of = |mark: u64| Applied { index: mark, wal_sequence: mark };
    let mut numbers = Numbers::default();
    numbers.push(LINEAGE);
    // Bit n: whose the n-th step is.
    for order in (0u32..1 << 12).filter(|order| order.count_ones() == 6) {
        let tier = MemoryTier::new(1 << 20);
        let (mut mark, mut prepared) = (0, Prepared::default());
        let (mut hours, mut snapshot) = (Vec::new(), 0);
        let (mut written, mut filled) = (0, 0);
        for step in 0..12 {
            if order >> step & 1 == 1 {
                let next = written / 3 + 1;
                match written % 3 {
                    0 => {
                        let mut batch = Batch::default();
                        batch.put(1, &Key::Range { lineage: LINEAGE, hour: NOW }, stored(next));
                        prepared = tier.prepare(1, &batch, &numbers);
                    }
                    1 => mark = next,
                    _ => tier.committed(1, as_of(mark), std::mem::take(&mut prepared)),
                }
                written += 1;
            } else {
                match filled % 3 {
                    0 => hours = tier.begin(1, NOW - 1),
                    1 => snapshot = mark,
                    _ => {
                        let mut fill = Filling::default();
                        fill.push(0, &stored(snapshot));
                        let mut shelves = BTreeMap::from([(NOW, fill.finish().unwrap())]);
                        shelves.retain(|hour, _| hours.contains(hour));
                        tier.install(1, as_of(snapshot), shelves);
                    }
                }
                filled += 1;
            }
            for told in 0..=2 {
                let shelves = tier.at(1, as_of(told)).unwrap_or_default();
                let block = shelves.block(0, NOW).unwrap_or(&[]);
                assert!(
                    block.is_empty() || block == stored(told),
                    "{order:012b}, step {step}: {block:?} as of {told}"
                );
            }
        }
    }
}

#[test]
fn a_clock_that_was_far_ahead_leaves_no_trace() {
    let tier = MemoryTier::new(1 << 20);
    tier.trim(480_000);
    assert_eq!(tier.begin(1, 480_000), [480_001]);
    tier.trim(580_000);
    assert_eq!(tier.begin(1, 480_000), [0; 0]);
    tier.trim(480_000);
    assert_eq!(tier.begin(1, 480_000), [480_001]);
}

#[test]
fn what_is_older_makes_way() {
    let tier = MemoryTier::new(100);
    tier.trim(480_000);
    let filled = |hour: u64, length: usize| {
        let mut fill = Filling::default();
        fill.push(0, &vec![1; length]);
        BTreeMap::from([(hour, fill.finish().unwrap())])
    };
    for (group, hour) in [(1, 480_001), (1, 480_000)] {
        assert_eq!(tier.begin(group, 480_000), [hour]);
        assert_eq!(tier.install(group, Applied::default(), filled(hour, 40)), 1);
    }
    assert_eq!((tier.room(480_000), tier.room(480_001), tier.room(480_002)), (4, 52, 100));
    assert_eq!(tier.begin(2, 480_000), [480_001]);
    assert_eq!(tier.install(2, Applied::default(), filled(480_001, 40)), 1);
    let status = tier.status();
    assert_eq!(status, MemoryTierStatus { bytes: 96, first_hour: Some(480_001) });
}

/// Ends the others, also when it is dropped by a panic.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A view tells one thing, whichever way it is asked, while everything changes under it.
#[test]
fn views_agree_with_themselves_while_hours_are_stored_and_filled() {
    const ROUNDS: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let max_bytes = 1 << 20;
    let mut rig = Rig { folder: folder.path(), clock, max_bytes, boot: 0, sequences: [0; 2] };
    let recorder = rig.open();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ends_all = EndsAll(&is_over);
        let reading = || {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                check(&recorder, max_bytes);
                rounds += 1;
            }
            rounds
        };
        let readers = [scope.spawn(reading), scope.spawn(reading)];
        let filler = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fill_all(&recorder);
                std::thread::yield_now();
            }
        });
        for round in 0..ROUNDS {
            for node in 0..2 {
                let (back, window) = (round % 3, round % 60);
                let counts = [1, round + 1, 0, 4, 5, 6];
                let by_ten_minutes = round % 7 == 0;
                let column = Action::Column { node, back, window, by_ten_minutes, counts };
                rig.column(&recorder, &column);
            }
            recorder.shared.checkpoint.persist_and_wait(Duration::from_secs(60));
        }
        drop(ends_all);
        filler.join().unwrap();
        let rounds: Vec<u64> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(rounds.iter().all(|&rounds| rounds > 0), "{rounds:?}");
    });
}
