//! One replay from its first byte to the comparison.
//!
//! Responsible for: the order of the steps, and what of them the report shows.
//!
//! ```text
//! file -> survey (pass 1) -> plan -> sampler (pass 2, own thread) -> columns -> node
//!                                    ledger <-------- comparison ----------------'
//! ```
//! Must not: print, or read a clock but the one it is given.
//! Proved by: `replay_test.rs`.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use keyviz_api::convert::check_node_id;
use keyviz_lineage::Clock;
use keyviz_lineage::column::MAX_NODE_BYTES;
use tokio::sync::mpsc;

use super::ReplayArgs;
use super::columns::SecondPass;
use super::deliver::Delivery;
use super::error::ReplayError;
use super::ledger::{self, Ledger};
use super::plan::{Plan, Shape};
use super::report::{Planned, Report, Sent};
use super::routes::Routes;
use super::survey::{Survey, survey};
use super::trace_file::TraceFile;
use super::verify::verify;

/// Columns that are ready to be sent before the second pass waits.
const READY_COLUMNS: usize = 64;

/// What bounds a replay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long the node may be silent.
    pub(super) patience: Duration,
    /// Memory for sorting an input that is out of order.
    pub(super) sort_bytes: usize,
    /// The most windows; each is a column, idle ones too.
    pub(super) max_windows: u64,
    /// The most cells with traffic.
    pub(super) max_cells: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            patience: Duration::from_secs(30),
            sort_bytes: 256 << 20,
            max_windows: 2_000_000,
            max_cells: ledger::MAX_CELLS,
        }
    }
}

/// Replays, and keeps `report` up to date, so that it tells how far a failed replay came.
///
/// # Errors
/// See [`ReplayError`].
pub(super) async fn replay(
    args: &ReplayArgs,
    clock: &dyn Clock,
    limits: Limits,
    bars: Bars,
    report: &mut Report,
) -> Result<(), ReplayError> {
    let name_hint = args.file.to_string_lossy().into_owned();
    let digest_text = args.input.digest_text(&name_hint)?;
    let node = node_id(args)?;
    let given = args.routes_file.as_deref().map(Routes::from_file).transpose()?;
    let (file, survey) = first_pass(args, &name_hint, given.is_none(), bars).await?;
    report.read = Some((survey.totals, survey.refusals.clone()));
    let Some(span) = survey.span else {
        let first = survey.refusals.first.first();
        let first = first.map(|line| format!(", the first is {line}")).unwrap_or_default();
        let name = file.name().to_owned();
        return Err(ReplayError::Empty { name, refused: survey.refusals.count, first });
    };
    let routes = match (given, survey.quantiles) {
        (Some(routes), _) => routes,
        (None, Some(quantiles)) => Routes::between(&quantiles.boundaries(args.routes))?,
        (None, None) => Routes::between(&[])?,
    };
    let shape = Shape {
        step: args.step,
        group: args.group,
        node,
        digest_text: &digest_text,
        now_ms: clock.unix_ms(),
        shift_to_now: args.shift_to_now,
        max_windows: limits.max_windows,
    };
    let raw_digest = digest_value(&survey.digest);
    let plan = Arc::new(Plan::new(span, routes, survey.digest, shape)?);
    report.planned = Some(planned(&plan));
    let second_pass = SecondPass {
        file: Arc::clone(&file),
        name_hint,
        options: args.input.clone(),
        plan: Arc::clone(&plan),
        in_order: survey.in_order,
        raw_digest,
        sort_bytes: limits.sort_bytes,
        max_cells: limits.max_cells,
        bar: bars.bytes("sending", file.bytes()),
    };
    let ledger = send(args, &plan, second_pass, limits, bars, report).await?;
    let bar = bars.steps("comparing");
    let outcome = verify((&args.to, &args.token), &plan, &ledger, limits.patience, &bar).await;
    bar.finish_and_clear();
    let verified = outcome?;
    let (different, cells) = (verified.different, verified.cells);
    report.verified = Some(verified);
    if different > 0 { Err(ReplayError::Different { different, cells }) } else { Ok(()) }
}

async fn first_pass(
    args: &ReplayArgs,
    name_hint: &str,
    sample_keys: bool,
    bars: Bars,
) -> Result<(Arc<TraceFile>, Survey), ReplayError> {
    let (path, options, step) = (args.file.clone(), args.input.clone(), args.step);
    let name_hint = name_hint.to_owned();
    tokio::task::spawn_blocking(move || {
        let bar = bars.steps("copying");
        let file = TraceFile::open(&path, &bar)?;
        bar.finish_and_clear();
        let bar = bars.bytes("reading", file.bytes());
        let found = survey(&file, &name_hint, &options, step, sample_keys, &bar)?;
        bar.finish_and_clear();
        Ok((Arc::new(file), found))
    })
    .await?
}

/// The second pass and the delivery, side by side.
async fn send(
    args: &ReplayArgs,
    plan: &Plan,
    second_pass: SecondPass,
    limits: Limits,
    bars: Bars,
    report: &mut Report,
) -> Result<Ledger, ReplayError> {
    let bar = second_pass.bar.clone();
    let mut delivery = Delivery::start((&args.to, &args.token), plan, limits.patience).await?;
    let (ready, columns) = mpsc::channel(READY_COLUMNS);
    let reader = tokio::task::spawn_blocking(move || second_pass.run(&ready));
    let delivered = delivery.columns(columns).await;
    let read = reader.await;
    bar.finish_and_clear();
    let outcome = match (delivered, read) {
        (Err(error), _) => Err(error),
        (Ok(()), Err(error)) => Err(error.into()),
        // Without the leave: the same file, replayed again, goes on here.
        (Ok(()), Ok(Err(error))) => Err(error),
        (Ok(()), Ok(Ok(ledger))) => {
            let bar = bars.steps("waiting");
            let finished = delivery.finish(&bar).await;
            bar.finish_and_clear();
            finished.map(|()| ledger)
        }
    };
    let stats = delivery.stats();
    report.sent = Some(Sent {
        columns: delivery.columns_sent(),
        acknowledged: stats.acknowledged - stats.refused - stats.aborted,
        duplicates: stats.duplicates,
        connections: stats.connections,
    });
    outcome
}

/// `--node-id`, or a name made of the file's.
fn node_id(args: &ReplayArgs) -> Result<String, ReplayError> {
    let node = match &args.node_id {
        Some(node) => node.clone(),
        None => {
            let name = match args.file.file_name() {
                Some(name) if args.file.as_os_str() != "-" => name.to_string_lossy().into_owned(),
                _ => "stdin".to_owned(),
            };
            let name: String = name.chars().filter(|char| !char.is_control()).collect();
            let mut node = format!("replay:{name}");
            node.truncate(node.floor_char_boundary(MAX_NODE_BYTES));
            node
        }
    };
    match check_node_id(&node) {
        Ok(()) => Ok(node),
        Err(source) => Err(ReplayError::NodeId { node, source }),
    }
}

fn digest_value(digest: &super::trace_file::Digest256) -> [u8; 32] {
    blake2::Digest::finalize(digest.clone()).into()
}

fn planned(plan: &Plan) -> Planned {
    Planned {
        windows: plan.windows,
        first_ms: plan.first_ms,
        last_ms: plan.start_ms(plan.windows - 1),
        step_ms: plan.step.ms(),
        shift_ms: plan.shift_ms,
        routes: plan.routes.len(),
        source: format!("{}, boot {}, group {}", plan.source.node, plan.source.boot, plan.group),
    }
}

/// Progress on the terminal, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bars {
    pub(super) shown: bool,
}

impl Bars {
    fn bytes(self, label: &'static str, bytes: u64) -> ProgressBar {
        let style = "{prefix:9} {wide_bar} {bytes}/{total_bytes} {eta}";
        self.bar(label, Some(bytes), style)
    }

    fn steps(self, label: &'static str) -> ProgressBar {
        self.bar(label, None, "{prefix:9} {wide_bar} {pos}/{len}")
    }

    fn bar(self, label: &'static str, length: Option<u64>, style: &str) -> ProgressBar {
        if !self.shown {
            return ProgressBar::hidden();
        }
        let bar = match length {
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::no_length(),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.with_prefix(label)
    }
}
