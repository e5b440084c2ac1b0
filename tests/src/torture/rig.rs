//! Sources with a ledger, load from several of them at once, and the comparison with what a node shows.
//!
//! A source posts columns of one second, each window once, to routes of a group of its own. At most one
//! of its columns is in flight: sent, and neither acknowledged nor refused for good. That one may be
//! there or not, but never in part; it is sent again until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

use super::Tally;
use crate::columns::{Poster, cells_of};
use crate::http;
use crate::ledger::{CellKey, Cells};
use crate::matrix::{MATRIX, Recorded, states};
use crate::now_ms;
use crate::process::{Node, NodeSpec};
use crate::rng::Rng;

const HOUR_MS: u64 = 3_600_000;
/// Windows that one answer is asked for.
const WINDOWS: u64 = 3_600;
/// For a node that was killed or is being killed.
const SETTLE: Duration = crate::PATIENCE;

/// A source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its numbers and its ledger.
    pub poster: Poster,
    /// Rows of a column.
    pub rows: u64,
    /// Its next column was sent, and nothing is known of it.
    pub in_flight: bool,
    /// Of the last answer that was none of success.
    pub refusal: String,
}

impl Source {
    /// Sends the next column (or the one in flight, again). Returns whether it was taken.
    pub fn post(&mut self, address: &str) -> bool {
        let column = self.poster.column(self.rows);
        self.in_flight = true;
        match Poster::post(address, &column) {
            Ok(answer) if answer.status == 200 => {
                let outcome = answer.json()["outcome"].clone();
                assert!(outcome == "stored" || outcome == "duplicate", "{}", answer.brief());
                self.in_flight = false;
                self.poster.acknowledge(&column);
                true
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.brief());
                self.refusal = answer.brief();
                false
            }
            Err(error) => {
                self.refusal = error.to_string();
                false
            }
        }
    }

    /// Columns acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.poster.sequence - 1
    }
}

/// Sources that send as fast as they are answered, each in a thread.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Source>>,
}

impl Load {
    /// Starts.
    pub fn start(address: &str, sources: Vec<Source>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = sources.into_iter().map(|mut source| {
            let (address, stop) = (address.to_owned(), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let pause = if source.post(&address) { 1 } else { 10 };
                    std::thread::sleep(Duration::from_millis(pause));
                }
                source
            })
        });
        Self { threads: threads.collect(), stop }
    }

    /// Stops; what is in flight stays so.
    pub fn stop(self) -> Vec<Source> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// A folder, how a node is started on it, and its sources.
#[derive(Debug)]
pub struct Rig {
    /// Where its files are, unless `spec` says another place.
    pub folder: TempDir,
    /// How a node is started.
    pub spec: NodeSpec,
    /// The sources.
    pub sources: Vec<Source>,
    /// What was found so far.
    pub tally: Tally,
}

impl Rig {
    /// A fresh folder and `sources` sources of `rows` rows. Their windows begin shortly before an hour
    /// ends, some hours ago.
    pub fn new(rng: &mut Rng, sources: u64, rows: u64, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = NodeSpec::new(folder.path()).on_fixed_ports();
        for flag in flags {
            spec = spec.with(flag);
        }
        let hour_ms = now_ms() / HOUR_MS * HOUR_MS - rng.between(12, 100) * HOUR_MS;
        let first_ms = hour_ms - rng.between(1, 40) * 1_000;
        let source = |at: u64| {
            let mut poster = Poster::new(&format!("node-{at}"), first_ms);
            poster.group = 1 + at;
            poster.boot = format!("00000000-0000-8000-8000-{:012x}", 0xb0 + at);
            Source { poster, rows, in_flight: false, refusal: String::new() }
        };
        let sources = (1..=sources).map(source).collect();
        Self { folder, spec, sources, tally: Tally::default() }
    }

    /// The same sources and ledger, and a copy of the data folder.
    pub fn copied(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = NodeSpec::new(folder.path()).on_fixed_ports();
        spec.flags.clone_from(&self.spec.flags);
        crate::golden::copy(&self.spec.data_dir, &spec.data_dir);
        Self { folder, spec, sources: self.sources.clone(), tally: Tally::default() }
    }

    /// Has all sources send for so long.
    pub fn load(&mut self, node: &Node, ms: u64) {
        let load = self.start_load(&node.http);
        std::thread::sleep(Duration::from_millis(ms));
        self.sources = load.stop();
    }

    /// Starts load; `stop` of it gives the sources back.
    pub fn start_load(&mut self, address: &str) -> Load {
        Load::start(address, std::mem::take(&mut self.sources))
    }

    /// Has so many columns of each source taken, one by one.
    pub fn post(&mut self, node: &Node, columns: u64) {
        for _ in 0..columns {
            for source in &mut self.sources {
                assert!(source.post(&node.http), "{}", source.refusal);
            }
        }
    }

    /// Sends what is in flight until it is acknowledged.
    pub fn settle(&mut self, node: &Node) {
        for source in self.sources.iter_mut().filter(|source| source.in_flight) {
            let started = Instant::now();
            while !source.post(&node.http) {
                let refusal = &source.refusal;
                assert!(started.elapsed() < SETTLE, "it does not settle: {refusal}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Columns acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.sources.iter().map(Source::acknowledged).sum()
    }

    /// Compares everything that the node shows with the ledger; adds what is lost or different.
    pub fn compare(&mut self, node: &Node, when: &str) {
        let lost = self.gone(node, when);
        for (at, window) in &lost {
            eprintln!("{when}: source {at}: window {window} was acknowledged and is gone");
        }
        self.tally.lost += lost.len() as u64;
    }

    /// The windows of columns that were acknowledged and are not there, with the place of their source;
    /// adds what is different.
    pub fn gone(&mut self, node: &Node, when: &str) -> BTreeSet<(usize, u64)> {
        self.seen(node, when).0
    }

    /// As [`Rig::gone`], and for each flag the windows that have it.
    pub fn seen(&mut self, node: &Node, when: &str) -> (BTreeSet<(usize, u64)>, Flagged) {
        let first_ms = self.sources.iter().map(|s| s.poster.first_ms).min().unwrap() - 1_000;
        let last_ms = self.sources.iter().map(|s| s.poster.window_ms).max().unwrap() + 2_000;
        let (mut shown, mut flagged) = (Cells::new(), Flagged::new());
        let mut from_ms = first_ms;
        while from_ms < last_ms {
            let to_ms = last_ms.min(from_ms + WINDOWS * 1_000);
            let recorded = Recorded::ask_flagged(&node.http, (from_ms, to_ms), 1_000);
            shown.extend(recorded.cells);
            for (flag, windows) in recorded.flagged {
                flagged.entry(flag).or_default().extend(windows);
            }
            from_ms = to_ms;
        }
        let mut by_source = vec![Windows::new(); self.sources.len()];
        for (key, value) in shown {
            let of = |source: &Source| key.0.starts_with(&hex::encode(source.poster.prefix()));
            let Some(at) = self.sources.iter().position(of) else {
                self.tally.different += 1;
                eprintln!("{when}: nobody sent {key:?}");
                continue;
            };
            by_source[at].entry(key.2).or_default().insert(key, value);
        }
        let mut gone = BTreeSet::new();
        for (at, (source, shown)) in self.sources.iter().zip(by_source).enumerate() {
            let (lost, different) = judge(source, shown, when);
            self.tally.different += different;
            gone.extend(lost.into_iter().map(|window| (at, window)));
        }
        (gone, flagged)
    }

    /// Asserts that every cell of these windows of these sources is drawn as missing: not as idle, and not
    /// as a range that did not exist.
    pub fn assert_missing(&self, node: &Node, gone: &BTreeSet<(usize, u64)>) {
        for (at, source) in self.sources.iter().enumerate() {
            let windows: BTreeSet<u64> =
                gone.iter().filter(|(of, _)| *of == at).map(|&(_, window)| window).collect();
            let (Some(&first), Some(&last)) = (windows.first(), windows.last()) else { continue };
            let prefix = source.poster.prefix();
            // The ranges lie between `prefix:` and `prefix;`.
            let end = prefix.replace(':', ";");
            let [start, end] = [&prefix, &end].map(|key| URL_SAFE_NO_PAD.encode(key));
            let (from, to) = (first, last + 1_000);
            let answer = http::get(
                &node.http,
                &format!(
                    "{MATRIX}?step_ms=1000&from_unix_ms={from}&to_unix_ms={to}&start={start}&end={end}"
                ),
            )
            .ok();
            let columns = answer["column_unix_ms"].as_array().unwrap();
            let rows = answer["rows"].as_array().unwrap();
            assert!(!rows.is_empty(), "nothing is drawn of source {at}: {answer}");
            for row in rows {
                for (window, state) in columns.iter().zip(states(row)) {
                    assert!(
                        state == "missing" || !windows.contains(&window.as_u64().unwrap()),
                        "window {window} of source {at} is lost and drawn as {state}: {row}"
                    );
                }
            }
        }
    }

    /// Ends a round.
    pub fn finish(mut self) -> Tally {
        self.tally.acknowledged += self.acknowledged();
        self.spec.assert_no_panic();
        self.tally
    }

    /// The files of the log, oldest first.
    pub fn segments(&self) -> Vec<std::path::PathBuf> {
        files(&self.spec.data_dir.join("wal"), |name| {
            name.starts_with("wal-") && name.ends_with(".log")
        })
    }
}

/// The files of a folder whose names are wanted, by name.
pub(super) fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &std::path::PathBuf| wanted(path.file_name().unwrap().to_str().unwrap());
    let mut found: Vec<_> = entries.filter(is_wanted).collect();
    found.sort();
    found
}

/// Windows by flag.
pub type Flagged = BTreeMap<String, BTreeSet<u64>>;
type Windows = BTreeMap<u64, Cells>;

/// The acknowledged windows that are gone, and how many cells are not as they were sent.
fn judge(source: &Source, mut shown: Windows, when: &str) -> (Vec<u64>, u64) {
    let mut sent = Windows::new();
    for (key, &value) in &source.poster.acknowledged {
        sent.entry(key.2).or_default().insert(key.clone(), value);
    }
    let (mut lost, mut different) = (Vec::new(), 0);
    for (window, cells) in sent {
        match shown.remove(&window) {
            None => lost.push(window),
            Some(held) => different += differing(&cells, &held, when),
        }
    }
    if source.in_flight {
        let column = cells_of(&source.poster.column(source.rows));
        if let Some(held) = shown.remove(&source.poster.window_ms) {
            different += differing(&column, &held, when);
        }
    }
    for (window, cells) in &shown {
        eprintln!("{when}: window {window} was not sent: {} cells", cells.len());
    }
    (lost, different + shown.values().map(|cells| cells.len() as u64).sum::<u64>())
}

fn differing(sent: &Cells, held: &Cells, when: &str) -> u64 {
    let keys: BTreeSet<&CellKey> = sent.keys().chain(held.keys()).collect();
    let mut count = 0;
    for key in keys.into_iter().filter(|key| sent.get(*key) != held.get(*key)) {
        eprintln!("{when}: {key:?}: sent {:?}, shown {:?}", sent.get(key), held.get(key));
        count += 1;
    }
    count
}
