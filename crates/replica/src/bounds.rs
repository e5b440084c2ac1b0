//! Which stored blocks say the keys of their lineage.
//!
//! A lineage's keys are in its record. So that it is still found by its keys when the record is lost,
//! some of its blocks say them too ([`keyviz_codec::HourBlocks::bounds`]). The rule: **a block does
//! when it is the first that the store takes of its lineage in its UTC day** (24 hours of `hour / 24`).
//!
//! So every day of blocks has at least one that says them, whatever order columns come in and however
//! rarely a range is busy, at the cost of one seek a lineage and start (`numbers.rs` remembers), one for
//! late columns of an earlier day, and of some tens of bytes a lineage a day. Blocks of one checkpoint do not
//! see each other, so that two new hours of a day may both say them; and a block that takes the place
//! of a damaged one says them again. Of the oldest day that is retained, the hours that say them may
//! have expired before the others.
//!
//! Not chosen: the birth hour and every hour divisible by 24 (no seek, but a range that is busy now
//! and then may have neither); a look at the 24 hours before (the same seek, more blocks with bounds);
//! a memory of what was written (two replicas that apply the same log would differ).
//! Virtual buckets say theirs in `index|<hour>`.
//! A pure function of the store and the graph. Proof: `bounds_test.rs`.

use keyviz_lineage::{GroupId, KeyRange, LineageGraph, LineageId};
use keyviz_store::{StoreError, View};

const DAY_HOURS: u64 = 24;

/// The keys that a block has to say that is new to the store, if it has to. `newest_hour` is the newest
/// that is stored of the lineage.
pub(crate) fn of_new_block(
    view: &View<'_>,
    graph: &LineageGraph,
    group: GroupId,
    (lineage, hour): (LineageId, u64),
    newest_hour: Option<u64>,
) -> Result<Option<KeyRange>, StoreError> {
    let Some(record) = graph.get(lineage) else { return Ok(None) };
    let first = hour - hour % DAY_HOURS;
    let said = match newest_hour {
        None => false,
        Some(newest) if newest < first => false,
        Some(newest) if newest < first + DAY_HOURS => true,
        // A late column of an earlier day.
        Some(_) => view.has_blocks(group, lineage, first..=first + (DAY_HOURS - 1))?,
    };
    Ok((!said).then(|| record.range.clone()))
}

#[cfg(test)]
#[path = "bounds_test.rs"]
mod bounds_test;
