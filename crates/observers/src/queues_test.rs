use proptest::prelude::*;

use super::*;
use crate::text;

fn depth(queue: &str, visible: u64) -> QueueDepth {
    QueueDepth { queue: queue.to_owned(), visible, ..QueueDepth::default() }
}

fn visible(registry: &Registry) -> Vec<(String, u64)> {
    let text = text(registry).unwrap();
    let lines = text.lines().filter(|line| line.contains("state=\"visible\""));
    lines
        .map(|line| {
            let queue = line.split('"').nth(1).unwrap().to_owned();
            (queue, line.rsplit_once(' ').unwrap().1.parse().unwrap())
        })
        .collect()
}

fn observer() -> (Registry, QueueObserver) {
    let registry = Registry::new();
    let observer = QueueObserver::new(&registry).unwrap();
    (registry, observer)
}

#[test]
fn all_three_states_are_shown() {
    let (registry, observer) = observer();
    let depth = QueueDepth { in_flight: 2, delayed: 3, ..depth("a", 1) };
    observer.polled(Ok::<_, ()>(vec![depth]));
    let text = text(&registry).unwrap();
    for (state, number) in [("visible", 1), ("in_flight", 2), ("delayed", 3)] {
        let line = format!("queue_messages{{queue=\"a\",state=\"{state}\"}} {number}");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[test]
fn more_queues_than_labels_are_added_up() {
    let (registry, observer) = observer();
    let many: Vec<_> = (0..MAX_QUEUES + 3).map(|n| depth(&format!("q{n:04}"), 2)).collect();
    observer.polled(Ok::<_, ()>(many));
    let shown = visible(&registry);
    assert_eq!(shown.len(), MAX_QUEUES + 1);
    assert!(shown.contains(&(OTHER.to_owned(), 6)), "{shown:?}");
    // The next poll finds few.
    observer.polled(Ok::<_, ()>(vec![depth("q0001", 9)]));
    assert_eq!(visible(&registry), [("q0001".to_owned(), 9)]);
}

#[test]
fn counters_outlive_their_queue() {
    let (registry, observer) = observer();
    observer.messages("a", 0, Action::Send, 3);
    observer.polled(Ok::<_, ()>(vec![depth("a", 3)]));
    observer.polled(Ok::<_, ()>(vec![]));
    observer.messages("a", 0, Action::Send, 1);
    observer.messages("a", 70, Action::Delete, 1);
    let text = text(&registry).unwrap();
    for line in [
        "queue_partition_messages_total{action=\"send\",partition=\"0\",queue=\"a\"} 4",
        "queue_partition_messages_total{action=\"delete\",partition=\"_other\",queue=\"a\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

proptest! {
    /// What is shown is the last good poll, whatever came before it and failed after it.
    #[test]
    fn the_last_good_poll_is_shown(
        polls in prop::collection::vec(
            prop::option::weighted(0.7, prop::collection::btree_map("[a-d]", 0..100_u64, 0..4)),
            1..12,
        ),
    ) {
        let (registry, observer) = observer();
        let (mut expected, mut failed) = (Vec::new(), 0_u64);
        for poll in polls {
            match &poll {
                None => failed += 1,
                Some(queues) => expected = queues.clone().into_iter().collect(),
            }
            let depths = poll.map(|queues| queues.iter().map(|(name, &n)| depth(name, n)).collect());
            observer.polled(depths.ok_or("unreachable"));
            prop_assert_eq!(visible(&registry), expected.clone());
            prop_assert_eq!(observer.failures.get(), failed);
        }
    }
}
