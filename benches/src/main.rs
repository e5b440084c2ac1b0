//! The benches: programs that print JSON lines `{"bench", "value", "unit", "baseline", "ratio"}`.
//!
//! Machines are noisy, so every figure is set against a baseline that runs in turns with it in the
//! same process; the ratio is what counts. Nothing here is a test.
//!
//! `keyviz-bench` runs the quick ones; `keyviz-bench lineage-growth [days]` takes minutes.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod codec;
mod codec_entropy;
mod fill;
mod filled;
mod lineage_growth;
mod machine;
mod observe;
mod plan;
mod report;
mod store;
mod wal;
mod workload;

type Run = fn() -> Result<(), Box<dyn std::error::Error>>;

/// `keyviz-bench [NAME...]` runs the benches named, or all.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let benches: [(&str, Run); 8] = [
        ("observe", observe::run),
        ("codec", codec::run),
        ("codec-entropy", codec_entropy::run),
        ("store", store::run),
        ("wal", wal::run),
        ("fill", fill::run),
        ("plan", plan::run),
        ("lineage-growth", || lineage_growth::run(None)),
    ];
    if let Some(unknown) = named.iter().find(|name| benches.iter().all(|(known, _)| known != name))
    {
        let known: Vec<&str> = benches.iter().map(|(name, _)| *name).collect();
        return Err(format!("no bench is called {unknown}; there are {}", known.join(", ")).into());
    }
    for (name, run) in benches {
        if named.is_empty() || named.iter().any(|asked| asked == name) {
            run()?;
        }
    }
    Ok(())
}
