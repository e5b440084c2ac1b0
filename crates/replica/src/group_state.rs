//! The groups as this node knows them: who led when, who is expected, how far their logs are.
//!
//! Must not: guess. A group whose leader was never told has none here.
//! Proof: `group_state_test.rs`.

use std::collections::BTreeSet;

use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_lineage::GroupId;
use keyviz_store::{History as _, StoreError};

use crate::recorder::Recorder;

/// Who led a group from when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Unix milliseconds.
    pub from_ms: u64,
    /// The node.
    pub node: String,
    /// Its term.
    pub term: u64,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// Its number.
    pub group: GroupId,
    /// Who led, the oldest that is retained first; the last one leads now.
    pub leaders: Vec<Leadership>,
    /// The last command of the group's log that is applied here.
    pub applied_index: u64,
    /// The nodes whose columns are expected.
    pub members: BTreeSet<String>,
}

impl GroupState {
    /// The term in force at `at_ms`; 0 where it is not known.
    pub fn term_at(&self, at_ms: u64) -> u64 {
        let later = self.leaders.partition_point(|leader| leader.from_ms <= at_ms);
        later.checked_sub(1).map_or(0, |last| self.leaders[last].term)
    }
}

impl Recorder {
    /// Every group that this node has heard of, in order.
    ///
    /// # Errors
    /// A read failure of the store.
    pub fn group_states(&self) -> Result<Vec<GroupState>, StoreError> {
        let now_ms = self.shared.clock.unix_ms();
        let view = self.view()?;
        let store = self.shared.store.view(now_ms);
        let mut groups: BTreeSet<GroupId> = view.groups()?;
        groups.extend(self.graph().groups());
        groups.remove(&NODE_GROUP);
        let state = |group| {
            let leaders = store.leader_events(group, 0, u64::MAX >> 16)?;
            let members = view.members(group)?.into_iter();
            Ok(GroupState {
                group,
                leaders: leaders
                    .into_iter()
                    .map(|(hlc, event)| Leadership {
                        from_ms: hlc.unix_ms(),
                        node: event.node,
                        term: event.term,
                    })
                    .collect(),
                applied_index: store.applied(group)?.index,
                members: members
                    .filter(|(_, member)| member.expected_at(now_ms))
                    .map(|(node, _)| node)
                    .collect(),
            })
        };
        groups.into_iter().map(state).collect()
    }
}

#[cfg(test)]
#[path = "group_state_test.rs"]
mod group_state_test;
