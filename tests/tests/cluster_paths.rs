//! Property: `cluster/overview`, `raft/groups`, `routes` and `buckets/{id}` tell what `Admin` and the
//! matrix of the same node tell, and refuse what they do not understand.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use keyviz_api::wire::admin as wire;
use keyviz_api::wire::admin::admin_client::AdminClient;
use keyviz_tests::columns::{Poster, TRANSITIONS};
use keyviz_tests::http::{get, post_json, request};
use keyviz_tests::matrix::MATRIX;
use keyviz_tests::now_ms;
use keyviz_tests::process::{Node, NodeSpec};
use serde_json::{Value, json};

const ADMIN: &str = "/admin/api/v1";
const BUCKETS: &str = "/admin/api/v1/keyviz/buckets";

/// Columns of five ranges, and a leader of their group.
fn fill(node: &Node) -> u64 {
    let first_ms = now_ms() / 1_000 * 1_000 - 60_000;
    let mut poster = Poster::new("poster", first_ms);
    for _ in 0..3 {
        poster.post_next(&node.http, 5);
    }
    let leader = json!({"node_id": "other", "group_id": 1, "change": "leader",
        "leader_node_id": "poster", "term": 7});
    post_json(&node.http, TRANSITIONS, &leader.to_string()).unwrap().ok();
    first_ms
}

fn strings(values: &Value, field: &str) -> Vec<String> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value[field].as_str().unwrap_or("").to_owned()).collect()
}

#[test]
fn both_ports_tell_the_same_of_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    fill(&node);
    let overview = get(&node.http, &format!("{ADMIN}/cluster/overview")).ok();
    let groups = get(&node.http, &format!("{ADMIN}/raft/groups")).ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (of_cluster, of_groups) = runtime.block_on(async {
        let mut admin = AdminClient::connect(format!("http://{}", node.grpc)).await.unwrap();
        let overview = admin.get_cluster_overview(wire::GetClusterOverviewRequest {}).await;
        let groups = admin.get_raft_groups(wire::GetRaftGroupsRequest {}).await;
        (overview.unwrap().into_inner(), groups.unwrap().into_inner())
    });
    let identity = of_cluster.self_.unwrap();
    assert_eq!(overview["self"]["grpc_address"], identity.grpc_address, "{overview}");
    assert_eq!(overview["self"]["node_id"], identity.node_id, "{overview}");
    let members: Vec<String> = of_cluster.members.into_iter().map(|id| id.node_id).collect();
    assert_eq!(strings(&overview["members"], "node_id"), members);
    assert!(members.contains(&"poster".to_owned()), "{members:?}");
    let leader = &overview["group_leaders"][0];
    assert_eq!(
        (&leader["leader_node_id"], &leader["leader_term"]),
        (&json!("poster"), &json!(7)),
        "{overview}"
    );
    assert_eq!(of_groups.groups.len(), groups["groups"].as_array().unwrap().len());
    for (wire, json) in of_groups.groups.iter().zip(groups["groups"].as_array().unwrap()) {
        assert_eq!(json["raft_group_id"], wire.raft_group_id);
        assert_eq!(json["leader_term"], wire.leader_term);
        assert_eq!(json["applied_index"], wire.applied_index);
        assert_eq!(json["last_contact_unix_ms"], wire.last_contact_unix_ms);
    }
    let routes = get(&node.http, &format!("{ADMIN}/routes")).ok();
    let alive = routes["routes"].as_array().unwrap();
    let ids: Vec<u64> = alive.iter().map(|route| route["route_id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5], "{routes}");
    assert!(alive.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]), "{routes}");
    assert_eq!((&alive[0]["start"], &alive[4]["end"]), (&Value::Null, &Value::Null));
    assert_eq!(get(&node.http, &format!("{ADMIN}/routes?group_id=9")).ok()["routes"], json!([]));
    spec.assert_no_panic();
}

#[test]
fn a_bucket_is_a_row_of_the_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let first_ms = fill(&node);
    let span = format!("from_unix_ms={first_ms}&to_unix_ms={}&step_ms=1000", first_ms + 10_000);
    for series in ["writes", "read_bytes"] {
        let question = format!("{span}&series={series}");
        let matrix = get(&node.http, &format!("{MATRIX}?{question}")).ok();
        for row in matrix["rows"].as_array().unwrap() {
            for id in [&row["bucket_id"], &row["lineage_id"]] {
                let path = format!("{BUCKETS}/{}?{question}", id.as_str().unwrap());
                let bucket = get(&node.http, &path).ok();
                assert_eq!(bucket["rows"], json!([row]), "{path}");
                assert_eq!(bucket["column_unix_ms"], matrix["column_unix_ms"]);
                assert_eq!(bucket["column_totals"], Value::Null);
            }
        }
    }
    let lines = get(&node.http, &format!("{BUCKETS}/route:2?{span}&format=ndjson"));
    assert_eq!(lines.text().lines().count(), 10, "{}", lines.brief());
    spec.assert_no_panic();
}

#[test]
fn what_is_not_understood_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    fill(&node);
    for unknown in ["route:99", "nothing", "virtual:1", "01977420-dc00-7000-83cb-469d7667bba3"] {
        let message = get(&node.http, &format!("{BUCKETS}/{unknown}")).refusal(404, "not_found");
        assert!(message.contains(unknown), "{message}");
    }
    let wrong = [
        (format!("{BUCKETS}/route:1?rows=5"), "rows"),
        (format!("{BUCKETS}/route:1?start=YQ"), "start"),
        (format!("{BUCKETS}/route:1?sereis=reads"), "sereis"),
        (format!("{BUCKETS}/route:1?from_unix_ms=2000&to_unix_ms=1000"), "2000"),
        (format!("{ADMIN}/cluster/overview?verbose=1"), "verbose"),
        (format!("{ADMIN}/raft/groups?group_id=1"), "group_id"),
        (format!("{ADMIN}/routes?group_id=NaN"), "group_id"),
        (format!("{ADMIN}/routes?group_id=1&group_id=2"), "group_id"),
    ];
    for (path, name) in &wrong {
        let message = get(&node.http, path).refusal(400, "invalid_query");
        assert!(message.contains(name), "{name:?} is not in {message:?} for {path}");
    }
    for path in ["cluster/overview", "raft/groups", "routes", "keyviz/buckets/route:1"] {
        let answer = request(&node.http, "PUT", &format!("{ADMIN}/{path}"), &[], b"").unwrap();
        answer.refusal(405, "method_not_allowed");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{path}");
    }
    get(&node.http, BUCKETS).refusal(404, "not_found");
    get(&node.http, &format!("{BUCKETS}/%ff")).refusal(400, "invalid_query");
    spec.assert_no_panic();
}
