//! `POST .../columns` and `POST .../transitions`: the ingest stream for people with curl.
//!
//! Keys are UTF-8 text (`start`) or base64 (`start_base64`). Without `boot_id` the node name stands
//! for the boot, without `sequence` the next one is taken: then a request that is sent twice counts
//! twice. Everything goes through the same conversion and the same recorder as gRPC.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_api::convert::check_node_id;
use keyviz_lineage::{
    Bucket, BucketPart, Change, Column, Counts, Entry, Flags, Hlc, KeyRange, RouteSpec, Row,
    SourceId, Step, Transition, Window, id,
};
use keyviz_replica::Verdict;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::HttpError;
use crate::node::Node;

#[derive(Debug, Deserialize)]
struct Origin {
    node_id: String,
    boot_id: Option<Uuid>,
    sequence: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ColumnBody {
    #[serde(flatten)]
    origin: Origin,
    window_unix_ms: u64,
    step_ms: Option<u64>,
    covered_from_unix_ms: Option<u64>,
    covered_to_unix_ms: Option<u64>,
    #[serde(default)]
    unattributed: u64,
    #[serde(default)]
    groups: Vec<u64>,
    rows: Vec<RowBody>,
    #[serde(default)]
    buckets: Vec<BucketBody>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowBody {
    route_id: u64,
    group_id: u64,
    #[serde(default)]
    term: u64,
    start: Option<String>,
    end: Option<String>,
    start_base64: Option<String>,
    end_base64: Option<String>,
    #[serde(default)]
    reads: u64,
    #[serde(default)]
    writes: u64,
    #[serde(default)]
    read_bytes: u64,
    #[serde(default)]
    write_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketBody {
    group_id: u64,
    start: Option<String>,
    end: Option<String>,
    start_base64: Option<String>,
    end_base64: Option<String>,
    members: Vec<u64>,
    /// Absent: all of them are listed.
    member_count: Option<u64>,
    parts: Vec<PartBody>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBody {
    group_id: u64,
    #[serde(default)]
    term: u64,
    #[serde(default)]
    reads: u64,
    #[serde(default)]
    writes: u64,
    #[serde(default)]
    read_bytes: u64,
    #[serde(default)]
    write_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransitionBody {
    #[serde(flatten)]
    origin: Origin,
    group_id: u64,
    proposal_id: Option<Uuid>,
    #[serde(default)]
    hlc: u64,
    #[serde(default)]
    catalogue_version: u64,
    #[serde(flatten)]
    change: ChangeBody,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum ChangeBody {
    Create { routes: Vec<RouteBody> },
    Split { route_id: u64, children: Vec<RouteBody> },
    Merge { route_ids: Vec<u64>, survivor: RouteBody },
    Move { route_id: u64, to_group_id: u64, to_route_id: u64 },
    Drop { route_id: u64 },
    Leader { leader_node_id: String, term: u64 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteBody {
    route_id: u64,
    start: Option<String>,
    end: Option<String>,
    start_base64: Option<String>,
    end_base64: Option<String>,
}

pub(super) async fn columns(
    State(node): State<Arc<Node>>,
    body: Result<Json<ColumnBody>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    let Json(body) = body.map_err(|rejection| rejected(&rejection))?;
    let column = body.column(node.default_step).map_err(HttpError::invalid_body)?;
    submit(&node, &body.origin, Entry::Column(column)).await
}

pub(super) async fn transitions(
    State(node): State<Arc<Node>>,
    body: Result<Json<TransitionBody>, JsonRejection>,
) -> Result<Json<Value>, HttpError> {
    let Json(body) = body.map_err(|rejection| rejected(&rejection))?;
    let transition = body.transition().map_err(HttpError::invalid_body)?;
    submit(&node, &body.origin, Entry::Transition(transition)).await
}

fn rejected(rejection: &JsonRejection) -> HttpError {
    HttpError::with_status(rejection.status(), "invalid_body", rejection.body_text())
}

async fn submit(node: &Node, origin: &Origin, entry: Entry) -> Result<Json<Value>, HttpError> {
    check_node_id(&origin.node_id).map_err(|error| HttpError::invalid_body(error.to_string()))?;
    let boot = origin.boot_id.unwrap_or_else(|| id::digest_id(origin.node_id.as_bytes()));
    let source = SourceId { node: origin.node_id.clone(), boot };
    let recorder = node.recorder()?;
    let unavailable = |message: String| {
        HttpError::with_status(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    };
    let (sequence, verdict) = node.submit(&recorder, source, origin.sequence, Ok(entry)).await;
    match verdict {
        Verdict::Stored { rows, refused_rows } => {
            let refused: Vec<Value> = refused_rows
                .iter()
                .map(|(route, reason)| json!({ "route_id": route, "reason": reason }))
                .collect();
            Ok(Json(
                json!({ "outcome": "stored", "sequence": sequence, "rows_stored": rows, "refused_rows": refused }),
            ))
        }
        Verdict::Duplicate => Ok(Json(json!({ "outcome": "duplicate", "sequence": sequence }))),
        Verdict::Refused(reason) => {
            Err(HttpError::with_status(StatusCode::CONFLICT, "refused", reason))
        }
        Verdict::Aborted(reason) => {
            Err(HttpError::with_status(StatusCode::CONFLICT, "aborted", reason))
        }
        Verdict::Unavailable(reason) => Err(unavailable(reason)),
    }
}

impl ColumnBody {
    fn column(&self, default_step: Step) -> Result<Column, String> {
        let step = self
            .step_ms
            .map_or(Ok(default_step), Step::recordable_from_ms)
            .map_err(|error| error.to_string())?;
        let window = Window::new(self.window_unix_ms, step).map_err(|error| error.to_string())?;
        let mut rows = self.rows.iter().map(RowBody::row).collect::<Result<Vec<Row>, String>>()?;
        rows.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (at, bucket) in self.buckets.iter().enumerate() {
            buckets.push(bucket.bucket().map_err(|error| format!("bucket {at}: {error}"))?);
        }
        buckets.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut groups: Vec<u64> =
            self.groups.iter().copied().chain(rows.iter().map(|row| row.group)).collect();
        for bucket in &buckets {
            groups.extend(bucket.parts.iter().map(|part| part.group).chain([bucket.group]));
        }
        groups.sort_unstable();
        groups.dedup();
        let column = Column {
            window,
            covered_from_ms: self.covered_from_unix_ms.unwrap_or(window.start_ms),
            covered_to_ms: self.covered_to_unix_ms.unwrap_or(window.end_ms()),
            unattributed: self.unattributed,
            groups,
            rows,
            buckets,
        };
        column.validate().map_err(|error| error.to_string())?;
        Ok(column)
    }
}

impl RowBody {
    fn row(&self) -> Result<Row, String> {
        let range = range(&self.start, &self.start_base64, &self.end, &self.end_base64)
            .map_err(|error| format!("route {}: {error}", self.route_id))?;
        let counts = Counts {
            reads: self.reads,
            writes: self.writes,
            read_bytes: self.read_bytes,
            write_bytes: self.write_bytes,
        };
        let (route, group, term) = (self.route_id, self.group_id, self.term);
        Ok(Row { route, group, term, range, counts, flags: Flags::NONE })
    }
}

impl BucketBody {
    fn bucket(&self) -> Result<Bucket, String> {
        let range = range(&self.start, &self.start_base64, &self.end, &self.end_base64)?;
        let mut members = self.members.clone();
        members.sort_unstable();
        let mut parts: Vec<BucketPart> = self.parts.iter().map(PartBody::part).collect();
        parts.sort_by_key(|part| (part.group, part.term));
        let member_count = self.member_count.unwrap_or(members.len() as u64);
        Ok(Bucket { group: self.group_id, range, members, member_count, parts })
    }
}

impl PartBody {
    fn part(&self) -> BucketPart {
        let counts = Counts {
            reads: self.reads,
            writes: self.writes,
            read_bytes: self.read_bytes,
            write_bytes: self.write_bytes,
        };
        BucketPart { group: self.group_id, term: self.term, counts, flags: Flags::NONE }
    }
}

impl TransitionBody {
    fn transition(&self) -> Result<Transition, String> {
        let routes = |bodies: &[RouteBody]| {
            bodies.iter().map(RouteBody::spec).collect::<Result<Vec<_>, _>>()
        };
        let change = match &self.change {
            ChangeBody::Create { routes: opened } => Change::Create { routes: routes(opened)? },
            ChangeBody::Split { route_id, children } => {
                Change::Split { parent: *route_id, children: routes(children)? }
            }
            ChangeBody::Merge { route_ids, survivor } => {
                Change::Merge { parents: route_ids.clone(), survivor: survivor.spec()? }
            }
            ChangeBody::Move { route_id, to_group_id, to_route_id } => {
                Change::MoveOut { route: *route_id, to_group: *to_group_id, to_route: *to_route_id }
            }
            ChangeBody::Drop { route_id } => Change::Drop { route: *route_id },
            ChangeBody::Leader { leader_node_id, term } => {
                check_node_id(leader_node_id).map_err(|error| error.to_string())?;
                Change::Leader { node: leader_node_id.clone(), term: *term }
            }
        };
        Ok(Transition {
            group: self.group_id,
            proposal: self.proposal_id.map_or([0; 16], Uuid::into_bytes),
            hlc: Hlc(self.hlc),
            catalogue_version: self.catalogue_version,
            change,
        })
    }
}

impl RouteBody {
    fn spec(&self) -> Result<RouteSpec, String> {
        let range = range(&self.start, &self.start_base64, &self.end, &self.end_base64)
            .map_err(|error| format!("route {}: {error}", self.route_id))?;
        Ok(RouteSpec { route: self.route_id, range })
    }
}

pub(super) fn range(
    start: &Option<String>,
    start_base64: &Option<String>,
    end: &Option<String>,
    end_base64: &Option<String>,
) -> Result<KeyRange, String> {
    let key = |name: &str, text: &Option<String>, base64: &Option<String>| match (text, base64) {
        (Some(_), Some(_)) => Err(format!("give {name} or {name}_base64, not both")),
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| format!("{name}_base64 {base64:?}: {error}"))
        }
        (None, None) => Ok(Vec::new()),
    };
    KeyRange::new(key("start", start, start_base64)?, key("end", end, end_base64)?)
        .map_err(|error| error.to_string())
}
