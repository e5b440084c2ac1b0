//! `StreamEvents`: what is stored, as it is stored.
//!
//! Invariants: events come in the order in which they were stored; who reads too slowly is told so
//! and the stream ends, so that nobody takes a gap for silence.
//! Proof: `tests/admin.rs`; `watch_test.rs`.

use std::sync::Arc;

use futures::stream::Stream;
use keyviz_api::wire::admin as wire;
use keyviz_lineage::{Change, Entry, GroupId, LineageGraph, LineageRecord, RouteId, Transition};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::rows::column_to_wire;
use crate::node::Node;

/// Messages that wait for the client.
const WAITING: usize = 16;

type Event = Result<wire::StreamEventsEvent, Status>;

/// Everything that is stored from now on; `place` is given back at the end.
pub(super) fn events(node: Arc<Node>, place: OwnedSemaphorePermit) -> impl Stream<Item = Event> {
    let (out, events) = mpsc::channel(WAITING);
    // Before the answer goes out: what is stored once the client knows of its stream is in it.
    let mut stored = node.cluster.watch();
    tokio::spawn(async move {
        let _until_the_end = place;
        loop {
            let entry = tokio::select! {
                entry = stored.recv() => entry,
                () = out.closed() => return,
                () = node.stopped() => {
                    let _ = out.send(Err(Status::unavailable("keyviz is shutting down"))).await;
                    return;
                }
            };
            let entry = match entry {
                Ok(entry) => entry,
                Err(RecvError::Closed) => return,
                Err(RecvError::Lagged(missed)) => {
                    let text = format!("{missed} entries were missed; read faster, watch again");
                    // The client may be gone.
                    let _ = out.send(Err(Status::resource_exhausted(text))).await;
                    return;
                }
            };
            // Not the recorder: a client may read slowly, and it may have to go meanwhile.
            let Ok(graph) = node.recorder().map(|recorder| recorder.graph()) else { return };
            for event in of_entry(&entry, &graph, node.clock.unix_ms()) {
                let event = wire::StreamEventsEvent { event: Some(event) };
                if out.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        }
    });
    ReceiverStream::new(events)
}

fn of_entry(
    entry: &Entry,
    graph: &LineageGraph,
    now_ms: u64,
) -> Vec<wire::stream_events_event::Event> {
    match entry {
        Entry::Column(column) => column_to_wire(column, graph)
            .into_iter()
            .map(wire::stream_events_event::Event::KeyvizColumn)
            .collect(),
        Entry::Transition(transition) => transitions(transition, graph, now_ms)
            .into_iter()
            .map(wire::stream_events_event::Event::RouteTransition)
            .collect(),
        Entry::Leave => Vec::new(),
    }
}

/// One for each parent. A new leader changes no route.
fn transitions(
    transition: &Transition,
    graph: &LineageGraph,
    now_ms: u64,
) -> Vec<wire::RouteTransition> {
    let group = transition.group;
    let (parents, child_group, children): (Vec<RouteId>, GroupId, Vec<RouteId>) = match &transition
        .change
    {
        Change::Create { routes } => {
            (vec![0], group, routes.iter().map(|route| route.route).collect())
        }
        Change::Split { parent, children } => {
            (vec![*parent], group, children.iter().map(|child| child.route).collect())
        }
        Change::Merge { parents, survivor } => (parents.clone(), group, vec![survivor.route]),
        Change::MoveOut { route, to_group, to_route } => (vec![*route], *to_group, vec![*to_route]),
        Change::Drop { route } => (vec![*route], group, Vec::new()),
        Change::MoveIn { .. } | Change::Backfill { .. } | Change::Leader { .. } => {
            return Vec::new();
        }
    };
    let record = match children.first() {
        Some(&child) => newest(graph, child_group, child),
        None => newest(graph, group, parents[0]),
    };
    let when = |record: &LineageRecord| match children.is_empty() {
        true => record.valid_to.unwrap_or(record.valid_from).unix_ms(),
        false => record.valid_from.unix_ms(),
    };
    let unix_ms = record.map_or(now_ms, when) as i64;
    let event = |parent_route_id| wire::RouteTransition {
        parent_route_id,
        child_route_ids: children.clone(),
        lineage_id: record.map(|record| record.id.to_string()).unwrap_or_default(),
        unix_ms,
    };
    parents.into_iter().map(event).collect()
}

/// The latest lineage that had this number in the group.
fn newest(graph: &LineageGraph, group: GroupId, route: RouteId) -> Option<&LineageRecord> {
    graph.of_route(group, route).max_by_key(|record| record.valid_from)
}

#[cfg(test)]
#[path = "watch_test.rs"]
mod watch_test;
