//! The benches: programs that print JSON lines `{"bench", "value", "unit", "baseline", "ratio"}`.
//!
//! Machines are noisy, so every figure is set against a baseline that runs in turns with it in the
//! same process; the ratio is what counts. Nothing here is a test.
//!
//! `keyviz-bench` runs all of them, minutes each for the stores that are filled; `keyviz-bench NAME...`
//! some. `query` runs by name only: it asks a store that it keeps in the folder `KEYVIZ_BENCH_STORE`.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod codec;
mod codec_entropy;
mod fairness;
mod fill;
mod filled;
mod growth;
mod ingest;
mod lineage_growth;
mod machine;
mod memory;
mod observe;
mod plan;
mod questions;
mod report;
mod restart;
mod retention;
mod settings;
mod store;
mod wal;
mod workload;

type Run = fn() -> Result<(), Box<dyn std::error::Error>>;

/// What can be named, and whether it runs when nothing is.
const BENCHES: [(&str, Run, bool); 21] = [
    ("observe", observe::run, true),
    ("observe-cost", observe::run_cost, true),
    ("codec", codec::run, true),
    ("codec-entropy", codec_entropy::run, true),
    ("store", store::run, true),
    ("wal", wal::run, true),
    ("replay", restart::run_replay, true),
    ("ready", restart::run_ready, false),
    ("opened", restart::opened, false),
    ("ingest", ingest::run, true),
    ("fairness", fairness::run, true),
    ("plan", plan::run, true),
    ("week", questions::run, true),
    ("sparse-week", fill::run_sparse, true),
    ("persist", fill::run_persist, false),
    ("growth", growth::run, true),
    ("hold", memory::hold, false),
    ("query", questions::run_on_kept, false),
    ("settings", settings::run, false),
    ("lineage-growth", || lineage_growth::run(None), true),
    ("retention", retention::run, true),
];

/// `keyviz-bench [NAME...]` runs the benches named, or all.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| BENCHES.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, ..)| *name).collect();
        return Err(format!("no bench is called {unknown}; there are {}", names.join(", ")).into());
    }
    for (name, run, always) in BENCHES {
        if named.is_empty() && always || named.iter().any(|asked| asked == name) {
            run()?;
        }
    }
    Ok(())
}
