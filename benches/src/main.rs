//! The benches: programs that print JSON lines `{"bench", "value", "unit", "baseline", "ratio"}`.
//!
//! Machines are noisy, so every figure is set against a baseline that runs in turns with it in the
//! same process; the ratio is what counts. Nothing here is a test.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod codec;
mod observe;
mod report;
mod store;
mod wal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    observe::run();
    codec::run();
    store::run()?;
    wal::run()?;
    Ok(())
}
