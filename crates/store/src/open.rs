//! Opening RocksDB with the settings that this load wants.
//!
//! | setting | value | why |
//! |---|---|---|
//! | compression | none | blocks are already coded; a second compressor makes them larger |
//! | `paranoid_checks` | on | off, RocksDB reports a full disk as success |
//! | RocksDB's WAL | on | with it off, a full disk hangs `put` even after space is freed |
//! | write buffer | 8 MiB | a checkpoint is small; after a full disk RocksDB resumes only once a whole buffer's worth is free |
//! | prefix extractor | none | implicit prefix seek loses rows |
//! | `periodic_compaction_seconds` | 1 day | the filter must see quiet files too |
//! | info log | 10 files of 16 MiB | bounded |

use std::path::{Path, PathBuf};

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::Mark;
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, Options};

use crate::retention::Retention;
use crate::{Batch, StoreError};

pub(crate) const FAMILY: &str = "keyviz";

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How long history is kept.
    pub retention: Retention,
}

/// keyviz's history in one RocksDB.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: DB,
    pub(crate) retention: Retention,
    path: PathBuf,
}

impl Store {
    /// Opens the store in `path`, making an empty one where there is none.
    ///
    /// # Errors
    /// [`StoreError::Open`]; [`StoreError::NewerSchema`] for a folder of a newer keyviz, which is
    /// left unchanged.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        if path.join("CURRENT").exists() {
            check_schema(path)?;
        }
        let mut db_options = base_options();
        db_options.create_if_missing(true);
        db_options.create_missing_column_families(true);
        let mut family = family_options();
        family.set_compression_type(DBCompressionType::None);
        family.set_compaction_filter_factory(options.retention.filter_factory());
        family.set_periodic_compaction_seconds(24 * 3_600);
        let families = [
            ColumnFamilyDescriptor::new("default", family_options()),
            ColumnFamilyDescriptor::new(FAMILY, family),
        ];
        let db = DB::open_cf_descriptors(&db_options, path, families)
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        let store = Self { db, retention: options.retention, path: path.to_owned() };
        let mut batch = Batch::default();
        batch.put_mark(NODE_GROUP, &Key::Schema, &keyviz_migrations::CURRENT);
        store.commit(&batch)?;
        Ok(store)
    }

    /// How long history is kept.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// Where it lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the memtable out, so that compaction (and with it the retention filter) can see it.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.db.flush_cf(self.family()).map_err(|source| StoreError::Write { source })
    }

    /// Compacts everything now.
    pub fn compact(&self) {
        self.db.compact_range_cf(self.family(), None::<&[u8]>, None::<&[u8]>);
    }

    /// RocksDB's background errors and live data bytes, for health and metrics.
    pub fn health(&self) -> (u64, u64) {
        let property = |name: &str| {
            self.db.property_int_value_cf(self.family(), name).ok().flatten().unwrap_or(0)
        };
        (property("rocksdb.background-errors"), property("rocksdb.estimate-live-data-size"))
    }

    pub(crate) fn family(&self) -> &ColumnFamily {
        // invariant: `open` names the family in its descriptors, so it exists
        self.db.cf_handle(FAMILY).expect("invariant: opened with this family")
    }
}

fn family_options() -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(8 << 20);
    options
}

pub(crate) fn base_options() -> Options {
    let mut options = Options::default();
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(10);
    options.set_max_log_file_size(16 << 20);
    options.set_max_background_jobs(2);
    options
}

/// Reads the schema version without changing anything.
fn check_schema(path: &Path) -> Result<(), StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let families = DB::list_cf(&base_options(), path).map_err(open)?;
    if !families.iter().any(|family| family == FAMILY) {
        let found = format!("a RocksDB without the column family {FAMILY:?}");
        return Err(StoreError::Foreign { path: path.to_owned(), found });
    }
    let db = DB::open_cf_for_read_only(&base_options(), path, &families, false).map_err(open)?;
    let Some(family) = db.cf_handle(FAMILY) else { return Ok(()) };
    let stored = db.get_cf(family, Key::Schema.encode(NODE_GROUP)).map_err(open)?;
    // A kill between creating the folder and its first write leaves no version: it is empty.
    let Some(stored) = stored else { return Ok(()) };
    let found = u64::decode(&stored).map_err(|source| StoreError::Damaged {
        group: NODE_GROUP,
        key: Key::Schema.to_string(),
        source,
    })?;
    let known = keyviz_migrations::CURRENT;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(())
}
