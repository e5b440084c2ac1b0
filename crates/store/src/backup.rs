//! A folder of backups: RocksDB's files, shared between backups, and the WAL segments that belong to
//! them.
//!
//! ```text
//! <backups>/LOCK          locked while a process writes (or shared, while one reads)
//! <backups>/db/           RocksDB's BackupEngine: SSTs by name, size and session, each once
//! <backups>/<id>/wal/     the WAL segments of backup <id>
//! <backups>/<id>/manifest what is in it; one line of JSON, one line with its CRC32
//! <backups>/incoming/     a backup that is being taken; <id> once it is whole
//! ```
//!
//! Owns: that folder. The segments come from the owner of the log, already open.
//! Invariants:
//!
//! - **A backup holds all that was acknowledged before it began.** The segments are taken hold of first
//!   (on the log's own thread, between two commits), RocksDB is copied after that. A record that was
//!   acknowledged by then is in a segment that is held, or was released before, and a record is released
//!   only once every group has applied it in a synced batch (R4), so it is in RocksDB, and in every
//!   later copy of it. What is released, shed or appended while the copies are made changes neither: a
//!   held segment is read through its open file, up to the length it had. The other order would lose
//!   what is applied and released between the two copies.
//! - **A copy of RocksDB that is newer than the segments does no harm.** Its blocks say in the same batch
//!   how far their group is applied, so the replay skips what is in them (R3); new records get sequences
//!   above every applied mark. Lineage records and boot marks in it are newer too: every row of a held
//!   segment finds its lineage. Of what was acknowledged after the beginning, some groups have more than
//!   others; each group's coverage says what it has, so what is not there is *missing*, not zero.
//! - A backup is listed once its folder has its final name, and that is the last step, after every file
//!   and folder in it was synced. What a killed one has left is removed by the next.
//!
//! Must not: know what a segment holds, or read a clock.
//! Proof: `backup_test.rs`; `tests/tests/backup.rs` with a killed node.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use keyviz_lineage::GroupId;
use rocksdb::Env;
use rocksdb::backup::{BackupEngine, BackupEngineOptions};
use serde::{Deserialize, Serialize};

use crate::{History as _, Store, StoreError, failpoint};

mod restore;

pub use restore::{finish_restore, restore};

const LOCK: &str = "LOCK";
const DB: &str = "db";
const WAL: &str = "wal";
const MANIFEST: &str = "manifest";
const INCOMING: &str = "incoming";
/// The layout of the manifest.
const FORMAT: u32 = 1;

/// A WAL segment to copy: exactly `bytes` are read.
pub struct WalFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its content.
    pub reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for WalFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WalFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A copied segment.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct WalCopy {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Of its bytes.
    pub crc32: u32,
}

/// What is in one backup.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Layout of this manifest.
    pub format: u32,
    /// Its number.
    pub id: u32,
    /// When it began, Unix milliseconds.
    pub taken_unix_ms: u64,
    /// Schema version of the folder.
    pub schema: u64,
    /// Bytes of RocksDB's files, shared ones included.
    pub db_bytes: u64,
    /// How many files those are.
    pub db_files: u32,
    /// For each group, the last WAL sequence that RocksDB's copy has applied, or a later one.
    pub applied: BTreeMap<GroupId, u64>,
    /// The WAL segments.
    pub wal: Vec<WalCopy>,
}

/// An entry of a list.
#[derive(Debug)]
pub struct Listed {
    /// Its number.
    pub id: u32,
    /// What is in it, or why that cannot be told.
    pub manifest: Result<Manifest, StoreError>,
}

/// A folder of backups that this process holds.
#[derive(Debug)]
pub struct Backups {
    path: PathBuf,
    _lock: File,
}

impl Backups {
    /// Opens a folder for taking backups, made if need be.
    ///
    /// # Errors
    /// [`StoreError::BackupFolder`], [`StoreError::BackupLocked`], [`StoreError::ForeignBackup`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = failed(path);
        fs::create_dir_all(path).map_err(failed)?;
        check_names(path)?;
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(failed)?;
        Self::locked(path, lock.try_lock(), lock)
    }

    /// Opens a folder for reading backups; nothing is written to it.
    ///
    /// # Errors
    /// As [`Backups::open`].
    pub fn open_for_reading(path: &Path) -> Result<Self, StoreError> {
        let failed = failed(path);
        check_names(path)?;
        let lock = File::open(path.join(LOCK)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::ForeignBackup {
                path: path.to_owned(),
                found: "no LOCK file".to_owned(),
            },
            _ => failed(error),
        })?;
        Self::locked(path, lock.try_lock_shared(), lock)
    }

    fn locked(
        path: &Path,
        result: Result<(), TryLockError>,
        lock: File,
    ) -> Result<Self, StoreError> {
        let path = path.to_owned();
        match result {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::BackupLocked { path }),
            Err(TryLockError::Error(source)) => Err(StoreError::BackupFolder { path, source }),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every whole backup, oldest first.
    ///
    /// # Errors
    /// [`StoreError::BackupFolder`].
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let ids = self.ids()?;
        Ok(ids.into_iter().map(|id| Listed { id, manifest: self.manifest(id) }).collect())
    }

    fn ids(&self) -> Result<Vec<u32>, StoreError> {
        let names = names(&self.path).map_err(failed(&self.path))?;
        let mut ids: Vec<u32> = names.iter().filter_map(|name| backup_id(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn manifest(&self, id: u32) -> Result<Manifest, StoreError> {
        let path = self.path.join(id.to_string()).join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        let damaged = |reason: String| StoreError::DamagedBackup { path: path.clone(), reason };
        let (json, crc) = text
            .trim_end_matches('\n')
            .rsplit_once("\ncrc32 ")
            .ok_or_else(|| damaged("its last line is no checksum".to_owned()))?;
        if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(json.as_bytes())) {
            return Err(damaged("it fails its checksum".to_owned()));
        }
        let manifest: Manifest =
            serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT || manifest.id != id {
            let Manifest { format, id, .. } = manifest;
            return Err(damaged(format!("it is of format {format} and of backup {id}")));
        }
        Ok(manifest)
    }

    /// Takes a backup of a store and of the segments of its log, which must have been taken hold of
    /// before this is called. `now_ms` is only written down.
    ///
    /// # Errors
    /// [`StoreError::BackupFolder`], [`StoreError::BackupEngine`], or a read failure of the store. The
    /// backups that were there are as they were.
    pub fn take(
        &self,
        store: &Store,
        wal: Vec<WalFile>,
        now_ms: u64,
    ) -> Result<Manifest, StoreError> {
        self.clean_up()?;
        let incoming = self.path.join(INCOMING);
        let copies = incoming.join(WAL);
        fs::create_dir_all(&copies).map_err(failed(&copies))?;
        let mut copied = Vec::new();
        for file in wal {
            let to = copies.join(&file.name);
            copied.push(copy_wal(file, &to).map_err(failed(&to))?);
        }
        let view = store.view(now_ms);
        let mut applied = BTreeMap::new();
        for group in view.groups()? {
            applied.insert(group, view.applied(group)?.wal_sequence);
        }
        drop(view);
        failpoint::reached("backup-wal", "")?;
        let mut engine = self.engine()?;
        let broken = |source| StoreError::BackupEngine { path: self.path.clone(), source };
        // Keeps all of them, and collects what a killed one has left.
        engine.purge_old_backups(u32::MAX as usize).map_err(broken)?;
        engine.create_new_backup_flush(&store.db, true).map_err(broken)?;
        let backups = engine.get_backup_info();
        let taken = backups.into_iter().max_by_key(|info| info.backup_id);
        let Some(taken) = taken else {
            let reason = "the engine does not list what it has taken".to_owned();
            return Err(StoreError::DamagedBackup { path: self.path.clone(), reason });
        };
        let manifest = Manifest {
            format: FORMAT,
            id: taken.backup_id,
            taken_unix_ms: now_ms,
            schema: keyviz_migrations::CURRENT,
            db_bytes: taken.size,
            db_files: taken.num_files,
            applied,
            wal: copied,
        };
        failpoint::reached("backup-manifest", "")?;
        self.install(&manifest, &incoming).map_err(failed(&self.path))?;
        Ok(manifest)
    }

    /// Writes the manifest and gives the backup its name: from then on it is listed.
    fn install(&self, manifest: &Manifest, incoming: &Path) -> io::Result<()> {
        let json = serde_json::to_string(manifest)?;
        let crc = crc32fast::hash(json.as_bytes());
        let mut file = File::create_new(incoming.join(MANIFEST))?;
        file.write_all(format!("{json}\ncrc32 {crc:08x}\n").as_bytes())?;
        file.sync_all()?;
        for folder in [&incoming.join(WAL), incoming] {
            File::open(folder)?.sync_all()?;
        }
        fs::rename(incoming, self.path.join(manifest.id.to_string()))?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes what killed backups have left: `incoming/`, and what the engine holds without a folder
    /// of ours (it was killed between the two). The engine collects the files themselves.
    fn clean_up(&self) -> Result<(), StoreError> {
        let incoming = self.path.join(INCOMING);
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(failed(&incoming))?;
        }
        let ours = self.ids()?;
        let meta = self.path.join(DB).join("meta");
        if meta.exists() {
            for name in names(&meta).map_err(failed(&meta))? {
                if backup_id(&name).is_some_and(|id| !ours.contains(&id)) {
                    let path = meta.join(name);
                    fs::remove_file(&path).map_err(failed(&path))?;
                }
            }
        }
        Ok(())
    }

    fn engine(&self) -> Result<BackupEngine, StoreError> {
        let broken = |source| StoreError::BackupEngine { path: self.path.clone(), source };
        let options = BackupEngineOptions::new(self.path.join(DB)).map_err(broken)?;
        BackupEngine::open(&options, &Env::new().map_err(broken)?).map_err(broken)
    }
}

fn copy_wal(mut file: WalFile, to: &Path) -> io::Result<WalCopy> {
    let mut out = File::create_new(to)?;
    let (mut crc, mut bytes) = (crc32fast::Hasher::new(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match file.reader.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        crc.update(&buffer[..read]);
        out.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    if bytes != file.bytes {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    out.sync_all()?;
    Ok(WalCopy { name: file.name, bytes, crc32: crc.finalize() })
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StoreError + Copy + '_ {
    move |source| StoreError::BackupFolder { path: path.to_owned(), source }
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The number that a name is, written as keyviz and RocksDB write it.
fn backup_id(name: &str) -> Option<u32> {
    name.parse().ok().filter(|id: &u32| *id > 0 && id.to_string() == name)
}

fn check_names(path: &Path) -> Result<(), StoreError> {
    for name in names(path).map_err(failed(path))? {
        let is_ours = [LOCK, DB, INCOMING, "lost+found"].contains(&name.as_str());
        if !is_ours && backup_id(&name).is_none() {
            return Err(StoreError::ForeignBackup { path: path.to_owned(), found: name });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "backup_test.rs"]
mod backup_test;
