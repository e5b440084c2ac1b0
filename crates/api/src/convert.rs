//! Wire <-> domain. Everything that arrives is hostile until it has passed through here.
//!
//! Invariant: a column that comes out has equal arrays, keys in bounds and passes
//! [`Column::validate`]; the error names the field, the row and what to do.
//! Proof: `convert_test.rs`.

use bytes::Bytes;
use keyviz_lineage::column::MAX_COLUMN_KEY_BYTES;
use keyviz_lineage::{
    Change, Column, ColumnError, Counts, Entry, Flags, Hlc, HotKeysError, KeyRange, KeyRangeError,
    ProposalId, RouteSpec, Row, SourceId, Step, StepError, Transition, Window,
};
use thiserror::Error;
use uuid::Uuid;

use crate::wire::ingest as wire;

mod bucket;
mod hot_keys;
mod live;

pub use hot_keys::{hot_keys_from_wire, hot_keys_to_wire};
pub use live::{live_from_wire, live_to_wire};

/// Why a message cannot be taken.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages name the fields
pub enum ConvertError {
    #[error("{field} is missing; every message carries it")]
    Missing { field: &'static str },
    #[error(
        "{field} has {got} elements, {reference} has {expected}: parallel arrays are equally long"
    )]
    UnequalArrays { field: &'static str, got: usize, reference: &'static str, expected: usize },
    #[error("{field} is {got} bytes long; it must be {expected}")]
    Length { field: &'static str, got: usize, expected: usize },
    #[error("{field} is {value}; Unix milliseconds are not negative")]
    NegativeTime { field: &'static str, value: i64 },
    #[error("bound {index} shares {shared} bytes with the key before it, which has {held}")]
    BoundShared { index: usize, shared: u32, held: usize },
    #[error(
        "the column's keys unfold to more than {limit} bytes; send fewer rows a column, or shorter bounds"
    )]
    TooLarge { limit: usize },
    #[error("bound {index} runs past the end of bound_suffixes, or is longer than 65,536 bytes")]
    BoundSuffix { index: usize },
    #[error("element {at}: {field} {index} points behind the last of {bounds} bounds")]
    BoundIndex { at: usize, field: &'static str, index: u32, bounds: usize },
    #[error("row {row} (route {route}): {source}")]
    RowRange { row: usize, route: u64, source: KeyRangeError },
    #[error("bucket {bucket}: {source}")]
    BucketRange { bucket: usize, source: KeyRangeError },
    #[error("route {route}: {source}")]
    RouteRange { route: u64, source: KeyRangeError },
    #[error(
        "element {at} of {field}: flags {flags:#x} hold bits that this version does not know; upgrade this node"
    )]
    UnknownFlags { at: usize, field: &'static str, flags: u32 },
    #[error("{field} adds up to {sum}, but there are {got}: each bucket says how many are its own")]
    Share { field: &'static str, sum: u64, got: usize },
    #[error("node_id {reason}")]
    NodeId { reason: &'static str },
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Column(#[from] ColumnError),
    #[error(transparent)]
    HotKeys(#[from] HotKeysError),
}

/// Checks and takes over a hello.
///
/// # Errors
/// A node id that is empty, too long or unprintable; a boot id that is not 16 bytes.
pub fn source_from_wire(hello: &wire::Hello) -> Result<SourceId, ConvertError> {
    check_node_id(&hello.node_id)?;
    let boot = fixed::<16>("boot_id", &hello.boot_id)?;
    Ok(SourceId { node: hello.node_id.clone(), boot: Uuid::from_bytes(boot) })
}

/// Checks a node name: 1 to 255 bytes, no control characters.
///
/// # Errors
/// [`ConvertError::NodeId`].
pub fn check_node_id(node: &str) -> Result<(), ConvertError> {
    match node {
        "" => Err(ConvertError::NodeId { reason: "is empty; give every source a stable name" }),
        n if n.len() > keyviz_lineage::column::MAX_NODE_BYTES => {
            Err(ConvertError::NodeId { reason: "is longer than 255 bytes" })
        }
        n if n.chars().any(char::is_control) => {
            Err(ConvertError::NodeId { reason: "holds control characters" })
        }
        _ => Ok(()),
    }
}

/// Checks and takes over the body of an entry.
///
/// # Errors
/// See [`ConvertError`].
pub fn entry_from_wire(body: wire::entry::Body) -> Result<Entry, ConvertError> {
    Ok(match body {
        wire::entry::Body::Column(column) => Entry::Column(column_from_wire(&column)?),
        wire::entry::Body::Transition(transition) => {
            Entry::Transition(transition_from_wire(&transition)?)
        }
        wire::entry::Body::Leave(wire::Leave {}) => Entry::Leave,
    })
}

/// The wire form of an entry, or `None` for a change that only keyviz itself makes
/// (`MoveIn`, `Backfill`).
pub fn entry_to_wire(entry: &Entry) -> Option<wire::entry::Body> {
    Some(match entry {
        Entry::Column(column) => wire::entry::Body::Column(column_to_wire(column)),
        Entry::Transition(transition) => {
            wire::entry::Body::Transition(transition_to_wire(transition)?)
        }
        Entry::Leave => wire::entry::Body::Leave(wire::Leave {}),
    })
}

/// Column -> arrays.
pub fn column_to_wire(column: &Column) -> wire::Column {
    let ranges = column.rows.iter().map(|row| &row.range);
    let mut bounds: Vec<&[u8]> = ranges
        .chain(column.buckets.iter().map(|bucket| &bucket.range))
        .flat_map(|range| [range.start(), range.end()])
        .filter(|key| !key.is_empty())
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let index = |key: &[u8]| match bounds.binary_search(&key) {
        Ok(at) => at as u32 + 1,
        Err(_) => 0,
    };
    let rows = &column.rows;
    let (bound_shared, bound_suffix_bytes, bound_suffixes) = front_code(&bounds);
    let mut arrays = wire::Column {
        window_unix_ms: column.window.start_ms as i64,
        step_ms: column.window.step.ms() as u32,
        covered_from_unix_ms: column.covered_from_ms as i64,
        covered_to_unix_ms: column.covered_to_ms as i64,
        unattributed: column.unattributed,
        groups: column.groups.clone(),
        bound_shared,
        bound_suffix_bytes,
        bound_suffixes,
        row_route: rows.iter().map(|row| row.route).collect(),
        row_start: rows.iter().map(|row| index(row.range.start())).collect(),
        row_end: rows.iter().map(|row| index(row.range.end())).collect(),
        row_group: rows.iter().map(|row| row.group).collect(),
        row_term: rows.iter().map(|row| row.term).collect(),
        row_reads: rows.iter().map(|row| row.counts.reads).collect(),
        row_writes: rows.iter().map(|row| row.counts.writes).collect(),
        row_read_bytes: rows.iter().map(|row| row.counts.read_bytes).collect(),
        row_write_bytes: rows.iter().map(|row| row.counts.write_bytes).collect(),
        row_flags: flags_to_wire(rows.iter().map(|row| row.flags)),
        ..wire::Column::default()
    };
    bucket::to_wire(&column.buckets, index, &mut arrays);
    arrays
}

/// Absent when nothing is flagged.
fn flags_to_wire(flags: impl Iterator<Item = Flags> + Clone) -> Vec<u32> {
    if flags.clone().all(Flags::is_none) {
        Vec::new()
    } else {
        flags.map(|flags| u32::from(flags.0)).collect()
    }
}

fn flags_from_wire(array: &[u32], field: &'static str, at: usize) -> Result<Flags, ConvertError> {
    let flags = array.get(at).copied().unwrap_or(0);
    let known = Flags::NAMES.iter().fold(0, |bits, (flag, _)| bits | u32::from(flag.0));
    if flags & !known != 0 {
        return Err(ConvertError::UnknownFlags { at, field, flags });
    }
    Ok(Flags(flags as u16))
}

fn front_code(bounds: &[&[u8]]) -> (Vec<u32>, Vec<u32>, Bytes) {
    let (mut shared, mut lengths, mut suffixes) = (Vec::new(), Vec::new(), Vec::new());
    let mut previous: &[u8] = &[];
    for &key in bounds {
        let common = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        shared.push(common as u32);
        lengths.push((key.len() - common) as u32);
        suffixes.extend_from_slice(&key[common..]);
        previous = key;
    }
    (shared, lengths, suffixes.into())
}

fn unfold_bounds(column: &wire::Column) -> Result<Vec<Vec<u8>>, ConvertError> {
    let expected = column.bound_shared.len();
    equal("bound_suffix_bytes", column.bound_suffix_bytes.len(), "bound_shared", expected)?;
    let mut bounds: Vec<Vec<u8>> =
        Vec::with_capacity(expected.min(column.bound_suffixes.len() + 1));
    let mut rest: &[u8] = &column.bound_suffixes;
    let mut unfolded = 0;
    for (index, (&shared, &length)) in
        column.bound_shared.iter().zip(&column.bound_suffix_bytes).enumerate()
    {
        let held = bounds.last().map_or(&[][..], Vec::as_slice);
        let prefix = held.get(..shared as usize).ok_or(ConvertError::BoundShared {
            index,
            shared,
            held: held.len(),
        })?;
        let (suffix, behind) =
            rest.split_at_checked(length as usize).ok_or(ConvertError::BoundSuffix { index })?;
        if prefix.len() + suffix.len() > keyviz_lineage::column::MAX_KEY_BYTES {
            return Err(ConvertError::BoundSuffix { index });
        }
        unfolded += prefix.len() + suffix.len();
        if unfolded > MAX_COLUMN_KEY_BYTES {
            return Err(ConvertError::TooLarge { limit: MAX_COLUMN_KEY_BYTES });
        }
        let key = [prefix, suffix].concat();
        rest = behind;
        bounds.push(key);
    }
    Ok(bounds)
}

/// Arrays -> column, checked.
///
/// # Errors
/// See [`ConvertError`]; the whole column is refused.
pub fn column_from_wire(column: &wire::Column) -> Result<Column, ConvertError> {
    let count = column.row_route.len();
    for (field, got) in [
        ("row_start", column.row_start.len()),
        ("row_end", column.row_end.len()),
        ("row_group", column.row_group.len()),
        ("row_term", column.row_term.len()),
        ("row_reads", column.row_reads.len()),
        ("row_writes", column.row_writes.len()),
        ("row_read_bytes", column.row_read_bytes.len()),
        ("row_write_bytes", column.row_write_bytes.len()),
    ] {
        equal(field, got, "row_route", count)?;
    }
    if !column.row_flags.is_empty() {
        equal("row_flags", column.row_flags.len(), "row_route", count)?;
    }
    let bounds = unfold_bounds(column)?;
    let step = Step::recordable_from_ms(u64::from(column.step_ms))?;
    let window = Window::new(unix_ms("window_unix_ms", column.window_unix_ms)?, step)?;
    let mut rows = Vec::with_capacity(count);
    let mut room = Room(MAX_COLUMN_KEY_BYTES);
    for row in 0..count {
        let row = row_from_wire(column, row, &bounds)?;
        room.take(&row.range)?;
        rows.push(row);
    }
    let buckets = bucket::from_wire(column, &bounds, &mut room)?;
    let column = Column {
        window,
        covered_from_ms: unix_ms("covered_from_unix_ms", column.covered_from_unix_ms)?,
        covered_to_ms: unix_ms("covered_to_unix_ms", column.covered_to_unix_ms)?,
        unattributed: column.unattributed,
        groups: column.groups.clone(),
        rows,
        buckets,
    };
    column.validate()?;
    Ok(column)
}

fn row_from_wire(
    column: &wire::Column,
    row: usize,
    bounds: &[Vec<u8>],
) -> Result<Row, ConvertError> {
    let route = column.row_route[row];
    let start = bound(bounds, row, "row_start", column.row_start[row])?;
    let end = bound(bounds, row, "row_end", column.row_end[row])?;
    let range = KeyRange::new(start, end).map_err(|source| ConvertError::RowRange {
        row,
        route,
        source,
    })?;
    Ok(Row {
        route,
        group: column.row_group[row],
        term: column.row_term[row],
        range,
        counts: Counts {
            reads: column.row_reads[row],
            writes: column.row_writes[row],
            read_bytes: column.row_read_bytes[row],
            write_bytes: column.row_write_bytes[row],
        },
        flags: flags_from_wire(&column.row_flags, "row_flags", row)?,
    })
}

/// What the keys of one column may still unfold to, in bytes.
struct Room(usize);

impl Room {
    fn take(&mut self, range: &KeyRange) -> Result<(), ConvertError> {
        let left = self.0.checked_sub(range.start().len() + range.end().len());
        self.0 = left.ok_or(ConvertError::TooLarge { limit: MAX_COLUMN_KEY_BYTES })?;
        Ok(())
    }
}

/// The key at `index` (1 + its place; 0 = unbounded), which element `at` of `field` gives.
fn bound<'a>(
    bounds: &'a [Vec<u8>],
    at: usize,
    field: &'static str,
    index: u32,
) -> Result<&'a [u8], ConvertError> {
    match index {
        0 => Ok(&[]),
        n => bounds.get(n as usize - 1).map(Vec::as_slice).ok_or(ConvertError::BoundIndex {
            at,
            field,
            index,
            bounds: bounds.len(),
        }),
    }
}

/// Transition -> wire, or `None` for a change that only keyviz itself makes.
pub fn transition_to_wire(transition: &Transition) -> Option<wire::Transition> {
    use wire::transition::Change as W;
    let change = match &transition.change {
        Change::Create { routes } => {
            W::Create(wire::Create { routes: routes.iter().map(route_to_wire).collect() })
        }
        Change::Split { parent, children } => W::Split(wire::Split {
            parent_route_id: *parent,
            children: children.iter().map(route_to_wire).collect(),
        }),
        Change::Merge { parents, survivor } => W::Merge(wire::Merge {
            parent_route_ids: parents.clone(),
            survivor: Some(route_to_wire(survivor)),
        }),
        Change::MoveOut { route, to_group, to_route } => {
            W::Move(wire::Move { route_id: *route, to_group_id: *to_group, to_route_id: *to_route })
        }
        Change::Drop { route } => W::Drop(wire::Drop { route_id: *route }),
        Change::Leader { node, term } => {
            W::Leader(wire::Leader { node_id: node.clone(), term: *term })
        }
        Change::MoveIn { .. } | Change::Backfill { .. } => return None,
    };
    Some(wire::Transition {
        group_id: transition.group,
        proposal_id: Bytes::copy_from_slice(&transition.proposal),
        hlc: transition.hlc.0,
        catalogue_version: transition.catalogue_version,
        change: Some(change),
    })
}

/// Wire -> transition. A proposal id or HLC that is absent stays zero.
///
/// # Errors
/// See [`ConvertError`].
pub fn transition_from_wire(transition: &wire::Transition) -> Result<Transition, ConvertError> {
    use wire::transition::Change as W;
    let change =
        match transition.change.as_ref().ok_or(ConvertError::Missing { field: "change" })? {
            W::Create(create) => Change::Create { routes: routes_from_wire(&create.routes)? },
            W::Split(split) => Change::Split {
                parent: split.parent_route_id,
                children: routes_from_wire(&split.children)?,
            },
            W::Merge(merge) => {
                let survivor = merge
                    .survivor
                    .as_ref()
                    .ok_or(ConvertError::Missing { field: "merge.survivor" })?;
                Change::Merge {
                    parents: merge.parent_route_ids.clone(),
                    survivor: route_from_wire(survivor)?,
                }
            }
            W::Move(to) => Change::MoveOut {
                route: to.route_id,
                to_group: to.to_group_id,
                to_route: to.to_route_id,
            },
            W::Drop(drop) => Change::Drop { route: drop.route_id },
            W::Leader(leader) => {
                check_node_id(&leader.node_id)?;
                Change::Leader { node: leader.node_id.clone(), term: leader.term }
            }
        };
    let proposal: ProposalId = if transition.proposal_id.is_empty() {
        [0; 16]
    } else {
        fixed("proposal_id", &transition.proposal_id)?
    };
    Ok(Transition {
        group: transition.group_id,
        proposal,
        hlc: Hlc(transition.hlc),
        catalogue_version: transition.catalogue_version,
        change,
    })
}

fn route_to_wire(spec: &RouteSpec) -> wire::RouteRange {
    wire::RouteRange {
        route_id: spec.route,
        start: Bytes::copy_from_slice(spec.range.start()),
        end: Bytes::copy_from_slice(spec.range.end()),
    }
}

fn routes_from_wire(routes: &[wire::RouteRange]) -> Result<Vec<RouteSpec>, ConvertError> {
    routes.iter().map(route_from_wire).collect()
}

fn route_from_wire(route: &wire::RouteRange) -> Result<RouteSpec, ConvertError> {
    for (field, key) in [("route.start", &route.start), ("route.end", &route.end)] {
        check_key_len(field, key)?;
    }
    let range = KeyRange::new(&route.start[..], &route.end[..])
        .map_err(|source| ConvertError::RouteRange { route: route.route_id, source })?;
    Ok(RouteSpec { route: route.route_id, range })
}

fn check_key_len(field: &'static str, key: &[u8]) -> Result<(), ConvertError> {
    let expected = keyviz_lineage::column::MAX_KEY_BYTES;
    if key.len() > expected {
        return Err(ConvertError::Length { field, got: key.len(), expected });
    }
    Ok(())
}

fn equal(
    field: &'static str,
    got: usize,
    reference: &'static str,
    expected: usize,
) -> Result<(), ConvertError> {
    if got == expected {
        Ok(())
    } else {
        Err(ConvertError::UnequalArrays { field, got, reference, expected })
    }
}

fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], ConvertError> {
    bytes.try_into().map_err(|_| ConvertError::Length { field, got: bytes.len(), expected: N })
}

fn unix_ms(field: &'static str, value: i64) -> Result<u64, ConvertError> {
    u64::try_from(value).map_err(|_| ConvertError::NegativeTime { field, value })
}

#[cfg(test)]
#[path = "convert_test.rs"]
mod convert_test;
