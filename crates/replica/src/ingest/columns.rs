//! Columns on their way in: judged, placed, logged.
//!
//! Must not: show anything to readers (the commit does).
//! Proof: `recorder_test.rs`, `bucket_test.rs`, `placement_test.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use keyviz_codec::column_record::{self, ColumnRecord};
use keyviz_lineage::hlc::MAX_AHEAD_MS;
use keyviz_lineage::{Change, Column, GroupId, RouteId, SourceId, Transition};
use keyviz_wal::WalError;

use super::{Effect, FLAG_ROWS_LEFT_OUT, Ingest, KIND_COLUMN, Taken, Verdict};
use crate::admit::{self, Admitted};
use crate::command::Command;
use crate::counters::Counters;
use crate::memory::Arrival;
use crate::placement::{Placement, Placing};

/// A column with the lineages of its rows.
struct Placed {
    arrival: Arrival,
    /// Its record, without the rows that are refused.
    payload: Vec<u8>,
    refused: Vec<(RouteId, String)>,
}

impl Ingest {
    pub(super) fn take_column(
        &mut self,
        source: &SourceId,
        sequence: u64,
        column: &Column,
        payload: Vec<u8>,
    ) -> Taken {
        if let Some(reason) = self.untimely(column) {
            return self.refuse(source, sequence, reason);
        }
        let placed = self.place(source, sequence, column, payload)?;
        let Placed { arrival, payload, refused } = placed;
        Counters::add(&self.shared.counters.refused_rows, refused.len() as u64);
        let flags = if refused.is_empty() { 0 } else { FLAG_ROWS_LEFT_OUT };
        let wal_sequence = match self.log(KIND_COLUMN, flags, &payload) {
            Err(WalError::RecordTooLarge { bytes, max_record_bytes }) => {
                let reason = format!(
                    "the column takes {bytes} bytes, a WAL record holds {max_record_bytes}; send fewer rows a column, or raise --wal-max-bytes"
                );
                return self.refuse(source, sequence, reason);
            }
            logged => logged.map_err(|error| error.to_string())?,
        };
        self.shed.lock().column(wal_sequence, source, sequence, column);
        let rows = arrival.placement.placed();
        let verdict = Verdict::Stored { rows, refused_rows: refused };
        Ok((verdict, Some(Effect::Column { wal_sequence, arrival })))
    }

    /// Finds the lineages of the rows.
    fn place(
        &mut self,
        source: &SourceId,
        sequence: u64,
        column: &Column,
        mut payload: Vec<u8>,
    ) -> Result<Placed, String> {
        let unreadable = |error: keyviz_codec::CodecError| error.to_string();
        let record = ColumnRecord::parse(&payload).map_err(unreadable)?;
        let (from_ms, until_ms) = (column.window.start_ms, column.window.end_ms());
        let graph = self.shared.machine.graph();
        let placing =
            Placing { graph: &graph, window: column.window, trusted: false, left_out: &[] };
        if let Some(placement) = self.placements.of(&record, placing) {
            self.shared.machine.note_recorded(&[], from_ms, until_ms);
            let arrival = Arrival::of(&record, placement).map_err(unreadable)?;
            return Ok(Placed { arrival, payload, refused: Vec::new() });
        }
        // The graph is changed in place where nobody else holds it.
        drop(graph);
        let mut admitted = self.admit(column)?;
        self.shared.machine.note_recorded(&admitted.strays, from_ms, until_ms);
        let refused = std::mem::take(&mut admitted.refused);
        if refused.is_empty() {
            let placement = Arc::new(Placement::new(&record, column, &admitted, Vec::new()));
            self.placements.keep(source, Arc::clone(&placement));
            let arrival = Arrival::of(&record, placement).map_err(unreadable)?;
            return Ok(Placed { arrival, payload, refused });
        }
        let both = column.rows.iter().zip(&admitted.lineages);
        let rows = both.filter(|(_, lineage)| lineage.is_some()).map(|(row, _)| row.clone());
        let column = Column { rows: rows.collect(), ..column.clone() };
        admitted.lineages.retain(Option::is_some);
        payload = column_record::encode(source, sequence, &column);
        let record = ColumnRecord::parse(&payload).map_err(unreadable)?;
        let placement = Arc::new(Placement::new(&record, &column, &admitted, Vec::new()));
        let arrival = Arrival::of(&record, placement).map_err(unreadable)?;
        Ok(Placed { arrival, payload, refused })
    }

    /// Why a column's time keeps it out, if it does.
    fn untimely(&self, column: &Column) -> Option<String> {
        let now_ms = self.shared.clock.unix_ms();
        let (start_ms, counters) = (column.window.start_ms, &self.shared.counters);
        let oldest_ms = self.shared.store.retention().oldest_ms_at(now_ms);
        if start_ms < oldest_ms {
            Counters::add(&counters.late_columns, 1);
            return Some(format!(
                "window {start_ms} is older than the retention, which begins at {oldest_ms}; raise --retention, or shift the trace to now"
            ));
        }
        if start_ms > now_ms.saturating_add(MAX_AHEAD_MS) {
            Counters::add(&counters.future_columns, 1);
            return Some(format!(
                "window {start_ms} is more than 5 minutes ahead of this node's clock ({now_ms}); check the sender's clock"
            ));
        }
        None
    }

    /// Places every row, backfilling routes that keyviz has not met.
    fn admit(&mut self, column: &Column) -> Result<Admitted, String> {
        let place =
            |ingest: &Self| admit::place(&ingest.shared.machine.graph(), column, false, &[]);
        let first = place(self);
        if first.unknown.is_empty() {
            return Ok(first);
        }
        let mut by_group: HashMap<GroupId, Vec<Transition>> = HashMap::new();
        for row in first.unknown.iter().map(|&at| &column.rows[at]) {
            let (hlc, proposal) = self.issuer.draw(1).map_err(|error| error.to_string())?;
            by_group.entry(row.group).or_default().push(admit::backfill(row, hlc, proposal));
        }
        let mut reasons: HashMap<(GroupId, RouteId), String> = HashMap::new();
        for (group, transitions) in by_group {
            let routes: Vec<RouteId> = transitions.iter().map(backfilled_route).collect();
            let results = self.propose(group, Command::Transitions(transitions))?.transitions;
            for (route, result) in routes.into_iter().zip(results) {
                match result {
                    Ok(_) => Counters::add(&self.shared.counters.backfills, 1),
                    Err(error) => {
                        let reason = format!("its bounds contradict what is known: {error}");
                        reasons.insert((group, route), reason);
                    }
                }
            }
        }
        let mut admitted = place(self);
        for at in std::mem::take(&mut admitted.unknown) {
            let row = &column.rows[at];
            let reason = reasons.get(&(row.group, row.route)).cloned();
            admitted.refused.push((
                row.route,
                reason.unwrap_or_else(|| "no lineage has these bounds".to_owned()),
            ));
        }
        Ok(admitted)
    }
}

fn backfilled_route(transition: &Transition) -> RouteId {
    match &transition.change {
        Change::Backfill { route } => route.route,
        _ => 0,
    }
}
