//! The node's HLC and the proposals that keyviz itself draws.
//!
//! Invariant: a value is used only below a limit that is durable, so a restart never goes back
//! (contract section 1).

use std::sync::Arc;

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_lineage::{Clock, Hlc, HlcClock, HlcError, ProposalId};
use keyviz_store::{Batch, Store, StoreError};

/// How far ahead of what was issued the HLC is persisted.
const HLC_MARGIN_MS: u64 = 60_000;

pub(crate) struct Issuer {
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    hlc: HlcClock,
    limit: Hlc,
    proposals: u64,
}

impl Issuer {
    /// Goes on after `limit`, the last one that was made durable.
    pub(crate) fn new(clock: Arc<dyn Clock>, store: Arc<Store>, limit: Hlc) -> Self {
        Self { clock, store, hlc: HlcClock::after(limit), limit, proposals: 0 }
    }

    /// Reserves HLC ticks and numbers a proposal of keyviz's own.
    pub(crate) fn draw(&mut self, ticks: u64) -> Result<(Hlc, ProposalId), StoreError> {
        let hlc = self.hlc.reserve(self.clock.unix_ms(), ticks);
        self.persist()?;
        self.proposals += 1;
        let proposal = u128::from(hlc.0) << 64 | u128::from(self.proposals);
        Ok((hlc, proposal.to_be_bytes()))
    }

    /// Takes over a value that came with a transition; durable with the next [`Issuer::persist`].
    pub(crate) fn observe(&mut self, other: Hlc) -> Result<(), HlcError> {
        self.hlc.observe(self.clock.unix_ms(), other)
    }

    /// Issued values stay below what is durable.
    pub(crate) fn persist(&mut self) -> Result<(), StoreError> {
        if self.hlc.last() < self.limit {
            return Ok(());
        }
        let limit = Hlc::new(self.hlc.last().unix_ms() + HLC_MARGIN_MS, 0);
        let mut batch = Batch::default();
        batch.put_mark(NODE_GROUP, &Key::Hlc, &limit.0);
        self.store.commit(&batch)?;
        self.limit = limit;
        Ok(())
    }
}
