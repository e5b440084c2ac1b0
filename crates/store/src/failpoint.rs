//! Failpoints: places on the write paths where a test has RocksDB, or the disk, fail.
//!
//! | name | what breaks |
//! |---|---|
//! | `persist-batch` | the batch of a group's checkpoint |
//! | `lineage-batch` | the batch of transitions, or of a restored record |
//! | `sweep-batch` | the batch that removes lineage records |
//! | `pin-batch` | the batch of a pin, or of its removal |
//! | `marks-batch` | the boot marks before the WAL is released, and any other mark of the node |
//! | `upgrade-batch` | a batch of an upgrade |
//! | `checkpoint-flush` | writing the memtable out |
//! | `backup-wal` | between the copies of the log and RocksDB's own backup |
//! | `backup-manifest` | between RocksDB's backup and the manifest that lists it |
//!
//! A batch breaks in two ways: as `<name>-refused` nothing of it is written; as `<name>-unanswered` it is, and
//! the answer is an error all the same, as after an fsync that failed.
//! Invariant: without the feature `failpoints`, which no binary has, nothing is looked up and nothing breaks.
//! Proof: `crates/replica/tests/failpoints.rs` (`make test` runs it with the feature).

use crate::StoreError;

/// Fails where a test has said so.
#[cfg(feature = "failpoints")]
pub(crate) fn reached(name: &str, how: &str) -> Result<(), StoreError> {
    let point = format!("{name}{how}");
    fail::fail_point!(&point, |_| {
        let source = std::io::Error::other(format!("failpoint {point}"));
        Err(StoreError::Folder { path: "db".into(), source })
    });
    Ok(())
}

/// Nothing breaks.
#[cfg(not(feature = "failpoints"))]
#[allow(clippy::unnecessary_wraps)] // as with the feature
pub(crate) const fn reached(_name: &str, _how: &str) -> Result<(), StoreError> {
    Ok(())
}
