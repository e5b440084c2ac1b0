//! Script runs: where their time goes.
//!
//! | metric | labels |
//! |---|---|
//! | `script_runs_total` | `outcome` (`success`, `error`) |
//! | `script_vm_seconds` | `outcome`: in the VM alone |
//! | `script_call_seconds`, `script_calls` | `outcome`: in the commands that the script calls; how many |
//! | `script_commit_seconds` | `outcome`: in making its writes durable |
//! | `script_retries` | runs again after a conflict |
//!
//! Times and calls are of all tries of a run together.
//! Proof: `scripts_test.rs`, `tests/examples.rs`.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, Result};

use crate::{SECONDS, registered};

const CALLS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
const RETRIES: [f64; 8] = [0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];

/// One run of a script, all its tries together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptRun {
    /// From the first instruction to the last, calls included.
    pub took: Duration,
    /// Of it, in the commands that it calls.
    pub calls_took: Duration,
    /// How many it called.
    pub calls: u64,
    /// Making its writes durable, after the last instruction.
    pub commit_took: Duration,
    /// Tries after the first.
    pub retries: u64,
    /// Whether it ended with an error.
    pub is_error: bool,
}

/// Counts runs.
#[derive(Debug)]
pub struct ScriptObserver {
    runs: IntCounterVec,
    vm: HistogramVec,
    call: HistogramVec,
    calls: HistogramVec,
    commit: HistogramVec,
    retries: Histogram,
}

impl ScriptObserver {
    /// An observer whose metrics are in `registry`.
    ///
    /// # Errors
    /// Something in the registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(registry, HistogramVec::new(opts, &["outcome"]))
        };
        let runs = IntCounterVec::new(Opts::new("script_runs_total", "Script runs."), &["outcome"]);
        let retries = HistogramOpts::new("script_retries", "Tries of a run after the first.");
        Ok(Self {
            runs: registered(registry, runs)?,
            vm: histogram("script_vm_seconds", "Time of a run in the VM alone.", &SECONDS)?,
            call: histogram("script_call_seconds", "Time of a run in its commands.", &SECONDS)?,
            calls: histogram("script_calls", "Commands that a run calls.", &CALLS)?,
            commit: histogram("script_commit_seconds", "Time to make it durable.", &SECONDS)?,
            retries: registered(registry, Histogram::with_opts(retries.buckets(RETRIES.to_vec())))?,
        })
    }

    /// A run has ended.
    pub fn observe(&self, run: &ScriptRun) {
        let outcome = [if run.is_error { "error" } else { "success" }];
        let seconds = |duration: Duration| duration.as_secs_f64();
        self.runs.with_label_values(&outcome).inc();
        let vm = run.took.saturating_sub(run.calls_took);
        self.vm.with_label_values(&outcome).observe(seconds(vm));
        self.call.with_label_values(&outcome).observe(seconds(run.calls_took));
        self.calls.with_label_values(&outcome).observe(run.calls as f64);
        self.commit.with_label_values(&outcome).observe(seconds(run.commit_took));
        self.retries.observe(run.retries as f64);
    }
}

#[cfg(test)]
#[path = "scripts_test.rs"]
mod scripts_test;
