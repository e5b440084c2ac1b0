//! Handles: a route that was resolved once.
//!
//! Invariants: a handle keeps its slot reachable (S2); the way to a cell of a plain route is in the
//! handle itself, so that no other memory than the thread's own is read (H1).
//! Proof: `sampler_test.rs`, `tests/loom.rs`.

use crate::local::{self, Spot};
use crate::slot::Slot;
use crate::sync::Arc;
use crate::{Op, front};

/// A route that was resolved once: observing through it needs no look-up. Holding one keeps its
/// counters alive, so that nothing observed through it is lost after the route is removed.
#[derive(Clone, Debug)]
pub struct RouteHandle {
    spot: Spot,
    slot: Option<Arc<Slot>>,
}

impl RouteHandle {
    /// A handle that counts nothing: observing through it costs one branch.
    pub const fn disabled() -> Self {
        Self { spot: Spot::NOWHERE, slot: None }
    }

    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { spot: slot.spot(), slot: Some(slot) }
    }

    /// Counts one operation; `bytes += key length + value_len`. Two to three nanoseconds: no lock, no
    /// allocation, no write that another thread sees, but the first time that the calling thread
    /// touches a route of this chunk (64 routes or sub-ranges), and where the operation is of
    /// 8 MiB or more.
    #[inline]
    pub fn observe(&self, key: &[u8], op: Op, value_len: u64) {
        let Some(slot) = &self.slot else { return };
        if !front::count(self.spot, key.len(), op, value_len) {
            observe_slowly(slot, key, op, value_len);
        }
    }
}

/// On a route that is cut or was not touched by this thread, in a thread that ends, or of many bytes.
#[cold]
fn observe_slowly(slot: &Slot, key: &[u8], op: Op, value_len: u64) {
    let bytes = (key.len() as u64).saturating_add(value_len);
    if local::with(|local| slot.observe(Some(&local.pages), key, op, bytes)).is_none() {
        slot.observe(None, key, op, bytes);
    }
}
