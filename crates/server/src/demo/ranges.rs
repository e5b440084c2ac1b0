//! What the demo does to the host's ranges: which one is split, which two are merged, which one moves.
//!
//! Responsible for: choosing the ranges, and saying what was done.
//! Invariants: two ranges of different groups are merged only after the right one has moved to the left
//! one's group.
//! Must not: know when, or send traffic.
//! Proof: `ranges_test.rs`, and the demo itself.

use anyhow::Context as _;

use super::host::{HostClient, HostRange};
use super::keyspace::{COLD, place};
use super::mix::HOT_REACH;
use super::narrator::{Narrator, grouped};

/// Splits the range under the hotspot at its hottest key.
pub(super) async fn split(
    host: &mut HostClient,
    key: &str,
    narrator: Narrator,
) -> anyhow::Result<()> {
    let hot = host.range_of(key).await?;
    host.split(key).await?;
    let (reads, writes) = (grouped(hot.reads.unsigned_abs()), grouped(hot.writes.unsigned_abs()));
    narrator.says(&format!(
        "split {key}: route {} {} was hot ({reads} reads, {writes} writes)",
        hot.route, hot.keys
    ));
    Ok(())
}

/// Merges two ranges without much traffic.
pub(super) async fn merge_cold(host: &mut HostClient, narrator: Narrator) -> anyhow::Result<()> {
    let [left, right] = COLD;
    host.merge(left.as_bytes()).await?;
    narrator.says(&format!("merge {left} and {right}, which are cold; keyviz will hear of it"));
    Ok(())
}

/// Merges the two ranges that the hotspot, now at `hot` of its table, has just left.
pub(super) async fn merge_behind(
    host: &mut HostClient,
    hot: f64,
    narrator: Narrator,
) -> anyhow::Result<()> {
    let ranges = host.ranges().await?;
    let (left, right) = behind(&ranges, hot).context("no two ranges lie behind the hotspot")?;
    if left.group != right.group {
        relocate(host, right, left.group, narrator).await?;
    }
    host.merge(left.keys.start()).await?;
    narrator.says(&format!(
        "merge at {}: the hotspot has left {} and {}",
        right.keys.start().escape_ascii(),
        left.keys,
        right.keys
    ));
    Ok(())
}

/// Moves the range that holds `key` to the other one of two groups.
pub(super) async fn move_away(
    host: &mut HostClient,
    key: &str,
    narrator: Narrator,
) -> anyhow::Result<()> {
    let range = host.range_of(key).await?;
    let other = if range.group == 1 { 2 } else { 1 };
    relocate(host, &range, other, narrator).await
}

async fn relocate(
    host: &mut HostClient,
    range: &HostRange,
    group: i64,
    narrator: Narrator,
) -> anyhow::Result<()> {
    host.relocate(range.keys.start(), group).await?;
    narrator.says(&format!(
        "move route {} {} from group {} to group {group}",
        range.route, range.keys, range.group
    ));
    Ok(())
}

/// The neighbours in the hotspot's table whose common bound it passed last, its whole width included.
fn behind(ranges: &[HostRange], hot: f64) -> Option<(&HostRange, &HostRange)> {
    let passed = |bound: f64| (hot - bound).rem_euclid(1.0);
    let pairs = ranges.windows(2).filter_map(|pair| {
        let (left, right) = (&pair[0], &pair[1]);
        place(left.keys.start())?;
        let since = passed(place(right.keys.start())?);
        (since > 2.0 * HOT_REACH).then_some((since, (left, right)))
    });
    pairs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, pair)| pair)
}

#[cfg(test)]
#[path = "ranges_test.rs"]
mod ranges_test;
