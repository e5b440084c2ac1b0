//! The cluster as this node sees it: who is in it, who leads which group, how far each group is.
//!
//! Responsible for: the numbers that both ports tell alike, as `Admin` has them.
//! Must not: know HTTP or gRPC; what is not known is left empty.
//! Proof: `tests/admin.rs`; `tests/tests/cluster_paths.rs` compares the ports.

use std::collections::BTreeSet;

use keyviz_api::wire::admin as wire;
use keyviz_replica::GroupState;

use crate::node::{Node, NodeError};

const CALLS: [&str; 6] = [
    "get_cluster_overview",
    "get_raft_groups",
    "get_adapter_summary",
    "get_key_viz_matrix",
    "get_route_detail",
    "stream_events",
];

/// Members, leaders, and how much is asked of them all. `address` is this node's gRPC address.
pub(crate) async fn cluster(
    node: &Node,
    address: &str,
) -> Result<wire::GetClusterOverviewResponse, NodeError> {
    let (_, groups) = node.group_states().await?;
    let identity = |node_id: &str, grpc_address: &str| wire::NodeIdentity {
        node_id: node_id.to_owned(),
        grpc_address: grpc_address.to_owned(),
    };
    let members: BTreeSet<&String> = groups.iter().flat_map(|group| &group.members).collect();
    let leaders = groups.iter().filter_map(|group| Some((group.group, group.leaders.last()?)));
    Ok(wire::GetClusterOverviewResponse {
        self_: Some(identity(&format!("keyviz@{address}"), address)),
        members: members.into_iter().map(|node| identity(node, "")).collect(),
        group_leaders: leaders
            .map(|(raft_group_id, leader)| wire::GroupLeader {
                raft_group_id,
                leader_node_id: leader.node.clone(),
                leader_term: leader.term,
            })
            .collect(),
        aggregate_qps: node.cluster.operations_per_second(node.clock.unix_ms()),
        capabilities: CALLS.iter().map(|call| ((*call).to_owned(), true)).collect(),
    })
}

/// Each group: its leader, and how far its log is applied here.
pub(crate) async fn raft_groups(node: &Node) -> Result<wire::GetRaftGroupsResponse, NodeError> {
    let (_, groups) = node.group_states().await?;
    let state = |group: &GroupState| {
        let leader = group.leaders.last();
        let heard_ms = leader.and_then(|leader| node.cluster.heard_ms(&leader.node));
        wire::RaftGroupState {
            raft_group_id: group.group,
            leader_node_id: leader.map(|leader| leader.node.clone()).unwrap_or_default(),
            leader_term: leader.map_or(0, |leader| leader.term),
            commit_index: group.applied_index,
            applied_index: group.applied_index,
            last_contact_unix_ms: heard_ms.map_or(0, |ms| ms as i64),
        }
    };
    Ok(wire::GetRaftGroupsResponse { groups: groups.iter().map(state).collect() })
}
