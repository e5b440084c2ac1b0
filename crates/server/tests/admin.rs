//! Property: a client made from `proto/admin.proto` has every call answered by a real node, with what
//! was sent to it.
#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keyviz_api::ambient::{SystemClock, new_boot_id, new_proposal_id};
use keyviz_api::client::{ClientConfig, IngestSender};
use keyviz_api::wire::admin as wire;
use keyviz_api::wire::admin::admin_client::AdminClient;
use keyviz_api::wire::admin::stream_events_event::Event;
use keyviz_lineage::{
    Change, Clock as _, Column, Counts, Entry, Flags, Hlc, KeyRange, OperationSummary, RouteSpec,
    Row, SourceId, Step, Transition, Window,
};
use tonic::Code;
use tonic::transport::Channel;

const LIMIT: Duration = Duration::from_secs(60);

/// A real node, killed when dropped.
struct Node {
    child: Child,
    grpc: String,
    _folder: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), &[])
    }

    fn start_with(folder: tempfile::TempDir, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyviz"))
            .args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--step", "1s"])
            .args(flags)
            .arg("--data-dir")
            .arg(folder.path().join("node"))
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        // keyviz ready: page http://ADDR/ grpc ADDR data DIR
        let grpc = line.split(" grpc ").nth(1).and_then(|rest| rest.split(' ').next());
        let grpc = grpc.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, grpc, _folder: folder }
    }

    async fn client(&self) -> AdminClient<Channel> {
        AdminClient::connect(format!("http://{}", self.grpc)).await.unwrap()
    }

    fn sender(&self, node: &str) -> IngestSender {
        let source = SourceId { node: node.to_owned(), boot: new_boot_id() };
        IngestSender::start(ClientConfig::new(self.grpc.clone(), source))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn transition(at_ms: u64, change: Change) -> Entry {
    Entry::Transition(Transition {
        group: 1,
        proposal: new_proposal_id(),
        hlc: Hlc::new(at_ms, 0),
        catalogue_version: 0,
        change,
    })
}

fn route(route: u64, start: &str, end: &str) -> RouteSpec {
    RouteSpec { route, range: KeyRange::new(start.as_bytes(), end.as_bytes()).unwrap() }
}

fn column(start_ms: u64, writes: &[(RouteSpec, u64)]) -> Entry {
    let row = |(spec, writes): &(RouteSpec, u64)| Row {
        route: spec.route,
        group: 1,
        term: 7,
        range: spec.range.clone(),
        counts: Counts { writes: *writes, write_bytes: 10 * *writes, ..Counts::default() },
        flags: Flags::NONE,
    };
    Entry::Column(Column {
        window: Window::new(start_ms, Step::from_ms(1_000).unwrap()).unwrap(),
        covered_from_ms: start_ms,
        covered_to_ms: start_ms + 1_000,
        unattributed: 0,
        groups: vec![1],
        rows: writes.iter().map(row).collect(),
        buckets: Vec::new(),
    })
}

/// A create, a leader, a window before a split, the split, a window after it.
struct Story {
    _sender: IngestSender,
    first_ms: u64,
}

impl Story {
    async fn tell(node: &Node) -> Self {
        let sender = node.sender("host-a");
        let first_ms = SystemClock::shared().unix_ms() / 1_000 * 1_000 - 10_000;
        let whole = route(1, "", "");
        let halves = [route(2, "", "m"), route(3, "m", "")];
        let create = Change::Create { routes: vec![whole.clone()] };
        let split = Change::Split { parent: 1, children: halves.to_vec() };
        let [left, right] = halves;
        for entry in [
            transition(first_ms, create),
            transition(first_ms, Change::Leader { node: "host-a".to_owned(), term: 7 }),
            column(first_ms, &[(whole, 5)]),
            transition(first_ms + 1_000, split),
            column(first_ms + 1_000, &[(left, 30), (right, 4)]),
        ] {
            sender.send(&entry).unwrap();
        }
        assert!(sender.drain(LIMIT).await);
        let stats = sender.stats();
        assert_eq!((stats.refused, stats.refused_rows, stats.aborted), (0, 0, 0), "{stats:?}");
        Self { _sender: sender, first_ms }
    }

    fn span(&self) -> (i64, i64) {
        (self.first_ms as i64, self.first_ms as i64 + 2_000)
    }
}

#[tokio::test]
async fn a_node_with_tokens_asks_for_one() {
    let (folder, token) = (tempfile::tempdir().unwrap(), "0123456789abcdef0123456789abcdef");
    let [read, write] =
        [("read", token), ("write", "fedcba9876543210fedcba9876543210")].map(|(name, token)| {
            let file = folder.path().join(name);
            std::fs::write(&file, token).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            file.to_str().unwrap().to_owned()
        });
    let node =
        Node::start_with(folder, &["--read-token-file", &read, "--write-token-file", &write]);
    let mut client = node.client().await;
    let refused = client.get_adapter_summary(wire::GetAdapterSummaryRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let refused = client.stream_events(wire::StreamEventsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let mut shown = tonic::Request::new(wire::GetAdapterSummaryRequest {});
    let bearer = format!("Bearer {token}").parse().unwrap();
    shown.metadata_mut().insert("authorization", bearer);
    client.get_adapter_summary(shown).await.unwrap();
}

#[tokio::test]
async fn overview_and_groups_say_who_is_there_and_who_leads() {
    let node = Node::start();
    let mut client = node.client().await;
    let empty = client.get_cluster_overview(wire::GetClusterOverviewRequest {}).await.unwrap();
    let empty = empty.into_inner();
    assert_eq!((empty.members, empty.group_leaders, empty.aggregate_qps), (vec![], vec![], 0));
    let story = Story::tell(&node).await;
    let overview = client.get_cluster_overview(wire::GetClusterOverviewRequest {}).await.unwrap();
    let overview = overview.into_inner();
    assert_eq!(overview.self_.unwrap().grpc_address, node.grpc);
    let members: Vec<_> = overview.members.iter().map(|member| &*member.node_id).collect();
    assert_eq!(members, ["host-a"]);
    let leader =
        wire::GroupLeader { raft_group_id: 1, leader_node_id: "host-a".to_owned(), leader_term: 7 };
    assert_eq!(overview.group_leaders, [leader]);
    assert_eq!(overview.capabilities.len(), 6);
    assert!(overview.capabilities.values().all(|is_there| *is_there));
    let groups = client.get_raft_groups(wire::GetRaftGroupsRequest {}).await.unwrap().into_inner();
    let [group] = &groups.groups[..] else { panic!("{groups:?}") };
    assert_eq!((group.raft_group_id, group.leader_term), (1, 7));
    assert_eq!(group.leader_node_id, "host-a");
    assert!(group.applied_index >= 3 && group.commit_index == group.applied_index, "{group:?}");
    assert!(group.last_contact_unix_ms >= story.first_ms as i64, "{group:?}");
}

#[tokio::test]
async fn the_matrix_and_one_row_of_it_say_what_was_counted() {
    let node = Node::start();
    let story = Story::tell(&node).await;
    let mut client = node.client().await;
    let (from_unix_ms, to_unix_ms) = story.span();
    let ask =
        |series, rows| wire::GetKeyVizMatrixRequest { series, from_unix_ms, to_unix_ms, rows };
    // 0: unspecified is writes; 0: no cap.
    let matrix = client.get_key_viz_matrix(ask(0, 0)).await.unwrap().into_inner();
    assert_eq!(matrix.column_unix_ms, [from_unix_ms, from_unix_ms + 1_000]);
    let rows: Vec<_> = matrix.rows.iter().map(|row| (&*row.bucket_id, &row.values[..])).collect();
    assert_eq!(rows, [("route:2", &[5, 30][..]), ("route:3", &[5, 4][..])], "inherited, then own");
    let left = &matrix.rows[0];
    assert_eq!((&left.start[..], &left.end[..]), (&b""[..], &b"m"[..]));
    assert_eq!((&left.raft_group_ids[..], &left.leader_terms[..]), (&[1, 1][..], &[7, 7][..]));
    assert_eq!((&left.route_ids[..], left.route_count, left.aggregate), (&[2][..], 1, false));
    assert_eq!(left.lineage_id.len(), 36);
    let bytes = client.get_key_viz_matrix(ask(4, 0)).await.unwrap().into_inner();
    assert_eq!(bytes.rows[0].values, [50, 300]);
    let one = client.get_key_viz_matrix(ask(2, 1)).await.unwrap().into_inner();
    let [one] = &one.rows[..] else { panic!("{one:?}") };
    assert_eq!((&one.values[..], one.aggregate, one.route_count), (&[5, 34][..], true, 2));

    let detail = |bucket_id: &str| wire::GetRouteDetailRequest {
        bucket_id: bucket_id.to_owned(),
        from_unix_ms,
        to_unix_ms,
    };
    let found = client.get_route_detail(detail("route:3")).await.unwrap().into_inner();
    assert_eq!(found.row.as_ref(), Some(&matrix.rows[1]));
    let unknown = client.get_route_detail(detail("route:9")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    for bad in [ask(9, 0), wire::GetKeyVizMatrixRequest { from_unix_ms: -1, ..ask(2, 0) }] {
        let refused = client.get_key_viz_matrix(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
}

#[tokio::test]
async fn events_come_as_they_are_stored() {
    let node = Node::start();
    let mut client = node.client().await;
    let mut events = client.stream_events(wire::StreamEventsRequest {}).await.unwrap().into_inner();
    let story = Story::tell(&node).await;
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let event = tokio::time::timeout(LIMIT, events.message()).await.unwrap().unwrap().unwrap();
        seen.push(match event.event.unwrap() {
            Event::RouteTransition(told) => {
                assert_eq!(told.lineage_id.len(), 36);
                let after_ms = told.unix_ms - story.first_ms as i64;
                format!("{} -> {:?} at {after_ms}", told.parent_route_id, told.child_route_ids)
            }
            Event::KeyvizColumn(column) => {
                let after_ms = column.column_unix_ms - story.first_ms as i64;
                let rows = column.rows.iter().map(|row| (row.route_ids[0], row.values[0]));
                format!("{} {:?} at {after_ms}", column.series, rows.collect::<Vec<_>>())
            }
        });
    }
    assert_eq!(
        seen,
        [
            "0 -> [1] at 0",
            "2 [(1, 5)] at 0",
            "4 [(1, 50)] at 0",
            "1 -> [2, 3] at 1000",
            "2 [(2, 30), (3, 4)] at 1000",
            "4 [(2, 300), (3, 40)] at 1000",
        ]
    );
}

#[tokio::test]
async fn adapters_of_all_hosts_add_up_and_go_with_their_host() {
    let node = Node::start();
    let mut client = node.client().await;
    let summary = |latencies: &[(u32, u64)]| OperationSummary {
        adapter: "redis".to_owned(),
        operation: "get".to_owned(),
        requests: latencies.iter().map(|&(_, count)| count).sum(),
        in_flight: 1,
        bytes_in: 100,
        bytes_out: 200,
        latencies: latencies.to_vec(),
    };
    let (a, b) = (node.sender("host-a"), node.sender("host-b"));
    let of_a = || vec![summary(&[(10, 90), (20, 5)])];
    let both = wire::AdapterSummary {
        adapter: "redis".to_owned(),
        operation: "get".to_owned(),
        requests: 100,
        in_flight: 2,
        bytes_in: 200,
        bytes_out: 400,
        p50_ns: 10.0,
        p95_ns: 20.0,
        p99_ns: 30.0,
    };
    let deadline = tokio::time::Instant::now() + LIMIT;
    let mut ask = async || {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let found = client.get_adapter_summary(wire::GetAdapterSummaryRequest {}).await.unwrap();
        found.into_inner().summaries
    };
    loop {
        a.tell_live(of_a());
        b.tell_live(vec![summary(&[(30, 5)])]);
        if ask().await == [both.clone()] {
            break;
        }
    }
    // Its handles are gone, so its stream ends.
    drop(b);
    let alone = wire::AdapterSummary {
        requests: 95,
        in_flight: 1,
        bytes_in: 100,
        bytes_out: 200,
        p99_ns: 20.0,
        ..both
    };
    loop {
        a.tell_live(of_a());
        if ask().await == [alone.clone()] {
            break;
        }
    }
}
