//! Rows of a matrix and of a host's column as `Admin` shows them.
//!
//! Proof: `rows_test.rs`.

use keyviz_api::wire::admin as wire;
use keyviz_lineage::{Bucket, Column, Counts, Flags, KeyRange, LineageGraph, Row, Series};
use keyviz_query::{Matrix, MatrixRow};
use tonic::Status;

use super::identity::Identity;

pub(super) fn series_from_wire(series: i32) -> Result<Series, Status> {
    match wire::KeyVizSeries::try_from(series) {
        Ok(
            wire::KeyVizSeries::KeyvizSeriesUnspecified | wire::KeyVizSeries::KeyvizSeriesWrites,
        ) => Ok(Series::Writes),
        Ok(wire::KeyVizSeries::KeyvizSeriesReads) => Ok(Series::Reads),
        Ok(wire::KeyVizSeries::KeyvizSeriesReadBytes) => Ok(Series::ReadBytes),
        Ok(wire::KeyVizSeries::KeyvizSeriesWriteBytes) => Ok(Series::WriteBytes),
        Err(_) => Err(Status::invalid_argument(format!(
            "series {series} is unknown; use 1 reads, 2 writes, 3 read bytes or 4 write bytes"
        ))),
    }
}

fn series_to_wire(series: Series) -> i32 {
    match series {
        Series::Reads => wire::KeyVizSeries::KeyvizSeriesReads,
        Series::Writes => wire::KeyVizSeries::KeyvizSeriesWrites,
        Series::ReadBytes => wire::KeyVizSeries::KeyvizSeriesReadBytes,
        Series::WriteBytes => wire::KeyVizSeries::KeyvizSeriesWriteBytes,
    }
    .into()
}

/// Of reads it is not known whether the leader served them.
fn roles(series: Series) -> Vec<i32> {
    if series.is_write() { vec![wire::SampleRole::LeaderWrite.into()] } else { Vec::new() }
}

pub(super) fn matrix_to_wire(
    matrix: &Matrix,
    identity: &Identity<'_>,
) -> wire::GetKeyVizMatrixResponse {
    let row = |row: &MatrixRow| {
        let cells = &row.cells;
        let is_soft = cells.iter().any(|cell| cell.flags.has(Flags::SOFT));
        let (raft_group_ids, leader_terms) = match row.lineage {
            Some(lineage) if !row.aggregate => {
                identity.of(lineage, &matrix.columns_ms, matrix.step_ms)
            }
            _ => (Vec::new(), Vec::new()),
        };
        wire::KeyVizRow {
            bucket_id: row.bucket_id.clone(),
            start: row.range.start().to_vec().into(),
            end: row.range.end().to_vec().into(),
            label: String::new(),
            aggregate: row.aggregate,
            route_ids: row.routes.clone(),
            route_ids_truncated: row.route_count > row.routes.len() as u64,
            route_count: row.route_count,
            sample_roles: roles(matrix.series),
            lineage_id: row.lineage.map(|id| id.to_string()).unwrap_or_default(),
            values: cells.iter().map(|cell| cell.counted.saturating_add(cell.inherited)).collect(),
            soft_columns: if is_soft {
                cells.iter().map(|cell| cell.flags.has(Flags::SOFT)).collect()
            } else {
                Vec::new()
            },
            raft_group_ids,
            leader_terms,
        }
    };
    wire::GetKeyVizMatrixResponse {
        column_unix_ms: matrix.columns_ms.iter().map(|&ms| ms as i64).collect(),
        rows: matrix.rows.iter().map(row).collect(),
    }
}

/// One message for each series in which something was counted; one of writes where nothing was, as
/// that it was recorded is news.
pub(super) fn column_to_wire(column: &Column, graph: &LineageGraph) -> Vec<wire::KeyVizColumn> {
    let of_series = |series: Series| {
        let rows = column.rows.iter().filter_map(|row| row_to_wire(row, series, graph));
        let buckets = column.buckets.iter().filter_map(|bucket| bucket_to_wire(bucket, series));
        wire::KeyVizColumn {
            column_unix_ms: column.window.start_ms as i64,
            series: series_to_wire(series),
            rows: rows.chain(buckets).collect(),
        }
    };
    let mut columns: Vec<_> = Series::ALL.into_iter().map(of_series).collect();
    if columns.iter().all(|column| column.rows.is_empty()) {
        columns.retain(|column| column.series == series_to_wire(Series::Writes));
    } else {
        columns.retain(|column| !column.rows.is_empty());
    }
    columns
}

fn row_to_wire(row: &Row, series: Series, graph: &LineageGraph) -> Option<wire::KeyVizRow> {
    let value = row.counts.get(series);
    let lineage = graph.live_route(row.group, row.route);
    let row_of = |value| wire::KeyVizRow {
        bucket_id: format!("route:{}", row.route),
        route_ids: vec![row.route],
        route_count: 1,
        lineage_id: lineage.map(|record| record.id.to_string()).unwrap_or_default(),
        raft_group_ids: vec![row.group],
        leader_terms: vec![row.term],
        ..bare(&row.range, series, value, row.flags)
    };
    (value > 0).then(|| row_of(value))
}

fn bucket_to_wire(bucket: &Bucket, series: Series) -> Option<wire::KeyVizRow> {
    let mut counts = Counts::default();
    let mut flags = Flags::NONE;
    for part in &bucket.parts {
        counts.add(&part.counts);
        flags = Flags(flags.0 | part.flags.0);
    }
    let value = counts.get(series);
    let row_of = |value| wire::KeyVizRow {
        bucket_id: format!("virtual:{}", bucket.id()),
        aggregate: true,
        route_ids: bucket.members.clone(),
        route_ids_truncated: bucket.member_count > bucket.members.len() as u64,
        route_count: bucket.member_count,
        ..bare(&bucket.range, series, value, flags)
    };
    (value > 0).then(|| row_of(value))
}

fn bare(range: &KeyRange, series: Series, value: u64, flags: Flags) -> wire::KeyVizRow {
    wire::KeyVizRow {
        start: range.start().to_vec().into(),
        end: range.end().to_vec().into(),
        sample_roles: roles(series),
        values: vec![value],
        soft_columns: if flags.has(Flags::SOFT) { vec![true] } else { Vec::new() },
        ..wire::KeyVizRow::default()
    }
}

#[cfg(test)]
#[path = "rows_test.rs"]
mod rows_test;
