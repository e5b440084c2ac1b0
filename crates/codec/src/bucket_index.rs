//! The index of virtual buckets: which buckets had counts in one hour of one group, which keys they
//! stand for, and who their members were (contract section 6).
//!
//! Value under `index|<hour>`, in the group of each bucket's first member, inside
//! [`crate::envelope`], version 1, LEB128 varints. "List": how many, the first, then gaps - 1.
//!
//! ```text
//! n buckets | for each, by id (the UUIDv8 of its bounds, which is not stored):
//!   start: length, bytes | end: length, bytes | groups: list
//!   member count | members: list, at most 256 | first ms | last ms - first ms
//! ```
//!
//! The cells of a bucket are in [`crate::HourBlocks`] under `range|<bucket id>|<hour>` of the same
//! group.
//! Invariants: merging is a union (commutative, associative, idempotent), so late columns and
//! replays do no harm (I1); of more than 256 members the smallest ids are listed, and the total is
//! the largest that any column gave (I2); a value has one form: what decodes, encodes to the same
//! bytes (I3).

use std::collections::{BTreeMap, BTreeSet};

use keyviz_lineage::column::MAX_KEY_BYTES;
use keyviz_lineage::id::virtual_id;
use keyviz_lineage::{Bucket, GroupId, KeyRange, LineageId, MAX_LISTED_MEMBERS, RouteId, Window};

use crate::varint::{Reader, Writer};
use crate::{CodecError, envelope};

const VERSION: u8 = 1;
const WHAT: &str = "bucket index";

/// The virtual buckets of one hour of one group, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketIndex {
    /// The buckets. Each key is the id of its range ([`virtual_id`]).
    pub entries: BTreeMap<LineageId, IndexedBucket>,
}

/// What is known of one bucket in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedBucket {
    /// The keys that it stands for.
    pub range: KeyRange,
    /// The groups of its counts, and the one that keeps it.
    pub groups: BTreeSet<GroupId>,
    /// Its members, at most [`MAX_LISTED_MEMBERS`].
    pub members: BTreeSet<RouteId>,
    /// How many members it had at most.
    pub member_count: u64,
    /// Where its first recorded window starts, Unix milliseconds.
    pub first_ms: u64,
    /// Where its last recorded window ends, Unix milliseconds.
    pub last_ms: u64,
}

impl BucketIndex {
    /// Adds what a column says of a bucket in `window`.
    pub fn add(&mut self, bucket: &Bucket, window: Window) {
        let groups = bucket.parts.iter().map(|part| part.group).chain([bucket.group]);
        let entry = IndexedBucket {
            range: bucket.range.clone(),
            groups: groups.collect(),
            members: bucket.members.iter().copied().collect(),
            member_count: bucket.member_count,
            first_ms: window.start_ms,
            last_ms: window.end_ms(),
        };
        self.merge_entry(bucket.id(), &entry);
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.entries.iter().for_each(|(&id, entry)| self.merge_entry(id, entry));
    }

    fn merge_entry(&mut self, id: LineageId, entry: &IndexedBucket) {
        match self.entries.get_mut(&id) {
            Some(held) => held.merge(entry),
            None => {
                self.entries.insert(id, entry.clone());
            }
        }
    }

    /// The stored value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.uint(self.entries.len() as u64);
        for (id, entry) in &self.entries {
            debug_assert_eq!(*id, virtual_id(&entry.range), "a bucket is named by its bounds");
            out.range(&entry.range);
            out.ascending(entry.groups.iter());
            out.uint(entry.member_count);
            out.ascending(entry.members.iter());
            out.uint(entry.first_ms);
            out.uint(entry.last_ms - entry.first_ms);
        }
        envelope::seal(VERSION, &out.bytes)
    }

    /// From a stored value.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        let mut input = Reader::new(envelope::open(WHAT, VERSION, value)?, WHAT);
        let mut index = Self::default();
        for _ in 0..input.count()? {
            let entry = IndexedBucket::decode(&mut input)?;
            let id = virtual_id(&entry.range);
            if index.entries.last_key_value().is_some_and(|(last, _)| *last >= id) {
                return Err(input.invalid("buckets out of order"));
            }
            index.entries.insert(id, entry);
        }
        input.end()?;
        Ok(index)
    }
}

impl IndexedBucket {
    /// Adds what is known of the same bucket elsewhere (I1).
    pub fn merge(&mut self, other: &Self) {
        self.groups.extend(&other.groups);
        self.members.extend(&other.members);
        while self.members.len() > MAX_LISTED_MEMBERS {
            self.members.pop_last();
        }
        let listed = self.members.len() as u64;
        self.member_count = self.member_count.max(other.member_count).max(listed);
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let range = input.range()?;
        if range.start().len().max(range.end().len()) > MAX_KEY_BYTES {
            return Err(input.invalid("a key that is too long"));
        }
        let groups: BTreeSet<GroupId> = input.ascending(usize::MAX)?.into_iter().collect();
        if groups.first().is_none_or(|&group| group == 0) {
            return Err(input.invalid("a bucket without groups, or group 0"));
        }
        let member_count = input.uint()?;
        let members: BTreeSet<RouteId> = input.ascending(MAX_LISTED_MEMBERS)?.into_iter().collect();
        if members.contains(&0) || member_count < (members.len() as u64).max(1) {
            return Err(input.invalid("a wrong number of members, or member 0"));
        }
        let first_ms = input.uint()?;
        let last_ms = first_ms.checked_add(input.uint()?);
        let last_ms = last_ms.ok_or_else(|| input.invalid("a time beyond 64 bits"))?;
        Ok(Self { range, groups, members, member_count, first_ms, last_ms })
    }
}

#[cfg(test)]
#[path = "bucket_index_test.rs"]
mod bucket_index_test;
