use std::collections::BTreeSet;
use std::sync::Arc;

use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{Change, Entry};

use crate::recorder_test::{START_MS, column, open, range, row, send, transition};

fn leader(at_ms: u64, node: &str, term: u64) -> Entry {
    transition(START_MS + at_ms, Change::Leader { node: node.to_owned(), term })
}

#[test]
fn tells_who_led_who_is_expected_and_how_far_the_log_is() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS + 5_000));
    let recorder = open(folder.path(), &clock);
    assert_eq!(recorder.group_states().unwrap(), []);
    send(&recorder, 1, 1, leader(1_000, "n1", 7));
    send(&recorder, 1, 2, column(1, vec![row(7, range("", "m"), 3)]));
    send(&recorder, 1, 3, leader(3_000, "n2", 8));
    let states = recorder.group_states().unwrap();
    let [state] = &states[..] else { panic!("{states:?}") };
    let terms = [999, 1_000, 2_999, 3_000, 9_000].map(|ms| state.term_at(START_MS + ms));
    assert_eq!(terms, [0, 7, 7, 8, 8]);
    assert_eq!(state.leaders.last().unwrap().node, "n2");
    assert_eq!((state.group, &state.members), (1, &BTreeSet::from(["n1".to_owned()])));
    assert!(state.applied_index >= 3, "two leaders and a backfill: {state:?}");
    // Once it has left, nothing is expected of it.
    send(&recorder, 1, 4, Entry::Leave);
    assert!(recorder.group_states().unwrap()[0].members.is_empty());
}
