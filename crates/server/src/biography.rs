//! A biography as a node answers with it: found in the graph, as a message, as JSON.
//!
//! Responsible for: the one shape that gRPC, HTTP and `keyviz lineage` share, the words of the tree, and
//! what is said when nothing is known.
//! Invariants: JSON is made from the message, so the surfaces cannot differ; no text of a key is written
//! but through [`key_text`].
//! Must not: know how ranges are linked or drawn (`keyviz_query::biography` does).
//! Proof: `biography_test.rs`, and `tests/tests/lineage_cli.rs` with real processes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{LineageGraph, LineageId, LineageRecord};
use keyviz_query::QueryError;
use keyviz_query::biography::{self, Depth, Relation, Subject, Words};
use serde_json::{Value, json};

use crate::node::{NodeError, rfc3339};
use crate::query_cli::key_text;

/// Columns of a key in the tree.
const KEY_COLUMNS: usize = 28;
/// `2026-11-21T`
const DATE_LEN: usize = 11;

/// What a node knows of a range.
#[derive(Clone, Debug)]
pub(crate) struct Biography {
    /// Each record with its relation to the subject and its children, oldest first.
    records: Vec<(LineageRecord, Relation, Vec<LineageId>)>,
    text: String,
    left_out: usize,
}

impl Biography {
    /// Looks it up.
    ///
    /// # Errors
    /// An empty span, or nothing is known of the subject in it.
    pub(crate) fn of(
        graph: &LineageGraph,
        subject: &Subject,
        (from_ms, to_ms): (u64, u64),
        depth: Depth,
    ) -> Result<Self, NodeError> {
        if from_ms >= to_ms {
            return Err(QueryError::EmptySpan { from_ms, to_ms }.into());
        }
        let found = biography::records(graph, subject, from_ms, to_ms);
        if found.is_empty() {
            return Err(NodeError::Unknown {
                message: nothing_known(graph, subject, (from_ms, to_ms)),
            });
        }
        let words = Words { key: &|key| key_text::label(key, KEY_COLUMNS), time: &time_beside };
        let tree = biography::tree(graph, &found, depth, &words);
        let children = |id: LineageId| {
            graph.children(id).iter().copied().filter(|&child| graph.get(child).is_some()).collect()
        };
        let records = found
            .into_iter()
            .map(|(record, relation)| (record.clone(), relation, children(record.id)));
        Ok(Self { records: records.collect(), text: tree.text, left_out: tree.left_out })
    }

    /// As a message.
    pub(crate) fn into_wire(self, text_only: bool) -> wire::GetLineageResponse {
        let listed = if text_only { &[][..] } else { &self.records[..] };
        wire::GetLineageResponse {
            record_count: self.records.len() as u64,
            left_out: self.left_out as u64,
            records: listed.iter().map(entry).collect(),
            text: self.text,
        }
    }
}

/// How deep a tree is drawn, on the wire: absent = automatic, the greatest number = all of it.
pub(crate) fn depth_from_wire(depth: Option<u32>) -> Depth {
    match depth {
        None => Depth::Auto,
        Some(u32::MAX) => Depth::All,
        Some(generations) => Depth::Generations(generations),
    }
}

/// A time, without its date where that stands beside it already.
fn time_beside(unix_ms: u64, beside: Option<u64>) -> String {
    let text = rfc3339(unix_ms);
    let date = beside.map(rfc3339).and_then(|beside| beside.get(..DATE_LEN).map(str::to_owned));
    match date.and_then(|date| text.strip_prefix(&date)) {
        Some(clock) => clock.to_owned(),
        None => text,
    }
}

/// Names what was asked for, and says what is known instead.
fn nothing_known(graph: &LineageGraph, subject: &Subject, (from_ms, to_ms): (u64, u64)) -> String {
    if let Some((first_ms, last_ms)) = biography::lifetime(graph, subject) {
        let what = match subject {
            Subject::Lineage(id) => format!("lineage {id}"),
            Subject::Route(route) => format!("route {route}"),
            Subject::Key(key) => format!("the key {}", key_text::label(key, KEY_COLUMNS)),
        };
        let verb = if matches!(subject, Subject::Key(_)) { "was owned" } else { "lived" };
        let last = last_ms.map_or("now".to_owned(), rfc3339);
        let asked = match (from_ms, to_ms) {
            (0, _) => format!("before {}", rfc3339(to_ms)),
            (_, u64::MAX) => format!("since {}", rfc3339(from_ms)),
            _ => format!("between {} and {}", rfc3339(from_ms), rfc3339(to_ms)),
        };
        return format!("{what} {verb} between {} and {last}, but not {asked}", rfc3339(first_ms));
    }
    let what = match subject {
        Subject::Lineage(id) => format!("no lineage has the id {id}"),
        Subject::Route(route) => format!("no range had the route number {route}"),
        Subject::Key(key) => format!("no range held the key {}", key_text::label(key, KEY_COLUMNS)),
    };
    let (known, live) = graph.len();
    let Some(first) = graph.records().map(|record| record.valid_from).min() else {
        return format!("{what}; this node knows no range yet");
    };
    let (least, most) = graph
        .records()
        .map(|record| record.route)
        .fold((u64::MAX, 0), |(least, most), route| (least.min(route), most.max(route)));
    format!(
        "{what}; this node knows {known} lineages ({live} of them live), with route numbers from \
         {least} to {most}, the oldest from {}",
        rfc3339(first.unix_ms())
    )
}

fn entry(
    (record, relation, children): &(LineageRecord, Relation, Vec<LineageId>),
) -> wire::LineageEntry {
    let parent = |parent: &keyviz_lineage::ParentRef| wire::LineageParent {
        id: parent.id.to_string(),
        group_id: parent.group,
        start: parent.range.start().to_vec().into(),
        end: parent.range.end().to_vec().into(),
        valid_from_unix_ms: parent.valid_from.unix_ms() as i64,
        valid_from_hlc: parent.valid_from.0,
    };
    wire::LineageEntry {
        id: record.id.to_string(),
        start: record.range.start().to_vec().into(),
        end: record.range.end().to_vec().into(),
        route_id: record.route,
        group_id: record.group,
        valid_from_unix_ms: record.valid_from.unix_ms() as i64,
        valid_to_unix_ms: record.valid_to.map_or(0, |end| end.unix_ms() as i64),
        cause: record.cause.name().to_owned(),
        relation: relation.name().to_owned(),
        parents: record.parents.iter().map(parent).collect(),
        children: children.iter().map(LineageId::to_string).collect(),
        successor: record
            .successor
            .map(|(group_id, route_id)| wire::LineageSuccessor { group_id, route_id }),
        proposal_id: record.proposal.to_vec().into(),
        valid_from_hlc: record.valid_from.0,
        valid_to_hlc: record.valid_to.map_or(0, |end| end.0),
        catalogue_version: record.version,
    }
}

/// The message as JSON: keys in base64 (null when open) and as text that `keyviz` takes back, times in
/// Unix milliseconds and as HLC, null for what has not ended or is unknown.
pub(crate) fn to_json(answer: &wire::GetLineageResponse) -> Value {
    json!({
        "records": answer.records.iter().map(record_to_json).collect::<Vec<_>>(),
        "text": answer.text,
        "record_count": answer.record_count,
        "left_out": answer.left_out,
    })
}

fn record_to_json(record: &wire::LineageEntry) -> Value {
    let parents = record.parents.iter().map(|parent| {
        json!({
            "id": parent.id,
            "group_id": parent.group_id,
            "start": base64(&parent.start),
            "end": base64(&parent.end),
            "start_text": text(&parent.start),
            "end_text": text(&parent.end),
            "valid_from_unix_ms": parent.valid_from_unix_ms,
            "valid_from_hlc": parent.valid_from_hlc,
        })
    });
    json!({
        "id": record.id,
        "relation": record.relation,
        "start": base64(&record.start),
        "end": base64(&record.end),
        "start_text": text(&record.start),
        "end_text": text(&record.end),
        "route_id": record.route_id,
        "group_id": record.group_id,
        "cause": record.cause,
        "valid_from_unix_ms": record.valid_from_unix_ms,
        "valid_to_unix_ms": (record.valid_to_hlc != 0).then_some(record.valid_to_unix_ms),
        "valid_from_hlc": record.valid_from_hlc,
        "valid_to_hlc": (record.valid_to_hlc != 0).then_some(record.valid_to_hlc),
        "parents": parents.collect::<Vec<_>>(),
        "children": record.children,
        "successor": record.successor.as_ref().map(|successor| {
            json!({ "group_id": successor.group_id, "route_id": successor.route_id })
        }),
        "proposal_id": hex::encode(&record.proposal_id),
        "catalogue_version": (record.catalogue_version != 0).then_some(record.catalogue_version),
    })
}

fn base64(bound: &[u8]) -> Option<String> {
    (!bound.is_empty()).then(|| STANDARD.encode(bound))
}

fn text(bound: &[u8]) -> Option<String> {
    (!bound.is_empty()).then(|| key_text::exact(bound))
}

#[cfg(test)]
#[path = "biography_test.rs"]
mod biography_test;
