//! Marks: whether an operation was counted, on whichever node.
//!
//! A request that one node forwards to another carries its mark, so that the two of them count it once.
//! Invariant: what was observed through marks is counted by the first that observes it, and by no other
//! (M1).
//! Proof: `mark_test.rs`.

use keyviz_lineage::RouteId;

use crate::{Op, RouteHandle, Sampler};

/// Whether an operation was counted already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nobody has counted it.
    #[default]
    New,
    /// Some node has.
    Sampled,
}

impl Mark {
    /// As it travels: 0 or 1.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::New => 0,
            Self::Sampled => 1,
        }
    }

    /// From how it travels; whatever is not 0 was counted.
    pub const fn from_byte(byte: u8) -> Self {
        if byte == 0 { Self::New } else { Self::Sampled }
    }
}

impl RouteHandle {
    /// As [`RouteHandle::observe`], but only if nobody has counted the operation. Returns the mark that
    /// goes on with it.
    #[inline]
    pub fn observe_once(&self, mark: Mark, key: &[u8], op: Op, value_len: u64) -> Mark {
        if mark == Mark::New {
            self.observe(key, op, value_len);
        }
        Mark::Sampled
    }
}

impl Sampler {
    /// As [`Sampler::observe`], but only if nobody has counted the operation. Returns the mark that goes
    /// on with it.
    #[inline]
    pub fn observe_once(
        &self,
        mark: Mark,
        route: RouteId,
        key: &[u8],
        op: Op,
        value_len: u64,
    ) -> Mark {
        if mark == Mark::New {
            self.observe(route, key, op, value_len);
        }
        Mark::Sampled
    }
}

#[cfg(test)]
#[path = "mark_test.rs"]
mod mark_test;
