//! Lineage records: who owned which keys from when to when, and where they came from
//! (contract section 4).

use crate::{GroupId, Hlc, KeyRange, LineageId, ProposalId, RouteId};

/// What gave birth to a lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A route created from nothing.
    Create,
    /// One of the children of a split.
    Split,
    /// The survivor of a merge.
    Merge,
    /// The continuation in another group.
    Move,
    /// A route that keyviz met before its creation was told.
    Backfill,
    /// Nothing: its record is lost, and what is known of it was read from its blocks. Such a record
    /// lives in memory only, so that what was counted is still found by its keys.
    Recovered,
}

impl Cause {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Split => "split",
            Self::Merge => "merge",
            Self::Move => "move",
            Self::Backfill => "backfill",
            Self::Recovered => "recovered",
        }
    }
}

/// A parent, with enough to be drawn when its group is out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentRef {
    /// The parent's group.
    pub group: GroupId,
    /// The parent.
    pub id: LineageId,
    /// The keys it owned.
    pub range: KeyRange,
    /// Its birth.
    pub valid_from: Hlc,
}

/// One range from its birth to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageRecord {
    /// Its identity.
    pub id: LineageId,
    /// The keys it owns.
    pub range: KeyRange,
    /// The host's number for it: a hint, never an identity.
    pub route: RouteId,
    /// Its group.
    pub group: GroupId,
    /// Its birth.
    pub valid_from: Hlc,
    /// Its end; `None` while it lives.
    pub valid_to: Option<Hlc>,
    /// Where its keys came from.
    pub parents: Vec<ParentRef>,
    /// The group and route that a moved range went to.
    pub successor: Option<(GroupId, RouteId)>,
    /// The command that created it.
    pub proposal: ProposalId,
    /// What created it.
    pub cause: Cause,
    /// The host's catalogue version after that command; 0 = unknown.
    pub version: u64,
}

impl LineageRecord {
    /// Whether it lives.
    pub const fn is_live(&self) -> bool {
        self.valid_to.is_none()
    }

    /// Whether it was alive in any part of `[from_ms, to_ms)`. A lineage that was born and closed
    /// within one millisecond is alive in that millisecond.
    pub fn alive_within(&self, from_ms: u64, to_ms: u64) -> bool {
        let born_ms = self.valid_from.unix_ms();
        born_ms < to_ms
            && self.valid_to.is_none_or(|end| {
                end.unix_ms() > from_ms || end.unix_ms() == born_ms && born_ms >= from_ms
            })
    }

    /// Whether it was alive at `at_ms`.
    pub fn alive_at(&self, at_ms: u64) -> bool {
        self.valid_from.unix_ms() <= at_ms && self.valid_to.is_none_or(|end| end.unix_ms() > at_ms)
    }

    /// A pointer to it, for its children.
    pub fn as_parent(&self) -> ParentRef {
        ParentRef {
            group: self.group,
            id: self.id,
            range: self.range.clone(),
            valid_from: self.valid_from,
        }
    }
}
