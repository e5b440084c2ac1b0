//! The ranges with the most traffic, or that changed the most, as both ports answer it.
//!
//! Responsible for: the two questions to the matrix, the windows in which the peaks are looked for
//! ([`Node::top`]), and the one form of the answer ([`to_wire`], [`to_json`]).
//! Must not: rank anything ([`keyviz_query::top`] does).
//! Proof: `tests/tests/top.rs` with a real process; the rule beside its module.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{Flags, HOUR_MS, KeyRange, Series};
use keyviz_query::QueryError;
use keyviz_query::top::{self, Top, TopRow, Traffic, Window};
use serde_json::{Value, json};

use crate::node::{Node, NodeError};

/// Unless asked for otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 20;
/// The most ranges of an answer.
pub(crate) const MAX_LIMIT: usize = 1_024;
/// Ranges whose peak is looked for in the recorded windows; of the others it is known within a column.
const PLACED_PEAKS: usize = 32;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) series: Series,
    /// `None` = an hour before the end.
    pub(crate) from_ms: Option<u64>,
    /// `None` = now.
    pub(crate) to_ms: Option<u64>,
    pub(crate) against_ms: Option<(u64, u64)>,
    pub(crate) range: KeyRange,
    pub(crate) limit: usize,
}

impl Question {
    /// Of numbers where 0 is open.
    pub(crate) fn against(
        from_ms: Option<u64>,
        to_ms: Option<u64>,
    ) -> Result<Option<(u64, u64)>, &'static str> {
        match (from_ms, to_ms) {
            (None, None) => Ok(None),
            (Some(from_ms), Some(to_ms)) => Ok(Some((from_ms, to_ms))),
            _ => Err(
                "against_from_unix_ms and against_to_unix_ms go together: give both, or neither",
            ),
        }
    }

    pub(crate) const fn limit(asked: usize) -> usize {
        match asked {
            0 => DEFAULT_LIMIT,
            MAX_LIMIT.. => MAX_LIMIT,
            _ => asked,
        }
    }
}

impl Node {
    /// The ranges with the most traffic.
    pub(crate) async fn top(&self, question: Question) -> Result<Top, NodeError> {
        let Question { series, range, limit, .. } = question;
        let to_ms = question.to_ms.unwrap_or_else(|| self.clock.unix_ms());
        let from_ms = question.from_ms.unwrap_or_else(|| to_ms.saturating_sub(HOUR_MS));
        // Those alive at the end are ranked, in both windows.
        let at_ms = to_ms.saturating_sub(1);
        let ask = |span| self.matrix(top::request(series, span, range.clone(), at_ms));
        let now = ask((from_ms, to_ms)).await?;
        let before = match question.against_ms {
            Some(span) => Some(ask(span).await?),
            None => None,
        };
        let mut answer = top::top(&now, before.as_deref(), limit);
        // A peer that does not answer would be waited for anew with each of them.
        let is_whole = now.fan_out.as_ref().is_none_or(|of| of.responded() == of.nodes.len());
        let placed = if is_whole { PLACED_PEAKS } else { 0 };
        drop((now, before));
        for place in 0..answer.rows.len().min(placed) {
            let Some(finer) = top::peak_request(&answer, &answer.rows[place], at_ms) else {
                continue;
            };
            match self.matrix(finer).await {
                Ok(found) => top::place_peak(&mut answer.rows[place], &found),
                Err(NodeError::Query(QueryError::Store(error))) => {
                    answer.warnings.push(error.to_string());
                }
                // The finest columns are gone, or the node is busy: it stays known within a column.
                Err(NodeError::Query(_)) => {}
                Err(NodeError::Busy | NodeError::Waited) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }
}

const fn series_to_wire(series: Series) -> wire::Series {
    crate::query_cli::args::wire_series(series)
}

fn window_to_wire(window: &Window) -> wire::TopWindow {
    let span = |(from_ms, to_ms): (u64, u64)| wire::TimeSpan {
        from_unix_ms: from_ms as i64,
        to_unix_ms: to_ms as i64,
    };
    wire::TopWindow {
        span: Some(span((window.from_ms, window.to_ms))),
        step_ms: window.step_ms,
        recorded_step_ms: window.recorded_step_ms,
        total: window.total,
        unattributed: window.unattributed,
        gaps: window.gaps_ms.iter().copied().map(span).collect(),
    }
}

fn traffic_to_wire(traffic: &Traffic) -> wire::TopTraffic {
    wire::TopTraffic {
        total: traffic.total,
        apportioned: traffic.apportioned,
        share: traffic.share,
        rate: traffic.rate(),
        recorded_ms: traffic.recorded_ms,
        missing_ms: traffic.missing_ms,
        partial_ms: traffic.partial_ms,
        flags: u32::from(traffic.flags.0),
    }
}

fn row_to_wire(found: &TopRow) -> wire::TopRow {
    let row = &found.row;
    wire::TopRow {
        bucket_id: row.bucket_id.clone(),
        start: row.range.start().to_vec().into(),
        end: row.range.end().to_vec().into(),
        aggregate: row.aggregate,
        route_ids: row.routes.clone(),
        route_count: row.route_count,
        lineage_id: row.lineage.map(|id| id.to_string()).unwrap_or_default(),
        raft_group_ids: row.groups.clone(),
        closed: row.closed,
        now: Some(traffic_to_wire(&found.now)),
        peak: found.peak.map(|peak| wire::TopPeak {
            from_unix_ms: peak.from_ms as i64,
            within_ms: peak.within_ms,
            value: peak.value,
            is_lower_bound: peak.is_lower_bound,
        }),
        before: found.before.as_ref().map(traffic_to_wire),
        change: found.before.map_or("", |_| change(found.factor())).to_owned(),
        factor: found.factor().filter(|factor| factor.is_finite()),
        difference: found.difference(),
    }
}

fn change(factor: Option<f64>) -> &'static str {
    match factor {
        None => "unknown",
        Some(f64::INFINITY) => "new",
        Some(0.0) => "gone",
        Some(factor) if factor > 1.0 => "grew",
        Some(factor) if factor < 1.0 => "fell",
        Some(_) => "same",
    }
}

/// The answer as a message.
pub(crate) fn to_wire(top: &Top) -> wire::GetTopResponse {
    wire::GetTopResponse {
        series: series_to_wire(top.series).into(),
        now: Some(window_to_wire(&top.now)),
        before: top.before.as_ref().map(window_to_wire),
        rows: top.rows.iter().map(row_to_wire).collect(),
        left_out: top.left_out,
        flag_names: Flags::NAMES.iter().map(|(_, name)| (*name).to_owned()).collect(),
        status: if top.warnings.is_empty() { "OK" } else { "PARTIAL" }.to_owned(),
        warnings: top.warnings.clone(),
    }
}

/// The message as JSON.
pub(crate) fn to_json(answer: &wire::GetTopResponse) -> Value {
    let names = |flags: u32| -> Vec<&str> {
        let named = answer.flag_names.iter().enumerate();
        named.filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| name.as_str()).collect()
    };
    let span = |span: &wire::TimeSpan| json!({ "from_unix_ms": span.from_unix_ms, "to_unix_ms": span.to_unix_ms });
    let window = |window: &wire::TopWindow| {
        let whole = window.span.unwrap_or_default();
        json!({
            "from_unix_ms": whole.from_unix_ms,
            "to_unix_ms": whole.to_unix_ms,
            "step_ms": window.step_ms,
            "recorded_step_ms": window.recorded_step_ms,
            "total": window.total,
            "unattributed": window.unattributed,
            "gaps": window.gaps.iter().map(span).collect::<Vec<_>>(),
        })
    };
    let traffic = |traffic: &wire::TopTraffic| {
        json!({
            "total": traffic.total,
            "apportioned": traffic.apportioned,
            "share": traffic.share,
            "rate": traffic.rate,
            "recorded_ms": traffic.recorded_ms,
            "missing_ms": traffic.missing_ms,
            "partial_ms": traffic.partial_ms,
            "flags": names(traffic.flags),
        })
    };
    let key = |key: &[u8]| (!key.is_empty()).then(|| STANDARD.encode(key));
    let row = |(place, row): (usize, &wire::TopRow)| {
        json!({
            "rank": place + 1,
            "bucket_id": row.bucket_id,
            "start": key(&row.start),
            "end": key(&row.end),
            "aggregate": row.aggregate,
            "route_ids": row.route_ids,
            "route_count": row.route_count,
            "lineage_id": Some(&row.lineage_id).filter(|id| !id.is_empty()),
            "raft_group_ids": row.raft_group_ids,
            "closed": row.closed,
            "now": row.now.as_ref().map(traffic),
            "peak": row.peak.map(|peak| json!({
                "from_unix_ms": peak.from_unix_ms,
                "within_ms": peak.within_ms,
                "value": peak.value,
                "is_lower_bound": peak.is_lower_bound,
            })),
            "before": row.before.as_ref().map(traffic),
            "change": Some(&row.change).filter(|change| !change.is_empty()),
            "factor": row.factor,
            "difference": row.difference,
        })
    };
    json!({
        "series": answer.series().as_str_name().trim_start_matches("SERIES_").to_lowercase(),
        "now": answer.now.as_ref().map(window),
        "before": answer.before.as_ref().map(window),
        "rows": answer.rows.iter().enumerate().map(row).collect::<Vec<_>>(),
        "left_out": answer.left_out,
        "status": answer.status,
        "warnings": answer.warnings,
    })
}
