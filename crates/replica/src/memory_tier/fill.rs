//! Fills the memory tier from the store: after a restart, and with every hour that begins. A thread of
//! its own, so that neither readiness nor a checkpoint waits for it.
//!
//! Newest hour first, in ever larger steps; which lineages have a block in an hour is told by its
//! roll-ups (R9), so an hour of which nothing is stored costs one look.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::Duration;

use keyviz_lineage::{GroupId, LineageId, unix_hour};
use keyviz_store::StoreError;

use super::{Filling, INDEX_BYTES, Shelf};
use crate::recorder::Shared;
use crate::state_machine::StateMachine;

const TICK: Duration = Duration::from_secs(1);
/// How long a group is left alone that could not be read.
const RETRY_PAUSE_MS: u64 = 60_000;
/// Whether to stop is asked once in so many blocks.
const BLOCKS_AT_A_TIME: usize = 1_024;

pub(crate) fn run(shared: &Shared) {
    let mut retry_after_ms: HashMap<GroupId, u64> = HashMap::new();
    while !stops(shared, TICK) {
        let now_ms = shared.clock.monotonic_ms();
        retry_after_ms.retain(|_, after_ms| *after_ms > now_ms);
        round(shared, &mut |group| {
            if retry_after_ms.contains_key(&group) {
                return false;
            }
            let (wall_ms, stops) = (shared.clock.unix_ms(), || stops(shared, Duration::ZERO));
            step(&shared.machine, group, wall_ms, &stops).unwrap_or_else(|error| {
                tracing::warn!(group, %error, "the memory tier is not filled; the store is read");
                retry_after_ms.insert(group, now_ms + RETRY_PAUSE_MS);
                false
            })
        });
    }
}

/// Has every group take its next step, until none gets any further.
pub(super) fn round(shared: &Shared, step: &mut dyn FnMut(GroupId) -> bool) {
    shared.machine.memory_tier().trim(unix_hour(shared.clock.unix_ms()));
    let mut groups: Vec<GroupId> = shared.memory().groups().collect();
    while !groups.is_empty() && !stops(shared, Duration::ZERO) {
        groups.retain(|&group| step(group));
    }
}

/// Waits so long, or until the recorder stops. Returns whether it does.
fn stops(shared: &Shared, wait: Duration) -> bool {
    let state = shared.checkpoint.state.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = shared.checkpoint.changed.wait_timeout_while(state, wait, |state| !state.stop);
    waited.unwrap_or_else(PoisonError::into_inner).0.stop
}

/// Reads the next hours of a group, unless it is to stop. Returns whether any of them is held now.
pub(crate) fn step(
    machine: &StateMachine,
    group: GroupId,
    now_ms: u64,
    stops: &dyn Fn() -> bool,
) -> Result<bool, StoreError> {
    let tier = machine.memory_tier();
    let _one_at_a_time = tier.one_at_a_time();
    let hours = tier.begin(group, unix_hour(now_ms));
    let (Some(&to), Some(&from)) = (hours.first(), hours.last()) else { return Ok(false) };
    let view = machine.store().view(now_ms);
    let (applied, numbers) = (view.applied(group)?, machine.numbers(&view, group)?);
    if !numbers.damage().is_empty() {
        // Nobody can tell whose the blocks are that have no number.
        return Ok(false);
    }
    let mut fills: BTreeMap<u64, Filling> = BTreeMap::new();
    let mut with_blocks = Vec::new();
    for &hour in &hours {
        fills.insert(hour, Filling::default());
        with_blocks.extend(view.numbers_of(group, hour)?);
    }
    with_blocks.sort_unstable();
    with_blocks.dedup();
    let lineage = |number: u32| Some((numbers.id(number)?, number));
    let lineages: Option<Vec<(LineageId, u32)>> = with_blocks.into_iter().map(lineage).collect();
    // As above: a number is lost, and so is whose block it is.
    let Some(mut lineages) = lineages else { return Ok(false) };
    lineages.sort_unstable();
    let mut pass = Pass { fills, bytes: 0, room: tier.room(from), given_up: None };
    let mut stopped = false;
    for lineages in lineages.chunks(BLOCKS_AT_A_TIME) {
        stopped = stops() || pass.fills.is_empty();
        if stopped {
            break;
        }
        view.each_block(group, lineages, from..=to, &mut |number, hour, block| {
            pass.take(number, hour, block)
        })?;
    }
    let given_up = pass.given_up;
    let installed = if stopped { 0 } else { tier.install(group, applied, pass.finish()) };
    if let Some(hour) = given_up {
        tier.give_up(hour + 1);
    }
    // Where everything has changed meanwhile, the next tick is early enough.
    Ok(installed > 0)
}

/// The hours that are read at a time.
struct Pass {
    fills: BTreeMap<u64, Filling>,
    bytes: u64,
    room: u64,
    /// The last hour that there was no room for.
    given_up: Option<u64>,
}

impl Pass {
    fn take(&mut self, number: u32, hour: u64, block: &[u8]) -> ControlFlow<()> {
        if let Some(fill) = self.fills.get_mut(&hour) {
            fill.push(number, block);
            self.bytes += (block.len() + INDEX_BYTES) as u64;
        }
        while self.bytes > self.room {
            let Some((hour, fill)) = self.fills.pop_first() else { return ControlFlow::Break(()) };
            self.bytes -= (fill.bytes.len() + fill.blocks.len() * INDEX_BYTES) as u64;
            self.given_up = Some(hour);
        }
        ControlFlow::Continue(())
    }

    fn finish(self) -> BTreeMap<u64, Shelf> {
        let fills = self.fills.into_iter();
        fills.filter_map(|(hour, fill)| Some((hour, fill.finish()?))).collect()
    }
}
