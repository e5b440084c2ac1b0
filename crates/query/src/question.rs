//! What a question means before any row is chosen: its times, its step, and who recorded when.

use std::collections::{BTreeMap, BTreeSet};

use keyviz_lineage::{GroupId, HOUR_MS, LineageGraph, Step, unix_hour};
use keyviz_store::History;

use crate::cast::Cast;
use crate::presence::{self, Presence};
use crate::span::{self, Reach, Span};
use crate::{MatrixRequest, QueryError, rows};

/// A question, settled.
pub(crate) struct Question {
    pub(crate) span: Span,
    pub(crate) presence: BTreeMap<GroupId, Presence>,
    /// The instant that the rows are taken at; `None` for the union.
    pub(crate) at_ms: Option<u64>,
    /// What of coverage and indexes cannot be read.
    pub(crate) warnings: Vec<String>,
}

impl Question {
    /// Settles `request`, and finds everybody that the answer may show. Groups without a lineage count as well: their sources may have met routes
    /// that they did not know.
    pub(crate) fn read<'a>(
        history: &dyn History,
        graph: &'a LineageGraph,
        request: &MatrixRequest,
    ) -> Result<(Self, Cast<'a>), QueryError> {
        let mut groups: BTreeSet<GroupId> = graph.groups().collect();
        groups.extend(history.groups()?);
        groups.insert(keyviz_codec::key_layout::NODE_GROUP);
        let now_ms = history.now_ms();
        let mut spans = Vec::new();
        for &group in &groups {
            spans.extend(history.members(group)?.into_iter().flat_map(|(_, member)| member.spans));
        }
        let expected = span::Expected::over(spans);
        let reach = Reach {
            now_ms,
            oldest_ms: history.oldest_ms(),
            oldest_rollup_ms: history.oldest_rollup_ms(),
        };
        let (from_ms, to_ms) = span::bounds(request, reach, expected)?;
        // The answer's step, which is not known yet, rounds outwards by no more than this.
        let coarsest = request
            .step
            .unwrap_or_else(|| Step::auto(Step::HOUR, from_ms, to_ms))
            .ms()
            .max(HOUR_MS);
        let hours =
            unix_hour(from_ms.saturating_sub(coarsest))..=unix_hour(to_ms.saturating_add(coarsest));
        let coverage = presence::read(history, &groups, &hours)?;
        let mut recorded = presence::recorded_steps(&coverage, from_ms, to_ms);
        let cut = |recorded: &BTreeSet<Step>| {
            let silent = BTreeSet::from([history.default_step()]);
            let units = if recorded.is_empty() { &silent } else { recorded };
            span::cut((from_ms, to_ms), request.step, units, reach)
        };
        let mut span = cut(&recorded)?;
        loop {
            // Rounding outwards can take in windows of a further step.
            let known = recorded.len();
            recorded.extend(presence::recorded_steps(&coverage, span.from_ms, span.to_ms));
            if recorded.len() == known {
                break;
            }
            span = cut(&recorded)?;
        }
        let damaged = coverage.values().flat_map(|group| &group.damaged);
        let mut warnings: Vec<String> = damaged
            .filter(|(hour, _)| span.hours().contains(hour))
            .map(|(_, error)| error.clone())
            .collect();
        let presence = coverage
            .iter()
            .map(|(&group, coverage)| (group, presence::of_group(coverage, &span, now_ms)))
            .collect();
        let at_ms = rows::instant(request.row_set, &span, to_ms);
        let cast = Cast::read(history, graph, &groups, &span, &mut warnings);
        Ok((Self { span, presence, at_ms, warnings }, cast))
    }
}
