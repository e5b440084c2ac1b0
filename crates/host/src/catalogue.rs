//! The catalogue: which ranges there are, in which group, at which version.
//!
//! Responsible for: deciding a split, merge or move ([`Plan`]) and applying it. Pure: no I/O, no
//! clock, no ids but the route numbers that it counts itself.
//! Invariants: the ranges tile the whole key space (K1); a route number is never used twice (K2);
//! every change raises the version by one (K3). Version 1 is the empty catalogue.
//! Proof: `catalogue_test.rs` (random changes against K1 to K3).

use keyviz_lineage::column::MAX_KEY_BYTES;
use keyviz_lineage::{Change, GroupId, KeyRange, RouteId, RouteSpec};

use crate::error::CatalogueError;
use crate::keys::is_reserved;

/// A live range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) route: RouteId,
    pub(crate) group: GroupId,
    pub(crate) keys: KeyRange,
}

impl Range {
    fn spec(&self) -> RouteSpec {
        RouteSpec { route: self.route, range: self.keys.clone() }
    }
}

/// A decided change. Nothing has happened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) closes: Vec<RouteId>,
    /// In key order.
    pub(crate) opens: Vec<Range>,
    /// What to tell keyviz, by group.
    pub(crate) changes: Vec<(GroupId, Change)>,
}

/// All ranges, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catalogue {
    pub(crate) version: u64,
    pub(crate) next_route: RouteId,
    pub(crate) ranges: Vec<Range>,
}

impl Catalogue {
    /// The catalogue of a new store, before its ranges are created.
    pub(crate) fn empty() -> Self {
        Self { version: 1, next_route: 1, ranges: Vec::new() }
    }

    /// A stored catalogue.
    ///
    /// # Errors
    /// [`CatalogueError::NotTiling`] when K1 does not hold.
    pub(crate) fn restore(
        version: u64,
        next_route: RouteId,
        mut ranges: Vec<Range>,
    ) -> Result<Self, CatalogueError> {
        ranges.sort_by(|a, b| a.keys.start().cmp(b.keys.start()));
        let catalogue = Self { version, next_route, ranges };
        match catalogue.first_gap() {
            None => Ok(catalogue),
            Some(route) => Err(CatalogueError::NotTiling { route }),
        }
    }

    /// The first range at which K1 is broken.
    fn first_gap(&self) -> Option<RouteId> {
        let first = self.ranges.first()?;
        if !first.keys.start().is_empty() {
            return Some(first.route);
        }
        let gap = self.ranges.windows(2).find(|pair| !pair[0].keys.touches(&pair[1].keys));
        let open = self.ranges.last().filter(|last| last.keys.bounded_end().is_some());
        gap.map(|pair| pair[1].route).or(open.map(|last| last.route))
    }

    /// Where in `ranges` the one that holds `key` is.
    pub(crate) fn index_of(&self, key: &[u8]) -> usize {
        self.ranges.partition_point(|range| range.keys.start() <= key).saturating_sub(1)
    }

    /// The groups that hold a range, ascending.
    pub(crate) fn groups(&self) -> Vec<GroupId> {
        let mut groups: Vec<GroupId> = self.ranges.iter().map(|range| range.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The first ranges: cut at `boundaries` (ascending), assigned to groups 1 to `groups` in turn.
    pub(crate) fn plan_create(
        &self,
        boundaries: &[Vec<u8>],
        groups: u64,
    ) -> Result<Plan, CatalogueError> {
        for key in boundaries {
            check_boundary(key)?;
        }
        let starts = std::iter::once(&[][..]).chain(boundaries.iter().map(Vec::as_slice));
        let ends = boundaries.iter().map(Vec::as_slice).chain(std::iter::once(&[][..]));
        let mut opens = Vec::new();
        for ((start, end), route) in starts.zip(ends).zip(self.next_route..) {
            let group = (route - self.next_route) % groups + 1;
            opens.push(Range { route, group, keys: range_of(start, end)? });
        }
        let routes_of = |group| -> Vec<RouteSpec> {
            opens.iter().filter(|range| range.group == group).map(Range::spec).collect()
        };
        let changes = (1..=groups)
            .map(|group| (group, routes_of(group)))
            .filter(|(_, routes)| !routes.is_empty())
            .map(|(group, routes)| (group, Change::Create { routes }))
            .collect();
        Ok(Plan { closes: Vec::new(), opens, changes })
    }

    /// The range that holds `key` becomes two, the right one starting at `key`.
    pub(crate) fn plan_split(&self, key: &[u8]) -> Result<Plan, CatalogueError> {
        check_boundary(key)?;
        let parent = &self.ranges[self.index_of(key)];
        if parent.keys.start() == key {
            return Err(CatalogueError::Boundary { key: key.to_vec(), route: parent.route });
        }
        let child =
            |ordinal, keys| Range { route: self.next_route + ordinal, group: parent.group, keys };
        let left = child(0, range_of(parent.keys.start(), key)?);
        let right = child(1, range_of(key, parent.keys.end())?);
        let children = vec![left.spec(), right.spec()];
        let change = Change::Split { parent: parent.route, children };
        let (closes, opens) = (vec![parent.route], vec![left, right]);
        Ok(Plan { closes, opens, changes: vec![(parent.group, change)] })
    }

    /// The range that holds `key` and its right neighbour become one.
    pub(crate) fn plan_merge(&self, key: &[u8]) -> Result<Plan, CatalogueError> {
        let index = self.index_of(key);
        let left = &self.ranges[index];
        let Some(right) = self.ranges.get(index + 1) else {
            return Err(CatalogueError::LastRange { route: left.route });
        };
        if left.group != right.group {
            return Err(CatalogueError::TwoGroups {
                left: left.route,
                left_group: left.group,
                right: right.route,
                right_group: right.group,
            });
        }
        let keys = left.keys.hull(&right.keys);
        let survivor = Range { route: self.next_route, group: left.group, keys };
        let parents = vec![left.route, right.route];
        let change = Change::Merge { parents: parents.clone(), survivor: survivor.spec() };
        let group = left.group;
        Ok(Plan { closes: parents, opens: vec![survivor], changes: vec![(group, change)] })
    }

    /// The range that holds `key` goes on in `to_group`. Keyviz is told where it closes, and opens
    /// the other side itself.
    pub(crate) fn plan_move(&self, key: &[u8], to_group: GroupId) -> Result<Plan, CatalogueError> {
        let old = &self.ranges[self.index_of(key)];
        if old.group == to_group {
            return Err(CatalogueError::SameGroup { route: old.route, group: to_group });
        }
        let new = Range { route: self.next_route, group: to_group, keys: old.keys.clone() };
        let change = Change::MoveOut { route: old.route, to_group, to_route: new.route };
        let changes = vec![(old.group, change)];
        Ok(Plan { closes: vec![old.route], opens: vec![new], changes })
    }

    /// The catalogue after `plan`.
    #[must_use]
    pub(crate) fn after(&self, plan: &Plan) -> Self {
        let stays = |range: &&Range| !plan.closes.contains(&range.route);
        let mut ranges: Vec<Range> =
            self.ranges.iter().filter(stays).chain(&plan.opens).cloned().collect();
        ranges.sort_by(|a, b| a.keys.start().cmp(b.keys.start()));
        let next_route = self.next_route + plan.opens.len() as u64;
        let after = Self { version: self.version + 1, next_route, ranges };
        debug_assert_eq!(after.first_gap(), None, "K1: the ranges tile the key space");
        after
    }
}

/// Boundaries that cut the key space into `count` ranges of equal width (by the first four bytes).
pub(crate) fn even_boundaries(count: u64) -> Vec<Vec<u8>> {
    let boundary = |index: u64| {
        let at = ((u128::from(index) << 32) / u128::from(count)) as u32;
        let mut key = at.to_be_bytes().to_vec();
        while key.last() == Some(&0) {
            key.pop();
        }
        key
    };
    (1..count).map(boundary).collect()
}

fn check_boundary(key: &[u8]) -> Result<(), CatalogueError> {
    if key.is_empty() {
        Err(CatalogueError::EmptyKey)
    } else if is_reserved(key) {
        Err(CatalogueError::Reserved { key: key.to_vec() })
    } else if key.len() > MAX_KEY_BYTES {
        Err(CatalogueError::TooLong { bytes: key.len(), limit: MAX_KEY_BYTES })
    } else {
        Ok(())
    }
}

fn range_of(start: &[u8], end: &[u8]) -> Result<KeyRange, CatalogueError> {
    KeyRange::new(start, end)
        .map_err(|_| CatalogueError::Unordered { left: start.to_vec(), right: end.to_vec() })
}

#[cfg(test)]
#[path = "catalogue_test.rs"]
mod catalogue_test;
