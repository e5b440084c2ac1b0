//! What several nodes recorded, as one history: the merge behind a question to any of them.
//!
//! ```text
//! Outline of each node (who recorded when, which lineages) -> Gathered -> Plan
//! Cells of each node (what the plan needs)                 -> Gathered -> the ordinary question
//! ```
//! Responsible for: the rules of contract section 11. Nodes tell what they recorded per source
//! (node, boot), uncoarsened; rows, continuity, coarsening and the row budget are the ordinary query's,
//! run once over what is gathered here.
//! Invariants: F1 a contribution that several nodes hold counts once; F2 what is gathered does not
//! depend on the order of the nodes; F3 where nodes disagree about one contribution the larger is kept
//! and flagged; F4 a source that only a node out of reach has heard is expected, and so never idle.
//! Must not: do I/O but through [`History`], read a clock, or know the wire.
//! Proof: `fan_out/fan_out_test.rs`, against one node that recorded everything.

mod contributions;
mod coverage;
mod history;
mod lineages;
mod rolled;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use keyviz_codec::marks::Member;
use keyviz_codec::rollup::{Columns, Tier};
use keyviz_codec::{BucketIndex, Coverage, HourBlocks};
use keyviz_lineage::{
    GroupId, KeyRange, LineageGraph, LineageId, LineageRecord, Series, Step, unix_hour,
};

use crate::reading::Limits;
use crate::{Extent, Matrix, MatrixRequest, QueryError};

/// What a node knows of a span before any cell is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// The oldest instant of which its finest columns are retained, Unix milliseconds.
    pub oldest_ms: u64,
    /// The same of hourly roll-ups.
    pub oldest_rollup_ms: u64,
    /// The step of an answer over a span in which nothing was recorded.
    pub default_step: Step,
    /// Who recorded when.
    pub groups: BTreeMap<GroupId, GroupOutline>,
    /// Every lineage that it knows.
    pub records: Arc<Vec<LineageRecord>>,
    /// Lineages of which something was recorded far outside of their lives, and when.
    pub strays: Vec<(LineageId, (u64, u64))>,
}

/// What a node knows of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupOutline {
    /// Who is expected from when to when.
    pub members: Vec<(String, Member)>,
    /// Who recorded what, by hour.
    pub coverage: Vec<(u64, Coverage)>,
    /// The virtual buckets, by hour.
    pub buckets: Vec<(u64, BucketIndex)>,
    /// Hours of which one of these cannot be read, and why.
    pub unread: Vec<(u64, String)>,
}

/// Which cells a question needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which series.
    pub series: Series,
    /// Roll-ups, where no window of an hour was recorded on two nodes; `None` = the finest columns.
    pub tier: Option<Tier>,
    /// The hours of the answer.
    pub hours: RangeInclusive<u64>,
    /// Of the lineages and buckets that overlap it.
    pub range: KeyRange,
    /// Hours in which two nodes recorded the same window: of those, the finest columns.
    pub shared: BTreeMap<GroupId, BTreeSet<u64>>,
}

/// The hours of one lineage's finest columns, by contributor.
pub type LineageBlocks = Vec<(u64, HourBlocks)>;

/// The roll-ups of one hour of a group, side by side.
#[derive(Clone, Debug)]
pub struct HourRollups {
    /// The hour.
    pub hour: u64,
    /// Whose each slot is; the nil id where it is nobody's.
    pub lineages: Vec<LineageId>,
    /// Their windows.
    pub columns: Columns,
}

/// What a node recorded, as far as a plan needs it.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// Finest columns.
    pub blocks: BTreeMap<(GroupId, LineageId), LineageBlocks>,
    /// Roll-ups.
    pub rollups: BTreeMap<GroupId, Vec<HourRollups>>,
    /// What cannot be read: of which lineage (`None` = all of the group), in which hour, and why.
    pub unread: Vec<(GroupId, Option<LineageId>, u64, String)>,
}

/// One node's part in an answer.
#[derive(Clone, Debug)]
pub enum Part {
    /// It answered.
    Told(Arc<Outline>),
    /// It is out of reach; what it said when it last was not.
    Remembered(Arc<Outline>),
    /// It is out of reach and never was in it: by this name it is expected in every group.
    Unknown(String),
}

/// What all nodes know together: a [`keyviz_store::History`], and the graph that goes with it.
#[derive(Debug)]
pub struct Gathered {
    now_ms: u64,
    oldest_ms: u64,
    oldest_rollup_ms: u64,
    default_step: Step,
    groups: BTreeMap<GroupId, GatheredGroup>,
    graph: LineageGraph,
    /// Ids of lineages that are another one's by another name.
    aliases: HashMap<LineageId, LineageId>,
    /// The coverage of each part as it was told, by group and hour: who holds which contribution.
    told: Vec<BTreeMap<(GroupId, u64), Coverage>>,
    /// The hours of each group in which two nodes recorded the same instant.
    shared: BTreeMap<GroupId, BTreeSet<u64>>,
    blocks: HashMap<(GroupId, LineageId), BTreeMap<u64, HourBlocks>>,
    rollups: BTreeMap<GroupId, Vec<HourRollups>>,
    unread: BTreeMap<(GroupId, u64), Vec<Unread>>,
}

/// Of which lineage (`None` = all of the group) something cannot be read, and why.
type Unread = (Option<LineageId>, String);

/// What one part, by its place, has of an hour of a lineage.
type FromPart = (usize, HourBlocks);

#[derive(Debug, Default)]
struct GatheredGroup {
    members: Vec<(String, Member)>,
    coverage: BTreeMap<u64, Coverage>,
    buckets: BTreeMap<u64, BucketIndex>,
    unread: Vec<(u64, String)>,
}

impl Gathered {
    /// What `parts` know together, without cells yet.
    pub fn new(parts: &[Part], now_ms: u64) -> Self {
        let outlines: Vec<&Outline> = parts.iter().filter_map(Part::outline).collect();
        let told: Vec<&Outline> = parts.iter().filter_map(Part::told).collect();
        let (mut graph, aliases) = lineages::merge(outlines.iter().map(|o| o.records.as_slice()));
        for &(id, (from_ms, to_ms)) in outlines.iter().flat_map(|outline| &outline.strays) {
            graph.note_recorded(aliases.get(&id).copied().unwrap_or(id), from_ms, to_ms);
        }
        let ids = outlines.iter().flat_map(|outline| outline.groups.keys().copied());
        let ids: BTreeSet<GroupId> = ids.chain(graph.groups()).collect();
        let mut groups: BTreeMap<GroupId, GatheredGroup> = ids
            .into_iter()
            .map(|id| {
                let of = |outline: &&'_ Outline| outline.groups.contains_key(&id);
                let all = outlines.iter().filter(|o| of(o)).map(|o| &o.groups[&id]);
                let heard = told.iter().filter(|o| of(o)).map(|o| &o.groups[&id]);
                (id, coverage::merge_group(all, heard))
            })
            .collect();
        let first_ms = groups.values().flat_map(|group| &group.members);
        let first_ms = first_ms.flat_map(|(_, member)| &member.spans).map(|&(from, _)| from).min();
        for name in parts.iter().filter_map(Part::unknown) {
            let spans = vec![(first_ms.unwrap_or(now_ms), None)];
            for group in groups.values_mut() {
                group.members.push((name.to_owned(), Member { spans: spans.clone() }));
            }
        }
        let longest = |of: fn(&Outline) -> u64| told.iter().copied().map(of).max().unwrap_or(0);
        let coverage: Vec<_> = parts.iter().map(coverage::by_hour).collect();
        Self {
            now_ms,
            oldest_ms: longest(|outline| outline.oldest_ms),
            oldest_rollup_ms: longest(|outline| outline.oldest_rollup_ms),
            default_step: told.first().map_or(Step::MINUTE, |outline| outline.default_step),
            groups,
            graph,
            aliases,
            shared: coverage::shared_hours(&coverage),
            told: coverage,
            blocks: HashMap::new(),
            rollups: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }

    /// The graph that goes with it.
    pub fn graph(&self) -> &LineageGraph {
        &self.graph
    }

    /// Which cells a question needs.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn plan(&self, request: &MatrixRequest) -> Result<Plan, QueryError> {
        self.plan_within(request, Limits::default())
    }

    pub(crate) fn plan_within(
        &self,
        request: &MatrixRequest,
        limits: Limits,
    ) -> Result<Plan, QueryError> {
        let (tier, hours, range) = crate::matrix::needs(self, &self.graph, request, limits)?;
        let (series, mut shared) = (request.series, self.shared.clone());
        // Of older hours only roll-ups are left.
        let oldest_hour = unix_hour(self.oldest_ms);
        shared.values_mut().for_each(|held| *held = held.split_off(&oldest_hour));
        Ok(Plan { series, tier, hours, range, shared })
    }

    /// The answer to the question that the plan was made for; `admit` is asked once its extent is known.
    ///
    /// # Errors
    /// That of `admit`, and see [`QueryError`].
    pub fn answer(
        &self,
        request: &MatrixRequest,
        plan: &Plan,
        admit: &mut dyn FnMut(Extent) -> Result<(), QueryError>,
    ) -> Result<Matrix, QueryError> {
        crate::matrix::matrix_from(self, &self.graph, request, plan.tier, admit)
    }

    /// Takes in what the parts recorded, one for each of them in their order; nothing of a part that did
    /// not answer.
    pub fn take(&mut self, series: Series, cells: Vec<Cells>) {
        debug_assert_eq!(cells.len(), self.told.len());
        let mut blocks: HashMap<(GroupId, LineageId), BTreeMap<u64, Vec<FromPart>>> =
            HashMap::new();
        let mut rollups = Vec::new();
        for (part, cells) in cells.into_iter().enumerate() {
            for ((group, lineage), hours) in cells.blocks {
                let lineage = self.aliases.get(&lineage).copied().unwrap_or(lineage);
                let held = blocks.entry((group, lineage)).or_default();
                for (hour, block) in hours {
                    held.entry(hour).or_default().push((part, block));
                }
            }
            for (group, more) in cells.rollups {
                for mut held in more {
                    for lineage in &mut held.lineages {
                        *lineage = self.aliases.get(lineage).copied().unwrap_or(*lineage);
                    }
                    rollups.push((part, group, held));
                }
            }
            for (group, lineage, hour, why) in cells.unread {
                let lineage = lineage.map(|id| self.aliases.get(&id).copied().unwrap_or(id));
                self.unread.entry((group, hour)).or_default().push((lineage, why));
            }
        }
        self.rollups = rolled::merge(rollups, series, &self.shared, &self.told);
        let mut holders: HashMap<(GroupId, u64), contributions::Holders> = HashMap::new();
        for ((group, lineage), hours) in blocks {
            let merged = hours.into_iter().map(|(hour, parts)| {
                let holders = holders.entry((group, hour)).or_insert_with(|| {
                    let told = self.told.iter().map(|told| told.get(&(group, hour)));
                    contributions::Holders::of(told)
                });
                (hour, contributions::merge(parts, holders))
            });
            self.blocks.insert((group, lineage), merged.collect());
        }
    }
}

impl Part {
    fn outline(&self) -> Option<&Outline> {
        match self {
            Self::Told(outline) | Self::Remembered(outline) => Some(outline),
            Self::Unknown(_) => None,
        }
    }

    fn told(&self) -> Option<&Outline> {
        match self {
            Self::Told(outline) => Some(outline),
            Self::Remembered(_) | Self::Unknown(_) => None,
        }
    }

    fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(name) => Some(name),
            Self::Told(_) | Self::Remembered(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "fan_out/fan_out_test.rs"]
mod fan_out_test;
