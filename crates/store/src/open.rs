//! Opening RocksDB with the settings that this load wants.
//!
//! | setting | value | why; measured |
//! |---|---|---|
//! | compression | none | blocks are already coded: zstd (level 1) saves 3 % at 100 to 160 MB/s a core; no compressor is linked |
//! | table block | 16 KiB | 4 KiB: 1.5 % larger, a scan 1.7 to 2 x, a cold week of a range up to 2.7 x; 32 and 64 KiB: 0.5 % smaller, but a get 1.3 and 1.5 x |
//! | filter | Bloom, 10 bits | a checkpoint asks for blocks that are not there: without one that is 6 to 12 x, the fill 2.1 x; 0.4 % of the bytes. Ribbon: 0.3 %, a miss 1.9 x |
//! | filters of the last level | kept (`optimize_filters_for_hits` off) | without, a miss is 9 x and the fill 1.9 x: most of what is asked for is nowhere |
//! | write buffer | 32 MiB | holds an hour of 10,000 ranges that is persisted 12 times, so that most rewrites never leave it. 8 MiB: 1.4 x the bytes written, 1.6 x the CPU; 64 MiB: 0.8 x the bytes, but twice the memory, and after a full disk RocksDB resumes only once a whole buffer's worth is free |
//! | block cache | 32 MiB | 8 to 256 MiB: a week of a range within 25 %; the page cache has the rest |
//! | indexes and filters | beside the cache | in it they are evicted by data: gets 10 x, fill 3.2 x; they are 0.6 % of the data |
//! | keys stored whole | 1 in 64 | 1 in 16: 1 % larger, in 32: 0.3 %, in 4: 4.3 %; reads do not feel it, so few values fit a block |
//! | hash in blocks, format version | off, 5 | no effect above noise; the hash is 0.5 % larger |
//! | compaction | levels, first of 256 MiB | universal: 0.92 x the bytes written, but twice the room while it merges all; 32 MiB to 1 GiB: no effect |
//! | background jobs | 2 | 1 and 4: no effect on CPU |
//! | rate limiter | none | 10,000 ranges write 13 to 50 MB an hour; a limit changes no CPU |
//! | `paranoid_checks` | on | off, RocksDB reports a full disk as success |
//! | RocksDB's WAL | on | with it off, a full disk hangs `put` even after space is freed |
//! | flushes | of both families at once (`atomic_flush`) | else RocksDB's log is kept for the small one, and a start reads it |
//! | prefix extractor | none | implicit prefix seek loses rows |
//! | `periodic_compaction_seconds` | 1 day | the filter must see quiet files too |
//! | statistics | tickers only | what the cache hits and misses; timers and histograms would cost a clock a read |
//! | info log | 10 files of 16 MiB | bounded |
//!
//! The figures are of `keyviz-bench settings`, each against the others as in the table (buffer and
//! cache: against blocks of 4 KiB without filters). The numbers are [`Tuning::default`].

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use keyviz_codec::Key;
use keyviz_codec::key_layout::NODE_GROUP;
use keyviz_codec::marks::Mark;
use rocksdb::statistics::StatsLevel;
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBCompressionType, FlushOptions, Options,
};

use crate::copies::{self, COPIES};
use crate::damage::Damage;
use crate::figures::OpenedWith;
use crate::migrate::{self, Step, WatchUpgrade};
use crate::refusal::Refusal;
use crate::retention::Retention;
use crate::tuning::Tuning;
use crate::{Batch, StoreError, failpoint};

pub(crate) const FAMILY: &str = "keyviz";

/// What RocksDB has to say of the family for expired rows to go, quiet ones too.
const GC_SETTINGS: [&str; 3] = [
    "compaction_filter_factory=keyviz.retention.factory",
    "periodic_compaction_seconds=86400",
    "disable_auto_compactions=false",
];

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
    pub(crate) damage: Damage,
    pub(crate) refusal: Refusal,
    /// See [`copies`].
    pub(crate) copies_whole: AtomicBool,
    pub(crate) options: OpenedWith,
    path: PathBuf,
}

impl Store {
    /// Opens the store in `path`, making an empty one where there is none, and upgrading one of an
    /// older version.
    ///
    /// # Errors
    /// [`StoreError::Open`]; [`StoreError::NoGc`] where nothing would drop what has expired;
    /// [`StoreError::NewerSchema`] for a folder of a newer keyviz, which is left unchanged; those of an
    /// upgrade ([`migrate`]).
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_watched(path, options, &|_| ControlFlow::Continue(()))
    }

    /// Like [`Store::open`]; `watch` hears how far an upgrade is.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::UpgradeStopped`] when `watch` wants that.
    pub fn open_watched(
        path: &Path,
        options: StoreOptions,
        watch: WatchUpgrade<'_>,
    ) -> Result<Self, StoreError> {
        Self::open_with(path, options, &Tuning::default(), migrate::STEPS, watch)
    }

    /// As [`Store::open`], with other settings of RocksDB than keyviz's own: for measuring them.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_tuned(
        path: &Path,
        options: StoreOptions,
        tuning: &Tuning,
    ) -> Result<Self, StoreError> {
        let watch = &|_| ControlFlow::Continue(());
        Self::open_with(path, options, tuning, migrate::STEPS, watch)
    }

    pub(crate) fn open_with(
        path: &Path,
        options: StoreOptions,
        tuning: &Tuning,
        steps: &[Step],
        watch: WatchUpgrade<'_>,
    ) -> Result<Self, StoreError> {
        let known = migrate::known(steps);
        let mut found = None;
        if path.join("CURRENT").exists() {
            found = copies::schema_of(path)?;
        } else if let Some(older) = migrate::whole_older(path) {
            return Err(StoreError::OnlyOlder { path: path.to_owned(), older });
        }
        if let Some(found) = found.filter(|&found| found > known) {
            return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
        }
        let mut db_options = base_options();
        db_options.create_if_missing(true);
        db_options.create_missing_column_families(true);
        db_options.set_atomic_flush(true);
        db_options.enable_statistics();
        db_options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
        tuning.apply_to_database(&mut db_options);
        let mut family = Options::default();
        tuning.apply_to_family(&mut family);
        family.set_compression_type(DBCompressionType::None);
        family.set_compaction_filter_factory(options.retention.filter_factory());
        family.set_periodic_compaction_seconds(24 * 3_600);
        // After a full disk RocksDB waits for room for a buffer of each family.
        let mut copies = Options::default();
        copies.set_write_buffer_size(8 << 20);
        copies.set_compression_type(DBCompressionType::None);
        let families = [
            ColumnFamilyDescriptor::new(COPIES, copies),
            ColumnFamilyDescriptor::new(FAMILY, family),
        ];
        let db = DB::open_cf_descriptors(&db_options, path, families)
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        check_gc(path)?;
        let (retention, damage) = (options.retention, Damage::default());
        let whole = AtomicBool::new(found.unwrap_or(known) >= copies::SINCE_SCHEMA);
        let (refusal, path, options) =
            (Refusal::default(), path.to_owned(), OpenedWith(db_options));
        let store = Self { db, retention, damage, refusal, copies_whole: whole, options, path };
        match found {
            Some(found) if found < known => {
                migrate::run(&store, found, steps, watch)?;
                store.copies_whole.store(known >= copies::SINCE_SCHEMA, Ordering::Relaxed);
            }
            Some(_) => {}
            None => {
                let mut batch = Batch::default();
                batch.put_mark(NODE_GROUP, &Key::Schema, &known);
                store.commit(&batch)?;
            }
        }
        if let Some(hour) = store.dropped_hour()? {
            store.retention.note_dropped(hour);
        }
        Ok(store)
    }

    /// A mark that cannot be read says nothing: what was dropped before the period was raised may look
    /// idle then.
    fn dropped_hour(&self) -> Result<Option<u64>, StoreError> {
        let mark = self.view(0).raw(NODE_GROUP, &Key::Dropped)?;
        Ok(mark.and_then(|mark| u64::decode(&mark).ok()))
    }

    /// Lets compaction drop what has expired at wall time `now_ms`. That it may is on disk before it
    /// does, so that a longer period later does not take what is gone for idle.
    ///
    /// # Errors
    /// [`StoreError::Write`]; nothing more may be dropped then.
    pub fn allow_gc_at(&self, now_ms: u64) -> Result<(), StoreError> {
        let before_hour = self.retention.first_hour_at(now_ms);
        if before_hour > self.retention.dropped_hour() {
            let mut batch = Batch::default();
            batch.put_mark(NODE_GROUP, &Key::Dropped, &before_hour);
            self.commit(&batch)?;
            self.retention.note_dropped(before_hour);
        }
        self.retention.allow_gc_at(now_ms);
        Ok(())
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
        failpoint::reached("checkpoint-flush", "-refused")?;
        let families = [self.family(), self.copies()];
        let flushed = self.db.flush_cfs_opt(&families, &FlushOptions::default());
        let ended = flushed.and_then(|()| self.end_manifest());
        ended.map_err(|source| StoreError::Write { source })
    }

    /// RocksDB takes a torn end of its MANIFEST for something that never was written, and a flush removes
    /// the log that held the same. So the last entry is made one that says nothing new: the flush of a
    /// mark that the copies hold already.
    fn end_manifest(&self) -> Result<(), rocksdb::Error> {
        let key = Key::Schema.encode(NODE_GROUP);
        let Some(mark) = self.db.get_cf(self.copies(), &key)? else { return Ok(()) };
        self.db.put_cf(self.copies(), &key, mark)?;
        self.db.flush_cf(self.copies())
    }

    /// Compacts everything now: rewrites files of the last level, too, which may hold what has expired.
    pub fn compact(&self) {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_cf_opt(self.family(), None::<&[u8]>, None::<&[u8]>, &options);
    }

    /// How many flushes and compactions have failed since the store was opened, and bytes of live data.
    pub fn health(&self) -> (u64, u64) {
        let property = |family, name: &str| {
            self.db.property_int_value_cf(family, name).ok().flatten().unwrap_or(0)
        };
        // RocksDB counts those of all families at the one named `default`.
        let errors = property(self.copies(), "rocksdb.background-errors");
        (errors, property(self.family(), "rocksdb.estimate-live-data-size"))
    }

    pub(crate) fn family(&self) -> &ColumnFamily {
        // invariant: `open` names the family in its descriptors, so it exists
        self.db.cf_handle(FAMILY).expect("invariant: opened with this family")
    }
}

pub(crate) fn base_options() -> Options {
    let mut options = Options::default();
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(10);
    options.set_max_log_file_size(16 << 20);
    options
}

/// Refuses to go on where nothing would drop what has expired (contract section 6): reads back what
/// RocksDB says that it runs with.
fn check_gc(path: &Path) -> Result<(), StoreError> {
    let unread = |source| StoreError::Folder { path: path.to_owned(), source };
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(path).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("OPTIONS-")?.parse().ok());
        newest = newest.max(number.map(|number| (number, entry.path())));
    }
    let text = match &newest {
        Some((_, file)) => std::fs::read_to_string(file).map_err(unread)?,
        None => String::new(),
    };
    match gc_gap(&text) {
        None => Ok(()),
        Some(setting) => Err(StoreError::NoGc { path: path.to_owned(), setting }),
    }
}

/// The setting, of those that retention hangs on, that an OPTIONS file does not have.
fn gc_gap(options: &str) -> Option<&'static str> {
    let family = options.split("[CFOptions \"").find(|part| part.starts_with("keyviz\"]"));
    let family = family.unwrap_or_default();
    GC_SETTINGS.into_iter().find(|setting| !family.lines().any(|line| line.trim() == *setting))
}

#[cfg(test)]
#[path = "open_test.rs"]
mod open_test;
