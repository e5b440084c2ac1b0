//! Virtual buckets: adjacent routes that a source over its budget counted together (contract
//! sections 5 and 9).
//!
//! A bucket has no lineage: it is named by its bounds ([`Bucket::id`]), and a query treats it as a
//! source of every lineage that overlaps it. Its writes are kept per (group, term), so that what two
//! nodes report of the same leadership counts once.
//! Invariants (checked by [`super::Column::validate`]): buckets go by (start, end) without
//! duplicates; the home group and every part's group are in the column's `groups`; parts go by
//! (group, term) without duplicates; at most [`MAX_LISTED_MEMBERS`] members, ascending, none 0, and
//! no more of them than the true total, which is at least 1.

use thiserror::Error;

use super::{Counts, Flags, MAX_KEY_BYTES};
use crate::{GroupId, KeyRange, LineageId, RouteId, id};

/// How many members of a bucket are listed; the true total is always given.
pub const MAX_LISTED_MEMBERS: usize = 256;

/// What one source counted in one window on routes that it counts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it is kept: the group of its first member in key order.
    pub group: GroupId,
    /// The keys that it stands for.
    pub range: KeyRange,
    /// Its members, ascending, at most [`MAX_LISTED_MEMBERS`].
    pub members: Vec<RouteId>,
    /// How many members it has.
    pub member_count: u64,
    /// The counts, by (group, term).
    pub parts: Vec<BucketPart>,
}

/// What was counted in a bucket on the members of one group under one term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPart {
    /// The members' group.
    pub group: GroupId,
    /// The term that this node led for these writes; 0 = unknown or not the leader.
    pub term: u64,
    /// What was counted.
    pub counts: Counts,
    /// What the source itself knows to be inexact.
    pub flags: Flags,
}

impl Bucket {
    /// The id that its bounds give it.
    pub fn id(&self) -> LineageId {
        id::virtual_id(&self.range)
    }

    /// What buckets are sorted by.
    pub fn order(&self) -> (&[u8], &[u8]) {
        (self.range.start(), self.range.end())
    }
}

/// Why a bucket is malformed.
#[allow(missing_docs)] // the messages name the fields
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BucketError {
    /// Group or member 0.
    #[error("{what} 0 is reserved; route and group ids are non-zero")]
    Zero { what: &'static str },
    /// A bucket out of order, or given twice.
    #[error("it is out of order or given twice: buckets go by (start key, end key)")]
    Order,
    /// A group that it names but the column does not list.
    #[error("it names group {group}, which the column's groups do not list")]
    UnlistedGroup { group: GroupId },
    /// A part out of order, or given twice.
    #[error(
        "part {part} (group {group}, term {term}) is out of order or given twice: parts go by (group, term)"
    )]
    PartOrder { part: usize, group: GroupId, term: u64 },
    /// A member out of order, or given twice.
    #[error("member {route} is out of order or given twice: members are ascending")]
    MemberOrder { route: RouteId },
    /// More members than may be listed.
    #[error("it lists {listed} members; list the first 256 and give the true total")]
    TooManyMembers { listed: usize },
    /// A total that cannot be.
    #[error("its member count is {count}, with {listed} members listed: give the true total")]
    MemberCount { count: u64, listed: usize },
    /// A key over the limit.
    #[error("it has a bound of {bytes} bytes; the limit is 65,536")]
    KeyTooLong { bytes: usize },
}

/// Checks the invariants in this module's header. The error comes with the bucket's index.
pub(super) fn check(buckets: &[Bucket], groups: &[GroupId]) -> Result<(), (usize, BucketError)> {
    let mut previous: Option<(&[u8], &[u8])> = None;
    for (index, bucket) in buckets.iter().enumerate() {
        check_one(bucket, groups).map_err(|source| (index, source))?;
        let key = bucket.order();
        if previous.is_some_and(|last| last >= key) {
            return Err((index, BucketError::Order));
        }
        previous = Some(key);
    }
    Ok(())
}

fn check_one(bucket: &Bucket, groups: &[GroupId]) -> Result<(), BucketError> {
    check_group(bucket.group, groups)?;
    let bytes = bucket.range.start().len().max(bucket.range.end().len());
    if bytes > MAX_KEY_BYTES {
        return Err(BucketError::KeyTooLong { bytes });
    }
    let (listed, count) = (bucket.members.len(), bucket.member_count);
    if listed > MAX_LISTED_MEMBERS {
        return Err(BucketError::TooManyMembers { listed });
    }
    if count == 0 || count < listed as u64 {
        return Err(BucketError::MemberCount { count, listed });
    }
    let mut last_member = None;
    for &route in &bucket.members {
        if route == 0 {
            return Err(BucketError::Zero { what: "member" });
        }
        if last_member.is_some_and(|last| last >= route) {
            return Err(BucketError::MemberOrder { route });
        }
        last_member = Some(route);
    }
    let mut last_part = None;
    for (part, &BucketPart { group, term, .. }) in bucket.parts.iter().enumerate() {
        check_group(group, groups)?;
        if last_part.is_some_and(|last| last >= (group, term)) {
            return Err(BucketError::PartOrder { part, group, term });
        }
        last_part = Some((group, term));
    }
    Ok(())
}

fn check_group(group: GroupId, groups: &[GroupId]) -> Result<(), BucketError> {
    if group == 0 {
        return Err(BucketError::Zero { what: "group" });
    }
    groups.binary_search(&group).map(|_| ()).map_err(|_| BucketError::UnlistedGroup { group })
}

#[cfg(test)]
#[path = "bucket_test.rs"]
mod bucket_test;
