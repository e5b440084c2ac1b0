//! Virtual buckets of a column: wire <-> domain.
//!
//! On the wire, what buckets have several of (members, parts) lies in arrays of its own, one bucket's
//! behind the other's, and each bucket says how many are its own.
//! Proof: `bucket_test.rs`.

use std::sync::Arc;

use keyviz_lineage::{Bucket, BucketPart, Counts, KeyRange};

use super::{ConvertError, Room, bound, equal, flags_from_wire, flags_to_wire, wire};

/// Fills in the arrays of the buckets.
pub(super) fn to_wire(buckets: &[Bucket], index: impl Fn(&[u8]) -> u32, out: &mut wire::Column) {
    let parts = || buckets.iter().flat_map(|bucket| &bucket.parts);
    out.bucket_start = buckets.iter().map(|bucket| index(bucket.range.start())).collect();
    out.bucket_end = buckets.iter().map(|bucket| index(bucket.range.end())).collect();
    out.bucket_group = buckets.iter().map(|bucket| bucket.group).collect();
    out.bucket_member_count = buckets.iter().map(|bucket| bucket.member_count).collect();
    out.bucket_listed_members = buckets.iter().map(|bucket| bucket.members.len() as u32).collect();
    out.bucket_members = buckets.iter().flat_map(|bucket| &bucket.members).copied().collect();
    out.bucket_parts = buckets.iter().map(|bucket| bucket.parts.len() as u32).collect();
    out.part_group = parts().map(|part| part.group).collect();
    out.part_term = parts().map(|part| part.term).collect();
    out.part_reads = parts().map(|part| part.counts.reads).collect();
    out.part_writes = parts().map(|part| part.counts.writes).collect();
    out.part_read_bytes = parts().map(|part| part.counts.read_bytes).collect();
    out.part_write_bytes = parts().map(|part| part.counts.write_bytes).collect();
    out.part_flags = flags_to_wire(parts().map(|part| part.flags));
}

/// The buckets, their arrays checked against each other; [`keyviz_lineage::Column::validate`] checks
/// the rest.
pub(super) fn from_wire(
    column: &wire::Column,
    bounds: &[Arc<[u8]>],
    room: &mut Room,
) -> Result<Vec<Bucket>, ConvertError> {
    check_lengths(column)?;
    let (mut members, mut next_part) = (column.bucket_members.as_slice(), 0);
    let mut buckets = Vec::with_capacity(column.bucket_group.len());
    for bucket in 0..column.bucket_group.len() {
        let start = bound(bounds, bucket, "bucket_start", column.bucket_start[bucket])?;
        let end = bound(bounds, bucket, "bucket_end", column.bucket_end[bucket])?;
        let range = KeyRange::new(start, end)
            .map_err(|source| ConvertError::BucketRange { bucket, source })?;
        room.take(&range)?;
        // In bounds: the shares add up.
        let (own, rest) = members.split_at(column.bucket_listed_members[bucket] as usize);
        members = rest;
        let parts = next_part..next_part + column.bucket_parts[bucket] as usize;
        next_part = parts.end;
        buckets.push(Bucket {
            group: column.bucket_group[bucket],
            range,
            members: own.to_vec(),
            member_count: column.bucket_member_count[bucket],
            parts: parts.map(|at| part_from_wire(column, at)).collect::<Result<_, _>>()?,
        });
    }
    Ok(buckets)
}

fn check_lengths(column: &wire::Column) -> Result<(), ConvertError> {
    let count = column.bucket_group.len();
    for (field, got) in [
        ("bucket_start", column.bucket_start.len()),
        ("bucket_end", column.bucket_end.len()),
        ("bucket_member_count", column.bucket_member_count.len()),
        ("bucket_listed_members", column.bucket_listed_members.len()),
        ("bucket_parts", column.bucket_parts.len()),
    ] {
        equal(field, got, "bucket_group", count)?;
    }
    let parts = column.part_group.len();
    for (field, got) in [
        ("part_term", column.part_term.len()),
        ("part_reads", column.part_reads.len()),
        ("part_writes", column.part_writes.len()),
        ("part_read_bytes", column.part_read_bytes.len()),
        ("part_write_bytes", column.part_write_bytes.len()),
    ] {
        equal(field, got, "part_group", parts)?;
    }
    if !column.part_flags.is_empty() {
        equal("part_flags", column.part_flags.len(), "part_group", parts)?;
    }
    for (field, shares, got) in [
        ("bucket_listed_members", &column.bucket_listed_members, column.bucket_members.len()),
        ("bucket_parts", &column.bucket_parts, parts),
    ] {
        let sum = shares.iter().map(|&share| u64::from(share)).sum();
        if sum != got as u64 {
            return Err(ConvertError::Share { field, sum, got });
        }
    }
    Ok(())
}

fn part_from_wire(column: &wire::Column, at: usize) -> Result<BucketPart, ConvertError> {
    Ok(BucketPart {
        group: column.part_group[at],
        term: column.part_term[at],
        counts: Counts {
            reads: column.part_reads[at],
            writes: column.part_writes[at],
            read_bytes: column.part_read_bytes[at],
            write_bytes: column.part_write_bytes[at],
        },
        flags: flags_from_wire(&column.part_flags, "part_flags", at)?,
    })
}

#[cfg(test)]
#[path = "bucket_test.rs"]
mod bucket_test;
