//! A backup becomes a data folder again.
//!
//! Responsible for: the manifest and every WAL segment verified, RocksDB's files restored (its engine
//! compares the checksum of each file as it copies it).
//! Invariants: the target is new or empty; until [`finish_restore`] it holds a file that makes every
//! keyviz refuse it, so a restore that was killed is never served; nothing of the backups changes.
//! Proof: `backup_test.rs`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use rocksdb::backup::RestoreOptions;

use super::{Backups, Manifest, WAL, WalFile, copy_wal};
use crate::{StoreError, data_dir};

/// While this is there, the folder is no data folder.
const INCOMPLETE: &str = "RESTORE-INCOMPLETE";

/// Restores a backup (the newest if no `id` is given) into a folder that is new or empty. The caller
/// checks what is in it, and then calls [`finish_restore`].
///
/// # Errors
/// [`StoreError::NotEmpty`], [`StoreError::NoBackup`], [`StoreError::NewerSchema`],
/// [`StoreError::DamagedBackup`] and [`StoreError::BackupEngine`] name what is wrong.
pub fn restore(backups: &Backups, id: Option<u32>, into: &Path) -> Result<Manifest, StoreError> {
    let folder = |source| StoreError::Folder { path: into.to_owned(), source };
    let from = backups.path().to_owned();
    let ids = backups.ids()?;
    let wanted = id.or(ids.last().copied()).filter(|id| ids.contains(id));
    let Some(wanted) = wanted else {
        let id = id.map_or("at all".to_owned(), |id| id.to_string());
        return Err(StoreError::NoBackup { path: from, id });
    };
    let manifest = backups.manifest(wanted)?;
    let (found, known) = (manifest.schema, keyviz_migrations::CURRENT);
    if found > known {
        return Err(StoreError::NewerSchema { path: from.join(wanted.to_string()), found, known });
    }
    begin(into)?;
    let (db, wal) = data_dir::parts(into);
    let broken = |source| StoreError::BackupEngine { path: from.clone(), source };
    let options = RestoreOptions::default();
    backups.engine()?.restore_from_backup(&db, &db, &options, wanted).map_err(broken)?;
    fs::create_dir(&wal).map_err(folder)?;
    for copy in &manifest.wal {
        let path = from.join(wanted.to_string()).join(WAL).join(&copy.name);
        let damaged = |reason: String| StoreError::DamagedBackup { path: path.clone(), reason };
        // A name with a folder in it would be written elsewhere.
        if Path::new(&copy.name).file_name() != Some(copy.name.as_ref()) {
            return Err(damaged("its name is not one of a file".to_owned()));
        }
        let reader = File::open(&path).map_err(|error| damaged(error.to_string()))?;
        let bytes = reader.metadata().map_err(|error| damaged(error.to_string()))?.len();
        let file = WalFile { name: copy.name.clone(), bytes, reader: Box::new(reader) };
        let copied = copy_wal(file, &wal.join(&copy.name)).map_err(folder)?;
        if copied != *copy {
            return Err(damaged(format!(
                "it has {} bytes with CRC32 {:08x}, the manifest says {} and {:08x}",
                copied.bytes, copied.crc32, copy.bytes, copy.crc32
            )));
        }
    }
    sync(&wal).and_then(|()| sync(&db)).and_then(|()| sync(into)).map_err(folder)?;
    Ok(manifest)
}

/// The folder may be served.
///
/// # Errors
/// [`StoreError::Folder`].
pub fn finish_restore(into: &Path) -> Result<(), StoreError> {
    let done = fs::remove_file(into.join(INCOMPLETE)).and_then(|()| sync(into));
    done.map_err(|source| StoreError::Folder { path: into.to_owned(), source })
}

fn begin(into: &Path) -> Result<(), StoreError> {
    let folder = |source| StoreError::Folder { path: into.to_owned(), source };
    match fs::read_dir(into) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(into).map_err(folder)?;
        }
        entries => {
            for entry in entries.map_err(folder)? {
                let name = entry.map_err(folder)?.file_name();
                if name != *"lost+found" {
                    let found = name.to_string_lossy().into_owned();
                    return Err(StoreError::NotEmpty { path: into.to_owned(), found });
                }
            }
        }
    }
    let marked = File::create_new(into.join(INCOMPLETE)).and_then(|file| file.sync_all());
    marked.and_then(|()| sync(into)).map_err(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
