//! Outlines, plans and cells on the wire between nodes: values as they are stored, in the messages of
//! `peer.proto`.
//!
//! Invariants: what a peer says is checked before it is believed; what does not decode is an error that
//! says what it was.
//! Must not: decide anything.
//! Proof: `wire_test.rs`: what was told is what is heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keyviz_api::wire::history as wire;
use keyviz_codec::marks::Member;
use keyviz_codec::rollup::{Chunk, Columns, Entry, MAX_WINDOWS, SLOTS, Summary, Tier};
use keyviz_codec::{BlockRoom, BucketIndex, CodecError, Coverage, HourBlocks, lineage_record};
use keyviz_lineage::{Flags, GroupId, KeyRange, LineageId, LineageRecord, Step};
use keyviz_query::fan_out::{Cells, GroupOutline, HourRollups, Outline, Plan};
use thiserror::Error;
use uuid::Uuid;

/// Records and blocks in one message, at most: far below what a message may have.
const BATCH_BYTES: usize = 1 << 20;
/// The longest stretch of hours that is told: 20 years.
const MAX_HOURS: u64 = 20 * 366 * 24;

/// Why what a node said cannot be understood.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub(crate) enum Unclear {
    #[error("{0}")]
    Value(#[from] CodecError),
    #[error("{0} is not what it should be")]
    Field(&'static str),
    #[error("it began without a head")]
    Headless,
}

type OutlineMessage = wire::get_outline_response::Message;
type CellsMessage = wire::get_cells_response::Message;

fn outline_message(message: OutlineMessage) -> wire::GetOutlineResponse {
    wire::GetOutlineResponse { message: Some(message) }
}

fn cells_message(message: CellsMessage) -> wire::GetCellsResponse {
    wire::GetCellsResponse { message: Some(message) }
}

/// An outline as messages; without its records where `known` is their tag.
pub(crate) fn outline_to_wire(
    outline: &Outline,
    instance: Uuid,
    tag: &[u8],
    known: &[u8],
) -> Vec<wire::GetOutlineResponse> {
    let records_unchanged = known == tag;
    let strays = outline.strays.iter().map(|&(id, (from_ms, to_ms))| wire::RecordedOutside {
        lineage_id: id.as_bytes().to_vec().into(),
        from_unix_ms: from_ms,
        to_unix_ms: to_ms,
    });
    let head = wire::OutlineHead {
        instance: instance.as_bytes().to_vec().into(),
        oldest_unix_ms: outline.oldest_ms,
        oldest_rollup_unix_ms: outline.oldest_rollup_ms,
        default_step_ms: outline.default_step.ms(),
        records_tag: tag.to_vec().into(),
        records_unchanged,
        strays: strays.collect(),
    };
    let mut messages = vec![outline_message(OutlineMessage::Head(head))];
    for (&group_id, group) in &outline.groups {
        messages.push(outline_message(OutlineMessage::Group(group_to_wire(group_id, group))));
    }
    if records_unchanged {
        return messages;
    }
    let (mut batch, mut bytes) = (wire::LineageRecords::default(), 0);
    for record in outline.records.iter() {
        let value = lineage_record::encode(record);
        bytes += value.len();
        batch.values.push(value.into());
        if bytes >= BATCH_BYTES {
            messages.push(outline_message(OutlineMessage::Records(std::mem::take(&mut batch))));
            bytes = 0;
        }
    }
    messages.push(outline_message(OutlineMessage::Records(batch)));
    messages
}

fn group_to_wire(group_id: GroupId, group: &GroupOutline) -> wire::GroupOutline {
    let value = |hour: u64, value: Vec<u8>| wire::HourValue { hour, value: value.into() };
    let members = group.members.iter().map(|(node, member)| {
        let spans = member.spans.iter();
        let spans =
            spans.map(|&(from, left)| wire::MemberSpan { from_unix_ms: from, left_unix_ms: left });
        wire::GroupMember { node_id: node.clone(), spans: spans.collect() }
    });
    let unread = group.unread.iter();
    wire::GroupOutline {
        group_id,
        members: members.collect(),
        coverage: group.coverage.iter().map(|(hour, held)| value(*hour, held.encode())).collect(),
        buckets: group.buckets.iter().map(|(hour, held)| value(*hour, held.encode())).collect(),
        unread: unread
            .map(|(hour, error)| wire::UnreadHour { hour: *hour, error: error.clone() })
            .collect(),
    }
}

/// An outline on its way in.
#[derive(Default)]
pub(crate) struct OutlineHeard {
    head: Option<wire::OutlineHead>,
    groups: BTreeMap<GroupId, GroupOutline>,
    records: Vec<LineageRecord>,
}

/// A whole outline.
pub(crate) struct HeardOutline {
    pub(crate) instance: Vec<u8>,
    pub(crate) records_tag: Vec<u8>,
    pub(crate) outline: Arc<Outline>,
}

impl OutlineHeard {
    pub(crate) fn take(&mut self, response: wire::GetOutlineResponse) -> Result<(), Unclear> {
        match response.message {
            Some(OutlineMessage::Head(head)) => self.head = Some(head),
            Some(OutlineMessage::Group(group)) => {
                self.groups.insert(group.group_id, group_from_wire(group)?);
            }
            Some(OutlineMessage::Records(records)) => {
                for value in records.values {
                    self.records.push(lineage_record::decode(&value)?);
                }
            }
            // Newer than this node.
            None => {}
        }
        Ok(())
    }

    /// `known`: the records of the tag that was sent.
    pub(crate) fn end(
        self,
        known: Option<Arc<Vec<LineageRecord>>>,
    ) -> Result<HeardOutline, Unclear> {
        let head = self.head.ok_or(Unclear::Headless)?;
        let records = match head.records_unchanged {
            true => known.ok_or(Unclear::Field("records_unchanged"))?,
            false => Arc::new(self.records),
        };
        let strays = head
            .strays
            .iter()
            .map(|stray| Ok((uuid(&stray.lineage_id)?, (stray.from_unix_ms, stray.to_unix_ms))));
        let outline = Outline {
            oldest_ms: head.oldest_unix_ms,
            oldest_rollup_ms: head.oldest_rollup_unix_ms,
            default_step: Step::from_ms(head.default_step_ms)
                .map_err(|_| Unclear::Field("default_step_ms"))?,
            groups: self.groups,
            records,
            strays: strays.collect::<Result<_, Unclear>>()?,
        };
        Ok(HeardOutline {
            instance: head.instance.to_vec(),
            records_tag: head.records_tag.to_vec(),
            outline: Arc::new(outline),
        })
    }
}

fn group_from_wire(group: wire::GroupOutline) -> Result<GroupOutline, Unclear> {
    let members = group.members.into_iter().map(|member| {
        let spans = member.spans.iter().map(|span| (span.from_unix_ms, span.left_unix_ms));
        (member.node_id, Member { spans: spans.collect() })
    });
    let coverage =
        group.coverage.iter().map(|held| Ok((held.hour, Coverage::decode(&held.value)?)));
    let buckets =
        group.buckets.iter().map(|held| Ok((held.hour, BucketIndex::decode(&held.value)?)));
    Ok(GroupOutline {
        members: members.collect(),
        coverage: coverage.collect::<Result<_, CodecError>>()?,
        buckets: buckets.collect::<Result<_, CodecError>>()?,
        unread: group.unread.into_iter().map(|unread| (unread.hour, unread.error)).collect(),
    })
}

fn uuid(bytes: &[u8]) -> Result<Uuid, Unclear> {
    Uuid::from_slice(bytes).map_err(|_| Unclear::Field("an id"))
}

/// A plan as a request.
pub(crate) fn plan_to_wire(plan: &Plan) -> wire::GetCellsRequest {
    let shared = plan.shared.iter().filter(|(_, hours)| !hours.is_empty());
    wire::GetCellsRequest {
        series: crate::grpc::series_to_wire(plan.series).into(),
        rollup_windows: plan.tier.map_or(0, |tier| tier.windows() as u32),
        from_hour: *plan.hours.start(),
        to_hour: *plan.hours.end(),
        start: plan.range.start().to_vec().into(),
        end: plan.range.end().to_vec().into(),
        shared: shared
            .map(|(&group_id, hours)| wire::SharedHours {
                group_id,
                hours: hours.range(plan.hours.clone()).copied().collect(),
            })
            .collect(),
    }
}

/// A request as a plan.
pub(crate) fn plan_from_wire(request: &wire::GetCellsRequest) -> Result<Plan, Unclear> {
    let tier = match u8::try_from(request.rollup_windows) {
        Ok(0) => None,
        windows => {
            let tier = windows.ok().and_then(Tier::from_windows);
            Some(tier.ok_or(Unclear::Field("rollup_windows"))?)
        }
    };
    let (from, to) = (request.from_hour, request.to_hour);
    if from > to || to - from > MAX_HOURS || to > u64::from(u32::MAX) {
        return Err(Unclear::Field("the stretch of hours"));
    }
    let shared = request.shared.iter();
    let shared = shared.map(|held| (held.group_id, held.hours.iter().copied().collect()));
    Ok(Plan {
        series: crate::grpc::series_from_wire(request.series()),
        tier,
        hours: from..=to,
        range: KeyRange::new(&request.start[..], &request.end[..])
            .map_err(|_| Unclear::Field("the range"))?,
        shared: shared.collect::<BTreeMap<GroupId, BTreeSet<u64>>>(),
    })
}

/// Cells as messages.
pub(crate) fn cells_to_wire(cells: &Cells) -> Vec<wire::GetCellsResponse> {
    let (mut messages, mut room) = (Vec::new(), BlockRoom::default());
    let (mut batch, mut bytes) = (wire::Blocks::default(), 0);
    for (&(group_id, lineage), hours) in &cells.blocks {
        for (hour, blocks) in hours {
            let value = blocks.encode_in(&mut room);
            bytes += value.len();
            let lineage_id = lineage.as_bytes().to_vec().into();
            batch.hours.push(wire::LineageHour {
                group_id,
                lineage_id,
                hour: *hour,
                value: value.into(),
            });
            if bytes >= BATCH_BYTES {
                messages.push(cells_message(CellsMessage::Blocks(std::mem::take(&mut batch))));
                bytes = 0;
            }
        }
    }
    messages.push(cells_message(CellsMessage::Blocks(batch)));
    for (&group_id, rollups) in &cells.rollups {
        let rollups = rollups.iter().map(|held| rollups_to_wire(group_id, held));
        messages.extend(rollups.map(|rollups| cells_message(CellsMessage::Rollups(rollups))));
    }
    for (group_id, lineage, hour, error) in &cells.unread {
        let lineage_id = lineage.map(|id| id.as_bytes().to_vec()).unwrap_or_default().into();
        messages.push(cells_message(CellsMessage::Unread(wire::UnreadCells {
            group_id: *group_id,
            lineage_id,
            hour: *hour,
            error: error.clone(),
        })));
    }
    messages
}

/// Only the slots that were asked for.
fn rollups_to_wire(group_id: GroupId, held: &HourRollups) -> wire::Rollups {
    let columns = &held.columns;
    let mut chunk = Chunk::new(columns.tier());
    let wanted = |slot: &usize| {
        !held.lineages[*slot].is_nil()
            && columns.taken.contains(*slot)
            && !columns.uneven.contains(*slot)
    };
    for slot in (0..held.lineages.len().min(SLOTS)).filter(wanted) {
        let mut windows = [Summary::default(); MAX_WINDOWS];
        for (window, summary) in windows.iter_mut().enumerate().take(columns.tier().windows()) {
            let at = window * SLOTS + slot;
            let flags = columns.flags.get(at).copied().unwrap_or(Flags::NONE);
            *summary = Summary { sum: columns.sums[at], max: columns.maxima[at], flags };
        }
        chunk.set(slot, Some(Entry::Even(windows)));
    }
    let ids: Vec<u8> = held.lineages.iter().flat_map(|id| *id.as_bytes()).collect();
    wire::Rollups {
        group_id,
        hour: held.hour,
        lineage_ids: ids.into(),
        value: chunk.encode().into(),
    }
}

/// Takes one message of cells in.
pub(crate) fn take_cells(
    cells: &mut Cells,
    response: wire::GetCellsResponse,
) -> Result<(), Unclear> {
    match response.message {
        Some(CellsMessage::Blocks(blocks)) => {
            for held in blocks.hours {
                let (key, blocks) =
                    ((held.group_id, uuid(&held.lineage_id)?), HourBlocks::decode(&held.value)?);
                cells.blocks.entry(key).or_default().push((held.hour, blocks));
            }
        }
        Some(CellsMessage::Rollups(rollups)) => {
            if rollups.lineage_ids.len() > SLOTS * 16 {
                return Err(Unclear::Field("lineage_ids"));
            }
            let lineages: Result<Vec<LineageId>, Unclear> =
                rollups.lineage_ids.chunks(16).map(uuid).collect();
            let mut columns = Columns::default();
            columns.read(&rollups.value)?;
            let held = HourRollups { hour: rollups.hour, lineages: lineages?, columns };
            cells.rollups.entry(rollups.group_id).or_default().push(held);
        }
        Some(CellsMessage::Unread(unread)) => {
            let lineage = match unread.lineage_id.len() {
                0 => None,
                _ => Some(uuid(&unread.lineage_id)?),
            };
            cells.unread.push((unread.group_id, lineage, unread.hour, unread.error));
        }
        // Newer than this node.
        None => {}
    }
    Ok(())
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod wire_test;
