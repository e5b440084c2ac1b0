//! A host on a real database in a temporary folder, without sockets and with a clock that moves
//! only when told. Used by the tests beside each module.

use std::sync::Arc;

use bytes::Bytes;
use keyviz_lineage::clock::ManualClock;
use keyviz_lineage::{Clock, Column, Counts, Step};
use keyviz_sampler::{Sampler, total};
use tempfile::TempDir;

use crate::dispatch::{Dispatcher, Session};
use crate::info::Facts;
use crate::kv::{Kv, open_database};
use crate::observed::Observed;
use crate::outbox::Outbox;
use crate::ranges::{Initial, Ranges};
use crate::records::{Boot, Records};
use crate::reply::Reply;

pub(crate) const START_MS: u64 = 1_750_000_000_000;

pub(crate) struct TestHost {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) sampler: Arc<Sampler>,
    pub(crate) boot: Boot,
    pub(crate) session: Session,
    /// Always there but for the moment of a restart.
    host: Option<Arc<Dispatcher>>,
}

impl TestHost {
    /// A new store with these boundaries and groups.
    pub(crate) fn with(boundaries: &[&str], groups: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS));
        Self::open(folder, clock, boundaries, groups)
    }

    /// A new store with one range.
    pub(crate) fn new() -> Self {
        Self::with(&[], 1)
    }

    /// Stops it and starts it on what it has stored.
    pub(crate) fn restarted(mut self) -> Self {
        self.host = None;
        Self::open(self.folder, self.clock, &[], 1)
    }

    fn open(folder: TempDir, clock: Arc<ManualClock>, boundaries: &[&str], groups: u64) -> Self {
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let db = open_database(&folder.path().join("db"), Arc::clone(&shared)).unwrap();
        let records = Records::new(Arc::clone(&db));
        let boot = records.boot(None, "test-host").unwrap();
        let sampler = Arc::new(Sampler::new(Step::from_ms(1_000).unwrap(), clock.unix_ms()));
        let ledger = Outbox::open_ledger(&folder.path().join("ledger.json")).unwrap();
        let outbox = Arc::new(Outbox::new(Some(ledger), None));
        let boundaries = boundaries.iter().map(|key| key.as_bytes().to_vec()).collect();
        let ranges = Ranges::open(
            records,
            Arc::clone(&sampler),
            Arc::clone(&outbox),
            Arc::clone(&shared),
            &Initial { boundaries, groups },
            &boot,
        )
        .unwrap();
        let facts = Facts { max_clients: 10, started_ms: START_MS, ..Facts::default() };
        let observed = Observed::new(Arc::clone(&shared)).unwrap();
        let host = Dispatcher::new(Kv::new(db, shared), ranges, outbox, facts, observed);
        let session = Session { id: 7, ..Session::default() };
        Self { folder, clock, sampler, boot, session, host: Some(Arc::new(host)) }
    }

    pub(crate) fn host(&self) -> &Arc<Dispatcher> {
        self.host.as_ref().unwrap()
    }

    /// Runs a command given as words on a line.
    pub(crate) fn run(&mut self, line: &str) -> Reply {
        self.words(&line.split(' ').collect::<Vec<_>>())
    }

    /// Runs a command.
    pub(crate) fn words(&mut self, words: &[&str]) -> Reply {
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let host = Arc::clone(self.host());
        host.call(&mut self.session, words)
    }

    /// Runs a command and returns its error, or its answer as text where there is none.
    pub(crate) fn error(&mut self, line: &str) -> String {
        match self.run(line) {
            Reply::Error(text) => text,
            other => format!("no error but {other:?}"),
        }
    }

    /// What was counted since the last flush.
    pub(crate) fn column(&self) -> Column {
        self.sampler.flush(self.clock.unix_ms())
    }

    /// The sum of what was counted since the last flush: reads, writes, bytes read, bytes written.
    pub(crate) fn counted(&self) -> (u64, u64, u64, u64) {
        let Counts { reads, writes, read_bytes, write_bytes } = total(&self.column());
        (reads, writes, read_bytes, write_bytes)
    }

    /// Every line of the ledger.
    pub(crate) fn ledger(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("ledger.json")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// An array of bulk strings.
pub(crate) fn strings(items: &[&str]) -> Reply {
    Reply::Array(items.iter().map(|item| Reply::bulk((*item).to_owned())).collect())
}
