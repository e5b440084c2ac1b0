//! A simulated day (`KEYVIZ_SIMULATED_DAYS` of them, 1 by default): sources whose clocks are skewed,
//! step back, smear a leap second, change their step, fall silent and come late; a node that is killed,
//! stopped and down for hours, and whose own clock jumps. What it holds in the end is what it said that
//! it had stored, window by window.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Clock, Column, Counts, Entry, Flags, HOUR_MS, Row, SourceId, Step, Window, unix_hour,
};
use keyviz_store::History;
use keyviz_wal::testing::FaultyFs;
use uuid::Uuid;

use crate::group_log::{GroupLog, LocalGroupLog};
use crate::recorder_test::{START_MS, persist, range};
use crate::shed::shed_test::Stubborn;
use crate::state_machine::StateMachine;
use crate::{Progress, Recorder, RecorderConfig, Verdict};

const MINUTE_MS: u64 = 60_000;
const HALF_MINUTE_MS: u64 = 30_000;

/// splitmix64: the same day every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Reads by bounds, step in ms and window.
type Model = BTreeMap<(String, u64, u64), u64>;

struct Teller {
    name: String,
    boot: u128,
    sequence: u64,
    /// Its clock is so far ahead of the true time (or behind it).
    skew_ms: i64,
    step_ms: u64,
    /// It sends nothing until then; what it has counted since goes out late.
    silent_until_ms: u64,
    unsent: Vec<Column>,
}

impl Teller {
    fn source(&self) -> SourceId {
        SourceId { node: self.name.clone(), boot: Uuid::from_u128(self.boot) }
    }

    /// The window that ended last by its own clock.
    fn column(&self, true_ms: u64, dice: &mut Dice) -> Column {
        let now_ms = true_ms.saturating_add_signed(self.skew_ms);
        let step = Step::recordable_from_ms(self.step_ms).unwrap();
        let start_ms = step.floor(now_ms) - self.step_ms;
        // A smeared second makes a window a little shorter than it says.
        let smeared_ms = if dice.below(20) == 0 { dice.below(12) } else { 0 };
        let rows = (0..4u8).map(|at| {
            let bounds = range(&at.to_string(), &(at + 1).to_string());
            let counts = Counts { reads: 1 + dice.below(1_000), ..Counts::default() };
            let route = u64::from(at) + 1;
            Row { route, group: 1, term: 0, range: bounds, counts, flags: Flags::NONE }
        });
        Column {
            window: Window::new(start_ms, step).unwrap(),
            covered_from_ms: start_ms,
            covered_to_ms: start_ms + self.step_ms - smeared_ms,
            unattributed: 0,
            groups: vec![1],
            rows: rows.collect(),
            buckets: Vec::new(),
        }
    }
}

struct Day {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    files: FaultyFs,
    refuses: Arc<AtomicBool>,
    dice: Dice,
    model: Model,
    refused: u64,
    stored: u64,
}

impl Day {
    fn begin() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(START_MS)),
            files: FaultyFs::new(),
            refuses: Arc::default(),
            dice: Dice(20_261_122),
            model: Model::new(),
            refused: 0,
            stored: 0,
        }
    }

    fn open(&self) -> Recorder {
        let config = RecorderConfig::new(self.folder.path());
        self.refuses.store(false, Ordering::Relaxed);
        let refuses = Arc::clone(&self.refuses);
        let make = move |machine: Arc<StateMachine>| -> Arc<dyn GroupLog> {
            Arc::new(Stubborn(LocalGroupLog::new(machine), Arc::clone(&refuses)))
        };
        let (files, clock) = (Arc::new(self.files.clone()), Arc::clone(&self.clock) as _);
        Recorder::open_with(files, config, clock, &Progress::default(), &make).unwrap()
    }

    /// Without a last checkpoint, as a kill is; or with one.
    fn end(&self, recorder: Recorder, is_killed: bool) {
        self.refuses.store(is_killed, Ordering::Relaxed);
        drop(recorder);
    }

    fn send(&mut self, recorder: &Recorder, teller: &mut Teller, column: &Column) {
        teller.sequence += 1;
        let entry = || Ok(Entry::Column(column.clone()));
        match block_on(recorder.submit(teller.source(), teller.sequence, entry())) {
            Verdict::Stored { rows: 4, .. } => {
                self.stored += 1;
                for row in &column.rows {
                    let window = column.window;
                    let key = (row.range.to_string(), window.step.ms(), window.start_ms);
                    *self.model.entry(key).or_default() += row.counts.reads;
                }
            }
            Verdict::Refused(reason) => {
                assert!(reason.contains("5 minutes") || reason.contains("retention"), "{reason}");
                self.refused += 1;
            }
            other => panic!("{other:?}"),
        }
        if self.dice.below(50) == 0 {
            let again = recorder.submit(teller.source(), teller.sequence, entry());
            let again = block_on(again);
            let is_known = matches!(again, Verdict::Duplicate);
            assert!(is_known, "{again:?}");
        }
    }

    /// A minute of true clocks; what cannot be sent is kept.
    fn minute(&mut self, tellers: &mut [Teller], sent_to: Option<&Recorder>) {
        self.clock.advance(MINUTE_MS);
        for teller in tellers {
            let column = teller.column(self.clock.unix_ms(), &mut self.dice);
            teller.unsent.push(column);
            let Some(recorder) = sent_to else { continue };
            for column in std::mem::take(&mut teller.unsent) {
                self.send(recorder, teller, &column);
            }
        }
    }

    fn check(&self, recorder: &Recorder) {
        let view = recorder.view().unwrap();
        let first_hour = view.oldest_ms().div_ceil(HOUR_MS);
        let hours = first_hour..=unix_hour(START_MS) + 24 * 60;
        let mut held = Model::new();
        for record in view.graph().records() {
            for (hour, blocks) in view.blocks(1, record.id, hours.clone()) {
                for block in blocks.unwrap().blocks() {
                    let step_ms = block.step().ms();
                    for (index, cell) in block.cells() {
                        let start_ms = hour * HOUR_MS + u64::from(index) * step_ms;
                        let key = (record.range.to_string(), step_ms, start_ms);
                        *held.entry(key).or_default() += cell.counts.reads;
                    }
                }
            }
        }
        let is_kept = |(key, _): &(&(String, u64, u64), &u64)| key.2 >= first_hour * HOUR_MS;
        let expected = self.model.iter().filter(is_kept);
        let expected: Model = expected.map(|(key, reads)| (key.clone(), *reads)).collect();
        for (key, reads) in &expected {
            assert_eq!(held.get(key), Some(reads), "{key:?}");
        }
        assert_eq!(held.len(), expected.len(), "windows that nobody sent");
    }
}

fn tellers() -> Vec<Teller> {
    let teller = |name: &str, boot: u128, skew_ms: i64| Teller {
        name: name.to_owned(),
        boot,
        sequence: 0,
        skew_ms,
        step_ms: MINUTE_MS,
        silent_until_ms: 0,
        unsent: Vec::new(),
    };
    vec![teller("n1", 1, 0), teller("n2", 2, 90_000), teller("n3", 3, -200_000)]
}

/// What may happen to a source at any minute.
fn trouble(teller: &mut Teller, true_ms: u64, dice: &mut Dice) {
    match dice.below(300) {
        // Its clock steps back by some windows, which it counts again, or forth.
        0 => teller.skew_ms -= 1_000 * dice.below(400) as i64,
        1 => teller.skew_ms += 1_000 * dice.below(240) as i64,
        // It restarts, maybe with another step.
        2 => {
            (teller.boot, teller.sequence) = (teller.boot + 10, 0);
            teller.step_ms = [MINUTE_MS, HALF_MINUTE_MS][dice.below(2) as usize];
        }
        3 => teller.silent_until_ms = true_ms + dice.below(180) * MINUTE_MS,
        4 => teller.skew_ms = 0,
        _ => {}
    }
}

#[test]
fn a_day_of_clocks_that_lie_and_nodes_that_die_holds_what_was_stored() {
    let days = std::env::var("KEYVIZ_SIMULATED_DAYS").map_or(1, |days| days.parse().unwrap());
    let mut day = Day::begin();
    let (mut tellers, mut true_ms, mut restarts) = (tellers(), START_MS, 0);
    let mut recorder = day.open();
    for _ in 0..days * 24 * 60 {
        true_ms += MINUTE_MS;
        day.clock.advance(MINUTE_MS);
        for teller in &mut tellers {
            trouble(teller, true_ms, &mut day.dice);
            let column = teller.column(true_ms, &mut day.dice);
            teller.unsent.push(column);
            if true_ms >= teller.silent_until_ms {
                for column in std::mem::take(&mut teller.unsent) {
                    day.send(&recorder, teller, &column);
                }
            }
        }
        match day.dice.below(240) {
            0..4 => persist(&recorder),
            4 => day.check(&recorder),
            // The node's own clock: wrong by up to three hours, or right again.
            5 => day.clock.set_wall(true_ms + day.dice.below(3 * HOUR_MS)),
            6 => day.clock.set_wall(true_ms - day.dice.below(3 * HOUR_MS)),
            7..12 => day.clock.set_wall(true_ms),
            12..18 => {
                let is_killed = day.dice.below(3) > 0;
                day.end(recorder, is_killed);
                let down_ms =
                    [0, 0, 0, 0, 0, MINUTE_MS, MINUTE_MS, 5 * HOUR_MS][day.dice.below(8) as usize];
                day.clock.advance(down_ms);
                true_ms += down_ms;
                recorder = day.open();
                restarts += 1;
                day.check(&recorder);
            }
            _ => {}
        }
    }
    day.clock.set_wall(true_ms);
    day.end(recorder, true);
    let recorder = day.open();
    day.check(&recorder);
    assert_eq!(recorder.counters().unusable_records, 0);
    eprintln!("{} columns stored, {} refused, {restarts} restarts", day.stored, day.refused);
    assert!(restarts > 5 && day.stored > 1_000 && day.refused > 0);
    assert!(day.clock.unix_ms() >= START_MS + days * 24 * HOUR_MS);
}

/// A node is killed and stays down for three days. Its sources kept the first hour of what they could
/// not send, and gave up the rest.
#[test]
fn three_days_down_are_a_gap_and_nothing_else() {
    let mut day = Day::begin();
    let mut tellers = tellers();
    let recorder = day.open();
    for at in 0..90 {
        day.minute(&mut tellers, Some(&recorder));
        if at == 60 {
            persist(&recorder);
        }
    }
    day.end(recorder, true);
    (0..60).for_each(|_| day.minute(&mut tellers, None));
    let down_ms = day.clock.unix_ms();
    day.clock.advance(3 * 24 * HOUR_MS);
    let recorder = day.open();
    day.check(&recorder);
    (0..30).for_each(|_| day.minute(&mut tellers, Some(&recorder)));
    let true_ms = day.clock.unix_ms();
    persist(&recorder);
    day.check(&recorder);
    assert_eq!(
        (day.refused, day.stored),
        (0, 3 * (90 + 60 + 30)),
        "three days late is not too late"
    );
    // Whole hours of nothing are left, and who should have told of them is still known.
    let view = recorder.view().unwrap();
    let gap = unix_hour(down_ms) + 2..=unix_hour(true_ms) - 2;
    assert!(gap.clone().count() > 60 && view.coverage(1, gap.clone()).is_empty());
    let members = view.members(1).unwrap();
    let expected = members.iter().filter(|(_, member)| {
        member.expected_within(gap.start() * HOUR_MS, (gap.end() + 1) * HOUR_MS)
    });
    assert_eq!(expected.count(), 3, "so the gap is missing, not idle");
}
