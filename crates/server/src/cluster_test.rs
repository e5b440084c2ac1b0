use keyviz_lineage::{Flags, KeyRange, Row, Step, Window};

use super::*;

const START_MS: u64 = 1_700_000_000_000;

fn column(window: u64, reads: u64, writes: u64) -> Entry {
    let start_ms = START_MS + window * 1_000;
    let counts = Counts { reads, writes, ..Counts::default() };
    let range = KeyRange::all();
    Entry::Column(Column {
        window: Window::new(start_ms, Step::from_ms(1_000).unwrap()).unwrap(),
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 500,
        unattributed: 1,
        groups: vec![1],
        rows: vec![Row { route: 1, group: 1, term: 1, range, counts, flags: Flags::NONE }],
        buckets: Vec::new(),
    })
}

fn store(cluster: &Cluster, node: &str, now_ms: u64, entry: &Entry) {
    cluster.stored(cluster.passing(node, entry), now_ms);
}

#[test]
fn the_latest_windows_say_how_much_is_asked() {
    let cluster = Cluster::default();
    assert_eq!(cluster.operations_per_second(START_MS), 0);
    store(&cluster, "a", START_MS + 1_100, &column(0, 60, 39));
    store(&cluster, "b", START_MS + 1_200, &column(0, 0, 9));
    assert_eq!(cluster.operations_per_second(START_MS + 1_200), 220, "in half a second");
    // An older window of the same host changes nothing.
    store(&cluster, "a", START_MS + 2_100, &column(1, 0, 9));
    store(&cluster, "a", START_MS + 2_200, &column(0, 60, 39));
    assert_eq!(cluster.operations_per_second(START_MS + 2_200), 40);
    assert_eq!(cluster.heard_ms("a"), Some(START_MS + 2_100));
    assert_eq!(cluster.heard_ms("c"), None);
    // b has said nothing for three steps.
    assert_eq!(cluster.operations_per_second(START_MS + 4_000), 40);
    assert_eq!(cluster.operations_per_second(START_MS + 4_001), 20);
}

#[tokio::test]
async fn who_watches_sees_what_is_stored_from_then_on() {
    let cluster = Cluster::default();
    store(&cluster, "a", START_MS, &column(0, 1, 1));
    let mut watch = cluster.watch();
    let refused = cluster.passing("a", &column(1, 1, 1));
    drop(refused);
    store(&cluster, "a", START_MS, &column(2, 1, 1));
    assert_eq!(*watch.recv().await.unwrap(), column(2, 1, 1));
    for window in 0..=WATCHER_ENTRIES as u64 {
        store(&cluster, "a", START_MS, &column(window, 1, 1));
    }
    assert_eq!(watch.recv().await, Err(broadcast::error::RecvError::Lagged(1)));
}

#[test]
fn hosts_are_bounded() {
    let cluster = Cluster::default();
    for host in 0..MAX_HOSTS + 5 {
        store(&cluster, &host.to_string(), START_MS, &column(0, 1, 0));
    }
    assert_eq!(cluster.lock().len(), MAX_HOSTS);
}
