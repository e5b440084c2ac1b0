use super::*;

fn gets(requests: u64) -> Vec<OperationSummary> {
    vec![OperationSummary {
        adapter: "redis".to_owned(),
        operation: "get".to_owned(),
        requests,
        latencies: vec![(10, requests)],
        ..OperationSummary::default()
    }]
}

fn requests(adapters: &Adapters, now_ms: u64) -> Vec<u64> {
    adapters.live(now_ms).summaries.iter().map(|one| one.requests).collect()
}

#[test]
fn hosts_add_up() {
    let adapters = Arc::new(Adapters::default());
    let (a, b) = (adapters.listen("a"), adapters.listen("b"));
    assert_eq!(adapters.live(0), Live { nodes: vec![], summaries: vec![] });
    a.told(5, gets(1));
    a.told(7, gets(2));
    b.told(9, gets(40));
    let live = adapters.live(10);
    assert_eq!(live.nodes, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
    assert_eq!(live.summaries, gets(42));
}

#[test]
fn what_a_host_said_goes_with_its_stream() {
    let adapters = Arc::new(Adapters::default());
    let old = adapters.listen("a");
    old.told(0, gets(1));
    // It came back before its old stream was found dead.
    let new = adapters.listen("a");
    new.told(1, gets(2));
    old.told(2, gets(3));
    assert_eq!(requests(&adapters, 2), [2]);
    drop(old);
    assert_eq!(requests(&adapters, 2), [2]);
    drop(new);
    assert_eq!(requests(&adapters, 2), [0; 0]);
}

#[test]
fn a_host_that_falls_silent_is_left_out() {
    let adapters = Arc::new(Adapters::default());
    let host = adapters.listen("a");
    host.told(0, gets(1));
    assert_eq!(requests(&adapters, STALE_MS), [1]);
    assert_eq!(requests(&adapters, STALE_MS + 1), [0; 0]);
    host.told(STALE_MS + 1, gets(2));
    assert_eq!(requests(&adapters, STALE_MS + 1), [2]);
}

#[test]
fn hosts_are_bounded() {
    let adapters = Arc::new(Adapters::default());
    let hosts: Vec<_> = (0..=MAX_NODES).map(|host| adapters.listen(&host.to_string())).collect();
    hosts.iter().for_each(|host| host.told(0, gets(1)));
    assert_eq!(requests(&adapters, 0), [MAX_NODES as u64]);
    // One that is held goes on; a place that becomes free is taken.
    hosts[0].told(0, gets(5));
    assert_eq!(requests(&adapters, 0), [MAX_NODES as u64 + 4]);
}

#[test]
fn latencies_are_bounded() {
    let adapters = Arc::new(Adapters::default());
    let full: Vec<_> = (0..256)
        .map(|n| OperationSummary {
            operation: n.to_string(),
            requests: 1,
            latencies: (0..1_152).map(|bucket| (bucket, 1)).collect(),
            ..OperationSummary::default()
        })
        .collect();
    let hosts: Vec<_> = (0..20).map(|host| adapters.listen(&host.to_string())).collect();
    hosts.iter().for_each(|host| host.told(0, full.clone()));
    assert_eq!(adapters.live(0).nodes.len(), MAX_BUCKETS / (256 * 1_152));
}
