//! `keyviz demo`: the whole way, on this machine, in a minute.
//!
//! Real processes in a temporary folder (`stage`, `process`): a node, the reference host, and
//! redis-benchmark beside a client of the demo's own (`traffic`, `mix`, `keyspace`). What happens
//! to them is in `story` and `ranges`, when in `schedule`. At the end every cell that the node answers with is
//! compared with the host's own ledger (`ledger`, `history`, `compare`).
//! Invariants: the last line on stdout is `demo: OK ...` or `demo: FAILED ...`, and the exit code
//! agrees; whatever happens, no process of the demo outlives it without `--keep`; the folder goes,
//! unless the demo failed (its logs are then needed) or `--keep` was given.
//! Must not: read anything of the node but through its ports.
//! Proof: the `*_test.rs` beside each module, and the demo itself in CI.

mod compare;
mod history;
mod host;
mod keyspace;
mod ledger;
mod mix;
mod narrator;
mod process;
mod ranges;
mod resp;
mod schedule;
mod screenshot;
mod stage;
mod story;
mod traffic;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::query_cli::{ColourMode, Terminal, render_heatmap};
use history::HistoryClient;
use narrator::{Narrator, count, grouped};
use stage::Stage;
use story::Ending;

/// Lines of the heatmap's header, axis and legend.
const LEGEND_LINES: usize = 10;
/// The picture is as tall as its rows want, within reason.
const PICTURE_LINES: std::ops::RangeInclusive<usize> = 12..=90;
/// Wider than this, a minute only gets thicker.
const PICTURE_COLUMNS: u16 = 160;

/// Arguments of `keyviz demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How long the traffic lasts
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(15..=86_400))]
    seconds: u32,
    /// Splits and merges in all, one after the other under the hotspot; with more than two, ranges also
    /// move between two groups
    #[arg(long, default_value_t = schedule::FEW, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=300))]
    transitions: u32,
    /// Leave everything running, and say where to look
    #[arg(long)]
    keep: bool,
    /// Take a picture of the page at the end (PNG; needs Chromium)
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
}

/// Plays the demo, prints what became of it, and cleans up.
///
/// # Errors
/// Something could not be done, or keyviz does not hold what the host counted.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let narrator = Narrator::begin();
    match perform(&args, narrator).await {
        Ok(numbers) => {
            narrator.prints(&format!("demo: OK {numbers}\n"));
            Ok(())
        }
        Err(error) => {
            narrator.prints(&format!("demo: FAILED {error:#}\n"));
            Err(anyhow!("the demo failed"))
        }
    }
}

/// The stage, the play and the cleaning up. Returns the numbers of the last line.
async fn perform(args: &DemoArgs, narrator: Narrator) -> anyhow::Result<String> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    traffic::require_benchmark().await?;
    let mut stage = Stage::new()?;
    let played = tokio::select! {
        played = play(args, &mut stage, narrator) => Some(played),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let is_failure = matches!(played, Some(Err(_)));
    if played.is_none() {
        narrator.says("interrupted; stopping");
    }
    let played = played.unwrap_or_else(|| Err(anyhow!("it was interrupted")));
    let played = match stage.obituary().filter(|_| is_failure) {
        Some(obituary) => played.context(obituary),
        None => played,
    };
    let cleaned = clean_up(args, stage, is_failure, narrator).await;
    let numbers = played?;
    cleaned.map(|()| numbers)
}

/// Plays, shows and judges. Returns the numbers of the last line.
async fn play(args: &DemoArgs, stage: &mut Stage, narrator: Narrator) -> anyhow::Result<String> {
    let ending = Box::pin(story::play(args.seconds, args.transitions, stage, narrator)).await?;
    show(&ending, stage, narrator).await?;
    if let Some(file) = &args.screenshot {
        take_screenshot(file, &ending, stage, narrator).await;
    }
    judge(&ending, args.transitions, narrator)
}

/// The heatmap, and the biography of the range that was split.
async fn show(ending: &Ending, stage: &Stage, narrator: Narrator) -> anyhow::Result<()> {
    let mut history = HistoryClient::connect(stage.grpc).await?;
    let picture = history.picture(ending.span_ms).await?;
    let terminal = Terminal::of_stdout();
    let rows = match terminal.colour {
        ColourMode::TrueColour => picture.rows.len().div_ceil(2),
        ColourMode::Plain => picture.rows.len(),
    };
    let lines = rows.clamp(*PICTURE_LINES.start(), *PICTURE_LINES.end()) + LEGEND_LINES;
    let columns = terminal.columns.min(PICTURE_COLUMNS);
    narrator
        .prints(&format!("\n{}", render_heatmap(&picture, columns.into(), lines, terminal.colour)));
    let biography = history.biography(&ending.hot_key).await?;
    narrator.prints(&format!("\nThe ranges that held {}:\n{biography}\n", ending.hot_key));
    Ok(())
}

/// A picture is a souvenir: without it, the demo has not failed.
async fn take_screenshot(file: &Path, ending: &Ending, stage: &Stage, narrator: Narrator) {
    let Some(browser) = screenshot::browser().await else {
        return narrator.says(
            "no picture of the page: install the package chromium (apt-get install chromium)",
        );
    };
    let url = screenshot::address(stage.http, ending.span_ms);
    match screenshot::take(browser, &url, file).await {
        Ok(()) => narrator.says(&format!("the page is in {}", file.display())),
        Err(error) => narrator.says(&format!("no picture of the page: {error:#}")),
    }
}

fn judge(ending: &Ending, transitions: u32, narrator: Narrator) -> anyhow::Result<String> {
    let Ending { ledger, outcome, restarts, complaints, .. } = ending;
    for difference in &outcome.shown {
        narrator.prints(&format!("  {difference}\n"));
    }
    let not_shown = outcome.lost + outcome.wrong - outcome.shown.len() as u64;
    if not_shown > 0 {
        narrator.prints(&format!("  and {} more\n", grouped(not_shown)));
    }
    let (columns, splits, merges) =
        (ledger.columns(), ledger.count("split"), ledger.count("merge"));
    let (cells, lost) = (outcome.cells, outcome.lost);
    let numbers = format!(
        "columns={columns} cells={cells} lost={lost} restarts={restarts} splits={splits} merges={merges}"
    );
    if !outcome.is_good() {
        let cells = count(lost, "value");
        bail!(
            "{cells} and {} differ from the host's ledger: {numbers}",
            count(outcome.wrong, "other fact")
        );
    }
    if !complaints.is_empty() {
        bail!("{}: {numbers}", complaints.join(", "));
    }
    let expected = (u64::from(transitions.div_ceil(2)), u64::from(transitions / 2));
    if (splits, merges) != expected || cells == 0 {
        let (splits, merges) = (count(expected.0, "split"), count(expected.1, "merge"));
        bail!("there were to be {splits}, {merges} and some traffic: {numbers}");
    }
    Ok(numbers)
}

/// Leaves or stops the processes, keeps or removes the folder, and says so.
async fn clean_up(
    args: &DemoArgs,
    mut stage: Stage,
    is_failure: bool,
    narrator: Narrator,
) -> anyhow::Result<()> {
    if args.keep {
        let (page, host_address) = (stage.http, stage.host_address);
        let pids: Vec<String> = stage.leave_running().iter().map(u32::to_string).collect();
        let folder = stage.keep_folder();
        let redis =
            host_address.map_or_else(String::new, |host| format!("redis-cli -p {}", host.port()));
        narrator.prints(&format!(
            "Left running: pids {pids}\n  page    http://{page}/\n  clients {redis}\n  folder  {folder}\n  stop    kill -9 {pids}; sleep 1; rm -r {folder}\n",
            pids = pids.join(" "),
            folder = folder.display(),
        ));
        return Ok(());
    }
    let stopped = stage.stop().await.context("stopping");
    if is_failure || stopped.is_err() {
        narrator
            .prints(&format!("The logs and the ledger are in {}\n", stage.keep_folder().display()));
        return stopped;
    }
    stage.remove()
}
