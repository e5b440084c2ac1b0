//! `keyviz replay`: timestamped accesses from a file become history, with their own times.
//!
//! Responsible for: the arguments, the output, and (in its modules) the way of a trace: read twice
//! (`trace_file`, `input`, `survey`), planned (`routes`, `plan`), counted by the real sampler
//! (`columns`, `sort`), sent through the real ingest (`deliver`), and compared cell by cell with
//! what was read (`ledger`, `verify`).
//! Invariants: the boot id is a digest of the input and the options, so replaying the same file
//! again changes nothing (`plan`); the exit code is zero only if everything stored equals what was
//! read.
//! Must not: bypass the node's ingest, or read a clock but `keyviz_api::ambient`'s (which
//! matters for `--shift-to-now`, and tells a trace from the future).
//! Proved by: `replay_test.rs` (against a node in the same process), the `*_test.rs` beside each
//! module, and the end-to-end test with real processes.

mod columns;
mod deliver;
mod error;
mod input;
mod ledger;
mod plan;
mod report;
mod routes;
mod run;
mod sort;
mod survey;
mod trace_file;
mod verify;

#[cfg(test)]
mod fake_node_test;
#[cfg(test)]
mod replay_test;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use keyviz_api::ambient::SystemClock;
use keyviz_lineage::Step;

use crate::shown_token::ShownToken;
use input::InputOptions;
use report::Report;
use run::{Bars, Limits};

/// Arguments of `keyviz replay`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// File with the accesses: CSV, NDJSON or a combined log, plain, .gz or .zst; - is standard
    /// input
    pub(crate) file: PathBuf,
    /// gRPC address of the keyviz node
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50051")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) token: ShownToken,
    /// Length of a window: 1s to 10min, a divisor of an hour
    #[arg(long, default_value = "60s", value_parser = parse_step)]
    pub(crate) step: Step,
    /// How many routes to cut the keys into, by the keys' quantiles
    #[arg(long, default_value_t = 64, value_parser = parse_routes, conflicts_with = "routes_file")]
    pub(crate) routes: usize,
    /// File with the boundaries between routes instead: one key a line, ascending, as text or as
    /// 0x and hexadecimal bytes
    #[arg(long, value_name = "FILE")]
    pub(crate) routes_file: Option<PathBuf>,
    /// Group that holds the routes; give each trace one of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) group: u64,
    /// Name of the source [default: replay:<file name>]
    #[arg(long, value_name = "NAME")]
    pub(crate) node_id: Option<String>,
    /// Move the whole trace, by whole windows, so that its last window is the last complete one
    /// before now. Some windows later that is another trace, which needs a --group of its own
    #[arg(long)]
    pub(crate) shift_to_now: bool,
    /// No progress on the terminal
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) input: InputOptions,
}

/// Replays a trace and prints what became of it.
///
/// # Errors
/// An input that cannot be read, a node that cannot be reached or refuses something, and any
/// difference between what was read and what is stored.
pub(crate) async fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let bars = Bars { shown: !args.quiet && io::stderr().is_terminal() };
    let mut report = Report::default();
    let clock = SystemClock::shared();
    let replay = run::replay(&args, clock.as_ref(), Limits::default(), bars, &mut report);
    let outcome = Box::pin(replay).await;
    write!(io::stdout().lock(), "{report}")?;
    Ok(outcome?)
}

fn parse_step(text: &str) -> Result<Step, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err("a step is a whole number of milliseconds".to_owned());
    }
    let step_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Step::recordable_from_ms(step_ms).map_err(|error| error.to_string())
}

fn parse_routes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(routes @ 1..=routes::MAX_ROUTES) => Ok(routes),
        _ => Err(format!("a number from 1 to {}", routes::MAX_ROUTES)),
    }
}
