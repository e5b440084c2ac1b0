//! Why the store could not do something. Every message names the key, file or folder, the reason,
//! and what to do.

use std::path::PathBuf;

use keyviz_codec::{CodecError, Key};
use keyviz_lineage::GroupId;
use thiserror::Error;

/// A failure of the store.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum StoreError {
    #[error("data folder {path}: {source}; check that it exists, is writable and has space")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(
        "data folder {path} is in use by another keyviz process; stop it, or choose another --data-dir"
    )]
    Locked { path: PathBuf },
    #[error(
        "data folder {path} is not keyviz's: it holds {found:?}; choose an empty or new folder"
    )]
    Foreign { path: PathBuf, found: String },
    #[error(
        "data folder {path} has schema version {found}, this build knows up to {known}; upgrade keyviz. Nothing was changed"
    )]
    NewerSchema { path: PathBuf, found: u64, known: u64 },
    #[error(
        "RocksDB in {path} does not run with {setting}, so what has expired would never go; nothing is taken. Is another build of keyviz or RocksDB using this folder? (its OPTIONS file says)"
    )]
    NoGc { path: PathBuf, setting: &'static str },
    #[error(
        "cannot open RocksDB in {path}: {source}; if a file is damaged, move the folder aside or restore a backup (nothing was changed)"
    )]
    Open { path: PathBuf, source: rocksdb::Error },
    #[error(
        "RocksDB refused a write: {source}; {}. What was acknowledged is still held by the WAL",
        write_advice(source)
    )]
    Write { source: rocksdb::Error },
    #[error(
        "data folder {path} is missing, but {older} is there, which an upgrade kept of it: rename that to {path} to go back, or move it away to begin with an empty folder. Nothing was changed"
    )]
    OnlyOlder { path: PathBuf, older: PathBuf },
    #[error(
        "cannot keep {path}, the folder as it was, before its upgrade from schema version {from} to {to}: {reason}; it takes hard links beside db (or a copy, where db is on a disk of its own). Free disk space and start again. Nothing was changed"
    )]
    Checkpoint { path: PathBuf, from: u64, to: u64, reason: String },
    #[error(
        "the upgrade of {path} from schema version {from} to {to} stopped: {source}. Start again to go on, or go back: move {path} away, rename {checkpoint} to it, and run the older keyviz"
    )]
    Upgrade { path: PathBuf, from: u64, to: u64, checkpoint: PathBuf, source: Box<StoreError> },
    #[error(
        "the upgrade from schema version {from} to {to} was told to stop; the next start goes on with it"
    )]
    UpgradeStopped { from: u64, to: u64 },
    #[error(
        "{path}, what an upgrade kept of the folder as it was, cannot be removed: {source}; remove it by hand, it keeps disk space"
    )]
    Leftover { path: PathBuf, source: std::io::Error },
    #[error(
        "{key} of group {group} was damaged, and was set aside under damaged| when it had to be written: what it held is missing here; restore a backup to have it back"
    )]
    SetAside { group: GroupId, key: String },
    #[error(
        "RocksDB failed to read {key} of group {group}: {source}; check the disk, and restore a backup if a file is damaged"
    )]
    Read { group: GroupId, key: String, source: rocksdb::Error },
    #[error("{key} of group {group}: {source}")]
    Damaged { group: GroupId, key: String, source: CodecError },
    #[error(
        "{key} of group {group} is not in the catalogue of keys; was it written by a newer keyviz?"
    )]
    UnknownKey { group: GroupId, key: String },
    #[error("{path} is no keyviz data folder: {reason}; check the path")]
    Missing { path: PathBuf, reason: &'static str },
    #[error("{path} is not empty (it holds {found:?}); name a folder that is new or empty")]
    NotEmpty { path: PathBuf, found: String },
    #[error(
        "backup folder {path}: {source}; check that it exists, is writable and has space, then try again"
    )]
    BackupFolder { path: PathBuf, source: std::io::Error },
    #[error("backup folder {path} is in use by another keyviz process; wait until it has ended")]
    BackupLocked { path: PathBuf },
    #[error(
        "{path} is not a backup folder of keyviz: it holds {found:?}; choose an empty or new folder"
    )]
    ForeignBackup { path: PathBuf, found: String },
    #[error("{path} holds no backup {id}; `keyviz backup --list --to {path}` shows those it holds")]
    NoBackup { path: PathBuf, id: String },
    #[error("{path} cannot be trusted: {reason}; take another backup of the list")]
    DamagedBackup { path: PathBuf, reason: String },
    #[error(
        "RocksDB's backup engine in {path}: {source}; if a file is damaged, take another backup of the list"
    )]
    BackupEngine { path: PathBuf, source: rocksdb::Error },
    #[error("compaction of {path} did not end well: {reason}; see `keyviz check`")]
    Compact { path: PathBuf, reason: String },
    #[error(
        "roll-ups of group {group}: {why}; restore a backup. What is still in blocks is shown from them"
    )]
    NumbersLost { group: GroupId, why: String },
    #[error(
        "the windows of hour {hour} of group {group} do not fit into the roll-ups, and its blocks have expired; ask for whole hours"
    )]
    RollupUneven { group: GroupId, hour: u64 },
    #[error("hour {hour} of group {group} has expired, but for the ranges that are pinned")]
    Expired { group: GroupId, hour: u64 },
    /// What another node says that it cannot read.
    #[error("{why}")]
    Told { why: String },
}

/// Once RocksDB has met a damaged file while merging, it takes no writes.
fn write_advice(source: &rocksdb::Error) -> &'static str {
    match source.kind() {
        rocksdb::ErrorKind::Corruption => "a file of it is damaged: restore a backup",
        _ => "free disk space or check the device",
    }
}

impl StoreError {
    /// A value that does not decode.
    pub fn damaged(group: GroupId, key: &Key, source: CodecError) -> Self {
        Self::Damaged { group, key: key.to_string(), source }
    }

    /// Whether something stored is damaged: it fails a checksum, RocksDB's or ours. What a newer
    /// keyviz wrote is not.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { source, .. } => !matches!(source, CodecError::Version { .. }),
            Self::Read { source, .. } => source.kind() == rocksdb::ErrorKind::Corruption,
            _ => false,
        }
    }
}
