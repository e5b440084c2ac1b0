//! Faults that are put to a real node, again and again, and what was lost by them.
//!
//! | module | faults |
//! |---|---|
//! | `rig` | sources that keep a ledger of what they sent and what was acknowledged, load, the comparison |
//! | `kills` | SIGKILL: under load, in a replay, in a checkpoint, in a stop, in a compaction |
//! | `power` | the power of the disk is cut; an fsync that lies; the disk goes away under the node |
//! | `reopens` | RocksDB that takes nothing more until it is opened anew; a disk that goes read-only |
//! | `calls` | one system call of a write path fails, or is the last one |
//! | `segments` | torn tails, flipped bits, spoiled files of the log, read errors, an older backup |
//! | `disks` | no space left and then space again; a disk that takes its time; a store that takes nothing |
//!
//! A round puts one fault to a fresh folder, with all its choices drawn from one number: the same seed
//! and fault make the same plan (what the kernel and the scheduler do is their own). It panics when a
//! promise is broken, and otherwise says how many columns were acknowledged and what became of them.
//! `docs/reliability.md` lists each fault with what is promised.

use std::fmt::Write as _;
use std::time::Instant;

use crate::rng::Rng;

mod calls;
mod disks;
mod kills;
mod power;
mod reopens;
mod rig;
mod segments;

pub use rig::{Flagged, Load, Rig, Source};

/// What became of what was acknowledged, over one or more rounds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Columns that were acknowledged.
    pub acknowledged: u64,
    /// Of them, those that were gone though nothing excuses it.
    pub lost: u64,
    /// Of them, those that were gone and said to be: damage by the fault itself that the log or the
    /// answer names, a shed record, or a control that must lose something.
    pub excused: u64,
    /// Cells that show something else than what was sent.
    pub different: u64,
    /// How often the fault struck.
    pub strikes: u64,
    /// Why nothing was tried, if so.
    pub skipped: Option<String>,
}

impl Tally {
    /// Nothing was tried: the machine does not permit it.
    pub fn skip(why: &str) -> Self {
        Self { skipped: Some(why.to_owned()), ..Self::default() }
    }

    fn add(&mut self, more: &Self) {
        self.acknowledged += more.acknowledged;
        self.lost += more.lost;
        self.excused += more.excused;
        self.different += more.different;
        self.strikes += more.strikes;
        self.skipped = self.skipped.take().or_else(|| more.skipped.clone());
    }

    /// Panics when something was lost without an excuse, or is not what was sent.
    #[track_caller]
    pub fn assert_kept(&self, fault: &str) {
        assert!(self.lost == 0 && self.different == 0, "{fault}: {self:?}");
        assert!(self.skipped.is_some() || self.acknowledged > 0, "{fault}: nothing was tried");
    }
}

/// How much a round does: a test's, or a long run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Some seconds.
    Short,
    /// As long as it takes.
    Long,
}

/// One fault.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Its name in the table and in `docs/reliability.md`.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    run: fn(&mut Rng, Size) -> Tally,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fault").field(&self.name).finish()
    }
}

impl Fault {
    /// One round.
    pub fn round(&self, seed: u64, size: Size) -> Tally {
        (self.run)(&mut Rng::new(seed), size)
    }
}

const NOTHING: &str = "nothing acknowledged is lost";
const SAID: &str = "only what was hit is lost, and it is said";

/// Every fault.
pub const FAULTS: &[Fault] = &[
    Fault { name: "kill-under-load", promise: NOTHING, run: kills::under_load },
    Fault { name: "kill-in-replay", promise: NOTHING, run: kills::in_replay },
    Fault { name: "kill-in-checkpoint", promise: NOTHING, run: kills::in_checkpoint },
    Fault { name: "kill-in-stop", promise: NOTHING, run: kills::in_stop },
    Fault { name: "kill-in-compaction", promise: NOTHING, run: kills::in_compaction },
    Fault { name: "kill-at-call", promise: NOTHING, run: calls::kill },
    Fault { name: "error-at-call", promise: NOTHING, run: calls::error },
    Fault { name: "power-cut", promise: NOTHING, run: power::cut },
    Fault { name: "power-cut-unsynced", promise: "the control: it must lose", run: power::control },
    Fault { name: "lying-fsync", promise: "nothing wrong is shown", run: power::lie },
    Fault { name: "disk-gone", promise: NOTHING, run: power::gone },
    Fault { name: "store-refuses", promise: NOTHING, run: reopens::refused },
    Fault { name: "read-only-disk", promise: NOTHING, run: reopens::read_only },
    Fault { name: "torn-tail", promise: SAID, run: segments::torn },
    Fault { name: "flip-in-wal", promise: SAID, run: segments::flip },
    Fault { name: "bad-segment", promise: SAID, run: segments::spoil },
    Fault { name: "read-error", promise: NOTHING, run: segments::unreadable },
    Fault { name: "flip-in-store", promise: SAID, run: segments::flip_in_store },
    Fault { name: "older-backup", promise: SAID, run: segments::older_backup },
    Fault { name: "full-disk", promise: NOTHING, run: disks::full },
    Fault { name: "slow-fsync", promise: "the hot path does not wait", run: disks::slow },
    Fault { name: "shed", promise: "what is lost is flagged shed", run: disks::shed },
];

/// The fault of this name.
pub fn fault(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

/// What became of one fault over a run.
#[derive(Debug)]
pub struct Line {
    /// The fault.
    pub fault: &'static Fault,
    /// Rounds that ended.
    pub rounds: u64,
    /// Their sum.
    pub tally: Tally,
    /// Rounds that broke a promise: their seed, and what was said.
    pub failures: Vec<(u64, String)>,
}

impl Line {
    /// No round yet.
    pub fn new(fault: &'static Fault) -> Self {
        Self { fault, rounds: 0, tally: Tally::default(), failures: Vec::new() }
    }

    /// Runs a round and adds it; what it panics with is kept.
    pub fn run(&mut self, seed: u64, size: Size) {
        let started = Instant::now();
        let ended = std::panic::catch_unwind(|| self.fault.round(seed, size));
        self.rounds += 1;
        let said = match ended {
            Ok(tally) => {
                self.tally.add(&tally);
                let is_kept = tally.lost == 0 && tally.different == 0;
                if !is_kept {
                    self.failures.push((seed, format!("{tally:?}")));
                }
                format!("{tally:?}")
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
                let text = text.unwrap_or_default();
                self.failures.push((seed, text.clone()));
                format!("FAILED: {text}")
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("{} seed {seed}, {seconds:.1} s: {said}", self.fault.name);
    }
}

/// The table of a run.
pub fn table(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<20} {:>6} {:>7} {:>12} {:>5} {:>8} {:>9}  promise\n",
        "fault", "rounds", "strikes", "acknowledged", "lost", "excused", "different"
    );
    for line in lines {
        let Tally { acknowledged, lost, excused, different, strikes, skipped } = &line.tally;
        let promise = match (line.failures.len(), skipped) {
            (0, None) => line.fault.promise.to_owned(),
            (0, Some(why)) => format!("SKIPPED: {why}"),
            (failed, _) => format!("BROKEN in {failed} rounds: {}", line.fault.promise),
        };
        let (name, rounds) = (line.fault.name, line.rounds);
        let _ = writeln!(
            text,
            "{name:<20} {rounds:>6} {strikes:>7} {acknowledged:>12} {lost:>5} {excused:>8} {different:>9}  {promise}"
        );
    }
    text
}
