//! Questions over gRPC.

use std::sync::Arc;

use keyviz_api::wire::history as wire;
use keyviz_api::wire::history::history_service_server::HistoryService;
use keyviz_lineage::{Flags, KeyRange, LineageId, Series, Step};
use keyviz_query::biography::Subject;
use keyviz_query::{Continuity, MAX_ROWS, Matrix, MatrixRequest, MatrixRow, RowSet};
use keyviz_replica::Event;
use tonic::{Request, Response, Status};

use super::status;
use crate::biography;
use crate::fan_out::Answered;
use crate::hot_keys::{DEFAULT_TOP, MAX_TOP, Question, Routes};
use crate::node::Node;
use crate::top;

pub(super) struct History {
    node: Arc<Node>,
}

impl History {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl HistoryService for History {
    async fn get_matrix(
        &self,
        request: Request<wire::GetMatrixRequest>,
    ) -> Result<Response<wire::GetMatrixResponse>, Status> {
        let own_only = request.get_ref().own_only;
        let request = request_from_wire(request.get_ref())?;
        let answered = match own_only {
            true => self.node.own_matrix(request).await,
            false => self.node.matrix(request).await,
        };
        let answered = answered.map_err(|error| status(&error))?;
        let written = self.node.written(answered, |answered| answer_to_wire(&answered)).await;
        Ok(Response::new(written.map_err(|error| status(&error))?))
    }

    async fn get_lineage(
        &self,
        request: Request<wire::GetLineageRequest>,
    ) -> Result<Response<wire::GetLineageResponse>, Status> {
        let request = request.into_inner();
        let by_key = request.by_key || !request.key.is_empty();
        let subject = match (request.lineage_id.as_str(), request.route_id, by_key) {
            (id, 0, false) if !id.is_empty() => Subject::Lineage(lineage_id(id)?),
            ("", route, false) if route != 0 => Subject::Route(route),
            ("", 0, true) if request.by_key => Subject::Key(request.key.to_vec()),
            _ => {
                return Err(Status::invalid_argument(
                    "give one of lineage_id, route_id, or key with by_key",
                ));
            }
        };
        let from_ms = open_time("from_unix_ms", request.from_unix_ms)?.unwrap_or(0);
        let to_ms = open_time("to_unix_ms", request.to_unix_ms)?.unwrap_or(u64::MAX);
        let depth = biography::depth_from_wire(request.depth);
        let found = self.node.biography(subject, (from_ms, to_ms), depth).await;
        let found = found.map_err(|error| status(&error))?;
        Ok(Response::new(found.into_wire(request.text_only)))
    }

    async fn get_hot_keys(
        &self,
        request: Request<wire::GetHotKeysRequest>,
    ) -> Result<Response<wire::GetHotKeysResponse>, Status> {
        let request = request.into_inner();
        let question = question_from_wire(&request)?;
        let lineage = match request.lineage_id.as_str() {
            "" => None,
            id => Some(lineage_id(id)?),
        };
        let answer = self.node.hot_keys(question, lineage).await;
        Ok(Response::new(answer.map_err(|error| status(&error))?))
    }

    async fn get_top(
        &self,
        request: Request<wire::GetTopRequest>,
    ) -> Result<Response<wire::GetTopResponse>, Status> {
        let question = top_from_wire(request.get_ref())?;
        let answer = self.node.top(question).await.map_err(|error| status(&error))?;
        Ok(Response::new(top::to_wire(&answer)))
    }

    async fn get_events(
        &self,
        request: Request<wire::GetEventsRequest>,
    ) -> Result<Response<wire::GetEventsResponse>, Status> {
        let request = request.into_inner();
        let from_ms = open_time("from_unix_ms", request.from_unix_ms)?.unwrap_or(0);
        let to_ms = open_time("to_unix_ms", request.to_unix_ms)?;
        let to_ms = to_ms.unwrap_or_else(|| self.node.clock.unix_ms());
        let found = self.node.events(from_ms, to_ms).await.map_err(|error| status(&error))?;
        let events = found.into_iter().map(event_to_wire).collect();
        Ok(Response::new(wire::GetEventsResponse { events }))
    }
}

fn event_to_wire(event: Event) -> wire::RangeEvent {
    wire::RangeEvent {
        unix_ms: event.unix_ms as i64,
        kind: event.kind.name().to_owned(),
        group_id: event.group,
        lineage_ids: event.lineages.iter().map(ToString::to_string).collect(),
        route_ids: event.routes,
        text: event.text,
    }
}

fn top_from_wire(request: &wire::GetTopRequest) -> Result<top::Question, Status> {
    let against_from_ms = open_time("against_from_unix_ms", request.against_from_unix_ms)?;
    let against_to_ms = open_time("against_to_unix_ms", request.against_to_unix_ms)?;
    Ok(top::Question {
        series: series_from_wire(request.series()),
        from_ms: open_time("from_unix_ms", request.from_unix_ms)?,
        to_ms: open_time("to_unix_ms", request.to_unix_ms)?,
        against_ms: top::Question::against(against_from_ms, against_to_ms)
            .map_err(Status::invalid_argument)?,
        range: KeyRange::new(&request.start[..], &request.end[..])
            .map_err(|error| Status::invalid_argument(error.to_string()))?,
        limit: top::Question::limit(request.limit as usize),
    })
}

fn lineage_id(id: &str) -> Result<LineageId, Status> {
    id.parse().map_err(|error| Status::invalid_argument(format!("lineage_id {id:?}: {error}")))
}

fn question_from_wire(request: &wire::GetHotKeysRequest) -> Result<Question, Status> {
    let (from_ms, to_ms) = (
        open_time("from_unix_ms", request.from_unix_ms)?,
        open_time("to_unix_ms", request.to_unix_ms)?,
    );
    let has_span = from_ms.is_some() || to_ms.is_some();
    let given = |id: u64| Some(id).filter(|&id| id != 0);
    Ok(Question {
        series: series_from_wire(request.series()),
        routes: Routes {
            route: given(request.route_id),
            group: given(request.group_id),
            bounds: None,
        },
        range: KeyRange::new(&request.start[..], &request.end[..])
            .map_err(|error| Status::invalid_argument(error.to_string()))?,
        top: match request.top as usize {
            0 => DEFAULT_TOP,
            top => top.min(MAX_TOP),
        },
        span_ms: has_span.then(|| (from_ms.unwrap_or(0), to_ms.unwrap_or(u64::MAX))),
    })
}

pub(crate) const fn series_from_wire(series: wire::Series) -> Series {
    match series {
        wire::Series::Unspecified | wire::Series::Writes => Series::Writes,
        wire::Series::Reads => Series::Reads,
        wire::Series::ReadBytes => Series::ReadBytes,
        wire::Series::WriteBytes => Series::WriteBytes,
    }
}

pub(crate) const fn series_to_wire(series: Series) -> wire::Series {
    match series {
        Series::Reads => wire::Series::Reads,
        Series::Writes => wire::Series::Writes,
        Series::ReadBytes => wire::Series::ReadBytes,
        Series::WriteBytes => wire::Series::WriteBytes,
    }
}

/// 0 = open; negative is an error.
pub(super) fn open_time(field: &str, unix_ms: i64) -> Result<Option<u64>, Status> {
    match u64::try_from(unix_ms) {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(ms)),
        Err(_) => Err(Status::invalid_argument(format!(
            "{field} {unix_ms} is negative; use Unix milliseconds, 0 = open"
        ))),
    }
}

fn request_from_wire(request: &wire::GetMatrixRequest) -> Result<MatrixRequest, Status> {
    let invalid = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
    let series = series_from_wire(request.series());
    let row_set = match request.row_set() {
        wire::RowSet::Unspecified | wire::RowSet::AsOfTo => RowSet::AsOfTo,
        wire::RowSet::AsOfFrom => RowSet::AsOfFrom,
        wire::RowSet::AsOfTime => {
            RowSet::AsOf(open_time("as_of_unix_ms", request.as_of_unix_ms)?.unwrap_or(0))
        }
        wire::RowSet::Union => RowSet::Union,
    };
    let continuity = match request.continuity() {
        wire::Continuity::Unspecified | wire::Continuity::Inherit => Continuity::Inherit,
        wire::Continuity::Apportion => Continuity::Apportion,
    };
    Ok(MatrixRequest {
        series,
        from_ms: open_time("from_unix_ms", request.from_unix_ms)?,
        to_ms: open_time("to_unix_ms", request.to_unix_ms)?,
        range: KeyRange::new(&request.start[..], &request.end[..])
            .map_err(|error| invalid(&error))?,
        rows: Some(match request.rows as usize {
            0 => MAX_ROWS,
            rows => rows.min(MAX_ROWS),
        }),
        step: match request.step_ms {
            0 => None,
            step_ms => Some(Step::from_ms(step_ms).map_err(|error| invalid(&error))?),
        },
        row_set,
        continuity,
    })
}

fn answer_to_wire(answered: &Answered) -> wire::GetMatrixResponse {
    let mut response = matrix_to_wire(&answered.matrix);
    let Some(report) = &answered.fan_out else { return response };
    for (row, held) in response.rows.iter_mut().zip(&answered.matrix.rows) {
        row.degraded = report.is_degraded(&held.groups);
    }
    let nodes = report.nodes.iter().map(|node| wire::FanoutNode {
        node: node.node.clone(),
        ok: node.error.is_none(),
        error: node.error.clone().unwrap_or_default(),
    });
    response.fanout = Some(wire::Fanout {
        nodes: nodes.collect(),
        responded: report.responded() as u32,
        expected: report.nodes.len() as u32,
        degraded_groups: report.degraded_groups.iter().copied().collect(),
        all_groups_healthy: report.degraded_groups.is_empty(),
    });
    response
}

fn matrix_to_wire(matrix: &Matrix) -> wire::GetMatrixResponse {
    let totals = &matrix.totals;
    wire::GetMatrixResponse {
        series: series_to_wire(matrix.series).into(),
        step_ms: matrix.step_ms,
        recorded_step_ms: matrix.recorded_step_ms,
        tier: matrix.tier_name().to_owned(),
        column_unix_ms: matrix.columns_ms.iter().map(|&ms| ms as i64).collect(),
        rows: matrix
            .rows
            .iter()
            .map(|row| row_to_wire(row, matrix.step_ms > matrix.recorded_step_ms))
            .collect(),
        column_totals: Some(wire::ColumnTotals {
            recorded: totals.iter().map(|total| total.recorded).collect(),
            counted: totals.iter().map(|total| total.counted).collect(),
            inherited: totals.iter().map(|total| total.inherited).collect(),
            unattributed: totals.iter().map(|total| total.unattributed).collect(),
        }),
        flag_names: Flags::NAMES.iter().map(|(_, name)| (*name).to_owned()).collect(),
        status: matrix.status().to_owned(),
        warnings: matrix.warnings.clone(),
        fanout: None,
    }
}

fn row_to_wire(row: &MatrixRow, coarse: bool) -> wire::MatrixRow {
    let cells = &row.cells;
    let (inherited, flagged) = (cells.has_inherited(), !cells.flags().is_none());
    wire::MatrixRow {
        bucket_id: row.bucket_id.clone(),
        start: row.range.start().to_vec().into(),
        end: row.range.end().to_vec().into(),
        aggregate: row.aggregate,
        route_ids: row.routes.clone(),
        route_count: row.route_count,
        lineage_id: row.lineage.map(|id| id.to_string()).unwrap_or_default(),
        raft_group_ids: row.groups.clone(),
        closed: row.closed,
        valid_from_unix_ms: row.valid_from_ms as i64,
        valid_to_unix_ms: row.valid_to_ms.map_or(0, |ms| ms as i64),
        values: cells.iter().map(|cell| cell.counted.saturating_add(cell.inherited)).collect(),
        max: if coarse { cells.iter().map(|cell| cell.max).collect() } else { Vec::new() },
        inherited: if inherited {
            cells.iter().map(|cell| cell.inherited).collect()
        } else {
            Vec::new()
        },
        flags: if flagged {
            cells.iter().map(|cell| u32::from(cell.flags.0)).collect()
        } else {
            Vec::new()
        },
        states: cells.states().iter().map(|&state| state as u8).collect::<Vec<u8>>().into(),
        degraded: false,
    }
}
