//! The benches: programs that print JSON lines `{"bench", "value", "unit", "baseline", "ratio"}`.
//!
//! Machines are noisy, so every figure is set against a baseline that runs in turns with it in the
//! same process; the ratio is what counts. Nothing here is a test.
//!
//! `keyviz-bench` runs the quick ones; `keyviz-bench lineage-growth [days]` takes minutes.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod codec;
mod lineage_growth;
mod observe;
mod report;
mod wal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            observe::run();
            codec::run();
            wal::run()
        }
        ["lineage-growth"] => lineage_growth::run(None),
        ["lineage-growth", days] => lineage_growth::run(Some(days.parse()?)),
        _ => Err(format!("{arguments:?}: give nothing, or lineage-growth [days]").into()),
    }
}
