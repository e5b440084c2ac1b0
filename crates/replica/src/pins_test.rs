use std::sync::Arc;

use futures::executor::block_on;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{
    Change, Clock as _, Entry, HOUR_MS, KeyRange, RouteId, RouteSpec, Transition, unix_hour,
};
use keyviz_store::History as _;

use super::*;
use crate::recorder_test::{START_MS, column, persist, range, row, send, source, transition};
use crate::sweep::order;
use crate::{Progress, Recorder, RecorderConfig};

const FINE_MS: u64 = 4 * HOUR_MS;
const LONGEST_MS: u64 = 8 * HOUR_MS;

fn open_with(folder: &std::path::Path, clock: &Arc<ManualClock>, pin_max_bytes: u64) -> Recorder {
    let config = RecorderConfig {
        persist_interval_ms: 1_000 * HOUR_MS,
        retention_ms: FINE_MS,
        rollup_retention_ms: LONGEST_MS,
        pin_max_bytes,
        ..RecorderConfig::new(folder)
    };
    Recorder::open(config, Arc::clone(clock) as _, &Progress::default()).unwrap()
}

fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Recorder {
    open_with(folder, clock, 1 << 30)
}

/// Time passes, and everything that may goes.
fn pass(recorder: &Recorder, clock: &ManualClock, ms: u64) {
    clock.advance(ms);
    assert_eq!(recorder.gc_status().unwrap().frozen, None);
    recorder.shared.store.flush().unwrap();
    recorder.shared.store.compact();
    order(&recorder.shared, &recorder.jobs, clock.unix_ms());
    block_on(recorder.greet(source(99))).unwrap();
}

fn spec(route: RouteId, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: range(start, end) }
}

/// Route 1 becomes 2 and 3 at half past the first hour; columns of each hour; a leader; then 2 and 3
/// are dropped for 4.
fn story(recorder: &Recorder) {
    let split = vec![spec(2, "", "m"), spec(3, "m", "")];
    let merge = Change::Merge { parents: vec![2, 3], survivor: spec(4, "", "") };
    let leader = Change::Leader { node: "n1".into(), term: 7 };
    let entries = [
        transition(START_MS + 1_000, Change::Create { routes: vec![spec(1, "", "")] }),
        column(60, vec![row(1, range("", ""), 10)]),
        transition(START_MS + HOUR_MS / 2, Change::Split { parent: 1, children: split }),
        transition(START_MS + HOUR_MS / 2 + 1, leader),
        column(1_900, vec![row(2, range("", "m"), 20), row(3, range("m", ""), 30)]),
        column(3_700, vec![row(3, range("m", ""), 31)]),
        transition(START_MS + 2 * HOUR_MS, merge),
        column(7_300, vec![row(4, range("", ""), 40)]),
    ];
    for (sequence, entry) in (1..).zip(entries) {
        let verdict = send(recorder, 1, sequence, entry);
        assert!(!matches!(verdict, crate::Verdict::Refused(_)), "{sequence}: {verdict:?}");
    }
    persist(recorder);
}

/// Routes by the hours since the start of which columns are to be seen.
fn seen(recorder: &Recorder) -> Vec<(RouteId, Vec<u64>)> {
    let view = recorder.view().unwrap();
    let hour = unix_hour(START_MS);
    let mut found: Vec<_> = view
        .graph()
        .records()
        .map(|record| {
            let blocks = view.blocks(record.group, record.id, 0..=hour + 99);
            (record.route, blocks.into_iter().map(|(at, _)| at - hour).collect())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_pinned_window_outlives_the_retention_with_its_lineage_and_events_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 3 * HOUR_MS));
    let recorder = open(folder.path(), &clock);
    story(&recorder);
    let (from_ms, to_ms) = (START_MS + HOUR_MS / 2 + 5, START_MS + 2 * HOUR_MS);
    let pin = recorder.pin((from_ms, to_ms), range("p", "q"), "why 3?".into()).unwrap();
    assert_eq!((pin.from_ms, pin.to_ms), (START_MS, START_MS + 2 * HOUR_MS), "whole hours");
    // 1 and 3, and their hours; not 2, nor what came later.
    assert_eq!((pin.lineages, pin.note.as_str()), (2, "why 3?"));
    assert_eq!(pin.id.get_version_num(), 7);
    assert_eq!(recorder.pins(), std::slice::from_ref(&pin));
    let all = [(1, vec![0]), (2, vec![0]), (3, vec![0, 1]), (4, vec![2])];
    assert_eq!(seen(&recorder), all);
    pass(&recorder, &clock, 30 * LONGEST_MS);
    let kept = [(1, vec![0]), (2, vec![]), (3, vec![0, 1]), (4, vec![])];
    assert_eq!(seen(&recorder), kept, "2 came of 1, which is pinned, so its record stays");
    let view = recorder.view().unwrap();
    let hour = unix_hour(START_MS);
    assert_eq!(view.coverage(1, hour..=hour + 9).len(), 2, "who recorded in the pinned hours");
    for record in view.graph().records() {
        let expired = view.expired(1, record.id, hour - 1..=hour + 2);
        let expected = match record.route {
            1 => vec![hour - 1..=hour - 1, hour + 1..=hour + 2],
            3 => vec![hour - 1..=hour - 1, hour + 2..=hour + 2],
            _ => vec![hour - 1..=hour + 2],
        };
        assert_eq!(expired, expected, "route {}", record.route);
    }
    drop(view);
    let leaders = |recorder: &Recorder| {
        let events = recorder.events(START_MS, START_MS + 9 * HOUR_MS).unwrap();
        events.iter().filter(|event| event.text.contains("leads")).count()
    };
    assert_eq!(leaders(&recorder), 1);
    // It is not the oldest row that anybody has to worry about.
    assert!(recorder.gc_status().unwrap().oldest.fine_hour > hour + 1);
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    recorder.accept_clock().unwrap();
    pass(&recorder, &clock, HOUR_MS);
    assert_eq!((seen(&recorder), recorder.pins()), (kept.to_vec(), vec![pin.clone()]));
    assert_eq!(recorder.unpin(pin.id).unwrap(), Some(pin.clone()));
    assert!(matches!(recorder.unpin(pin.id), Err(PinError::Unknown { .. })));
    assert_eq!(seen(&recorder)[0], (1, vec![]), "hidden at once");
    pass(&recorder, &clock, HOUR_MS);
    assert_eq!(seen(&recorder), [(4, vec![])]);
    assert_eq!(leaders(&recorder), 0);
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    assert_eq!((recorder.pins(), seen(&recorder)), (vec![], vec![(4, vec![])]));
}

#[test]
fn what_cannot_be_pinned_is_refused_in_words_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 3 * HOUR_MS));
    let recorder = open_with(folder.path(), &clock, 3_000);
    story(&recorder);
    let hour = |at: u64| START_MS + at * HOUR_MS;
    let pin = |from: u64, to: u64, note: &str| {
        recorder.pin((hour(from), hour(to)), KeyRange::all(), note.into())
    };
    assert!(matches!(pin(2, 2, ""), Err(PinError::Empty { .. })));
    assert!(matches!(pin(2, 4, ""), Err(PinError::NotPast { .. })));
    assert!(matches!(pin(1, 2, &"x".repeat(1_025)), Err(PinError::Note { bytes: 1_025 })));
    let unknown = recorder.unpin(Uuid::nil()).unwrap_err().to_string();
    assert!(unknown.contains("keyviz pins"), "{unknown}");
    // Bytes run out, in the end.
    let mut pinned = Vec::new();
    let refused = loop {
        match pin(0, 3, "again") {
            Ok(pin) => pinned.push(pin),
            Err(error) => break error,
        }
        assert!(pinned.len() < 20, "{} bytes", pinned[0].bytes);
    };
    assert!(!pinned.is_empty() && matches!(refused, PinError::TooLarge { .. }), "{refused}");
    assert!(refused.to_string().contains("--pin-max-bytes"), "{refused}");
    assert_eq!(recorder.pins(), pinned, "nothing of it is left");
    let sum: u64 = pinned.iter().map(|pin| pin.bytes).sum();
    assert!(sum <= 3_000 && sum + pinned[0].bytes > 3_000, "{sum}");
    // What has expired cannot be brought back; what has in part is kept in part.
    pass(&recorder, &clock, 2 * HOUR_MS);
    recorder.unpin(pinned[0].id).unwrap();
    let part = pin(0, 3, "late").unwrap();
    assert_eq!((part.from_ms, part.fine_from_ms, part.to_ms), (hour(0), hour(1), hour(3)));
    pass(&recorder, &clock, 30 * LONGEST_MS);
    let refused = pin(0, 3, "too late").unwrap_err();
    assert!(matches!(refused, PinError::Expired { .. }), "{refused}");
}

#[test]
fn there_are_so_many_pins_and_no_more_and_every_group_has_its_part() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 3 * HOUR_MS));
    let recorder = open(folder.path(), &clock);
    story(&recorder);
    let Entry::Transition(other) =
        transition(START_MS + 5, Change::Create { routes: vec![spec(9, "", "")] })
    else {
        unreachable!()
    };
    send(&recorder, 1, 9, Entry::Transition(Transition { group: 2, ..other }));
    let window = (START_MS, START_MS + HOUR_MS);
    for _ in 0..MAX_PINS {
        let pin = recorder.pin(window, KeyRange::all(), String::new()).unwrap();
        assert_eq!((pin.groups.as_slice(), pin.lineages), ([0, 1, 2].as_slice(), 4));
    }
    assert!(matches!(recorder.pin(window, KeyRange::all(), String::new()), Err(PinError::TooMany)));
    assert_eq!(recorder.pins().len(), MAX_PINS);
    recorder.unpin(recorder.pins()[7].id).unwrap();
    recorder.pin(window, KeyRange::all(), String::new()).unwrap();
    pass(&recorder, &clock, 30 * LONGEST_MS);
    assert!(recorder.graph().live_route(2, 9).is_some());
}

#[test]
fn nothing_is_dropped_while_a_pin_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 3 * HOUR_MS));
    let recorder = open(folder.path(), &clock);
    story(&recorder);
    let pin = recorder.pin((START_MS, START_MS + HOUR_MS), KeyRange::all(), "x".into()).unwrap();
    let mut batch = Batch::default();
    batch.put(1, &Key::Pin { id: pin.id }, b"\x01damaged".to_vec());
    recorder.shared.store.commit(&batch).unwrap();
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    assert_eq!(recorder.counters().damaged_pins, 1);
    pass(&recorder, &clock, HOUR_MS * 20);
    assert_eq!(recorder.dropped_rows(), 0);
    recorder.unpin(pin.id).unwrap();
    drop(recorder);
    let recorder = open(folder.path(), &clock);
    recorder.accept_clock().unwrap();
    pass(&recorder, &clock, HOUR_MS);
    assert!(recorder.dropped_rows() > 0);
}
