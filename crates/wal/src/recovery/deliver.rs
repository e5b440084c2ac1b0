//! Which record comes from which segment, and which must be written anew.
//!
//! Responsible for: resolving sequences that several segments hold; reading what the last life may
//! not have synced into memory.
//! Owns: nothing.
//! Invariants: each sequence is delivered by one segment, the last that holds it.
//! Must not: change a file.
//! Proved by: `fault_test.rs`, `model_test.rs`.
//!
//! Why the last segment is carried over: the last life may have died between a failed fsync and
//! writing the frames elsewhere. Such a file reads well from the page cache, and another fsync on it
//! says Ok, although its bytes never reached the disk. Only new pages in a new file can be trusted.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use crate::fs::FileSystem;
use crate::layout::{Seed, SegmentName};
use crate::replay::{Piece, Recovery};
use crate::report::RecoveryReport;
use crate::scan::Scan;
use crate::unsynced::Unsynced;

/// A segment that may hold records.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: SegmentName,
    pub(super) path: PathBuf,
    pub(super) bytes: usize,
    pub(super) scan: Scan,
    /// The file is shorter than a header, or all zeros.
    pub(super) blank: bool,
    /// The last block that could not be read ends here; 0 if all could.
    pub(super) unreadable_to: u64,
}

/// Records of one extent that this segment delivers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Index of the candidate.
    pub(super) index: usize,
    pub(super) start: usize,
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
}

impl Candidate {
    pub(super) fn piece(&self, delivery: &Delivery) -> Piece {
        Piece {
            path: self.path.clone(),
            segment_id: self.name.id,
            file_bytes: self.bytes,
            start: delivery.start,
            first_sequence: delivery.first_sequence,
            last_sequence: delivery.last_sequence,
        }
    }
}

/// Gives every intact sequence to the last segment that holds it; in sequence order.
pub(super) fn deliver_newest(kept: &[Candidate]) -> Vec<Delivery> {
    let mut taken: BTreeMap<u64, Delivery> = BTreeMap::new();
    for (index, candidate) in kept.iter().enumerate().rev() {
        for extent in &candidate.scan.extents {
            let mut first = extent.first_sequence;
            let mut free = Vec::new();
            let before = taken.range(..first).next_back().map(|(_, d)| d.last_sequence);
            let within = taken.range(first..=extent.last_sequence);
            let occupied = before.map(|last| (0, last)).into_iter();
            for (from, to) in occupied.chain(within.map(|(&from, d)| (from, d.last_sequence))) {
                if from > first {
                    free.push((first, from - 1));
                }
                first = first.max(to + 1);
            }
            if first <= extent.last_sequence {
                free.push((first, extent.last_sequence));
            }
            for (first_sequence, last_sequence) in free {
                let start = extent.start;
                let delivery = Delivery { index, start, first_sequence, last_sequence };
                taken.insert(first_sequence, delivery);
            }
        }
    }
    taken.into_values().collect()
}

/// Reads the records from the first of the last segment on into memory: by W7 all before them were
/// synced. If not all of them can be read now, the error is the first sequence that must not be
/// delivered, because no commit of this life could cover it.
pub(super) fn carry_last(
    fs: &Arc<dyn FileSystem>,
    kept: &[Candidate],
    deliveries: &[Delivery],
) -> Result<Unsynced, u64> {
    let mut carried = Unsynced::default();
    let Some(from) = kept.last().and_then(|last| last.scan.first_sequence()) else {
        return Ok(carried);
    };
    let mut plan = VecDeque::new();
    for delivery in deliveries.iter().filter(|d| d.last_sequence >= from) {
        let first_sequence = delivery.first_sequence.max(from);
        plan.push_back(kept[delivery.index].piece(&Delivery { first_sequence, ..*delivery }));
    }
    let seed = Seed::new(0); // sealed again when it is written
    let mut reader = Recovery::new(Arc::clone(fs), RecoveryReport::default(), plan, Vec::new());
    while let Some(record) = reader.next_record() {
        carried.push(&seed, record.sequence, record.kind, record.flags, record.payload);
    }
    if reader.report().unreplayed_records > 0 { Err(from) } else { Ok(carried) }
}
