//! `keyviz report`: one file for the post-mortem.
//!
//! Responsible for: asking a running node the questions that a report answers, and writing the file.
//! Invariants: the file needs nothing but itself, holds no script, and every strange byte in it is
//! escaped; what is written is there whole or not at all.
//! Must not: rank, add up or draw anything ([`picture`] and [`html`] do).
//! Proof: `report_test.rs`, and `tests/tests/top.rs` with a real process.

mod axes;
mod html;
mod picture;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use keyviz_api::ambient::SystemClock;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{Clock as _, Series};

use crate::asked_node::AskedNode;
use crate::colours::Palette;
use crate::query_cli::args::{series, wire_series};
use crate::query_cli::key_text::{Key, exact};
use crate::query_cli::time_text::{TimeSpec, iso};

/// Rows of the picture: each is a line of pixels at least.
const ROWS: u32 = 512;
/// Ranges in the table.
const TOP: u32 = 20;

/// Write one file for the post-mortem: the picture of a window, the ranges with the most traffic in it
/// and those that changed the most, what happened to the ranges, and what is not known.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// Start of the window: 2026-11-17T03:12:00Z or "2026-11-17 03:12" (UTC), Unix seconds or
    /// milliseconds, or relative (-15m, -7d).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: TimeSpec,
    /// End of the window, exclusive, in the same forms. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeSpec>,
    /// What to count: reads, writes, read_bytes or write_bytes.
    #[arg(long, value_parser = series, default_value = "writes")]
    series: Series,
    /// Only ranges that overlap keys from this one on: text, or 0x and hex.
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    start: Key,
    /// Only ranges that overlap keys before this one.
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    end: Key,
    /// The colours of the picture.
    #[arg(long, value_enum, default_value_t = Palette::Viridis)]
    palette: Palette,
    /// The file; its name says what it is: .html (everything), .png (the picture alone).
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    node: AskedNode,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Html,
    Png,
}

fn kind_of(path: &Path) -> anyhow::Result<Kind> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => Ok(Kind::Html),
        Some("png") => Ok(Kind::Png),
        _ => bail!(
            "--output {}: give a name that ends in .html or .png; it says what is written",
            path.display()
        ),
    }
}

/// What a report is made of.
pub(crate) struct Facts {
    pub(crate) matrix: wire::GetMatrixResponse,
    /// The window alone.
    pub(crate) top: wire::GetTopResponse,
    /// Against the same span before it, or what the node said to that.
    pub(crate) changed: Result<wire::GetTopResponse, String>,
    pub(crate) events: Vec<wire::RangeEvent>,
    pub(crate) palette: Palette,
    /// The commands that ask the same again.
    pub(crate) questions: Vec<String>,
    pub(crate) written_unix_ms: u64,
}

/// Asks and writes.
///
/// # Errors
/// A window that is empty, a node that cannot be reached or refuses, a file that cannot be written.
pub(crate) async fn run(args: ReportArgs) -> anyhow::Result<()> {
    let kind = kind_of(&args.output)?;
    let facts = args.facts(SystemClock::shared().unix_ms()).await?;
    let bytes = match kind {
        Kind::Html => html::page(&facts)?.into_bytes(),
        Kind::Png => picture::standalone(&facts.matrix, facts.palette)?,
    };
    write_whole(&args.output, &bytes)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    println_of(&args.output, bytes.len());
    Ok(())
}

#[allow(clippy::print_stdout)]
fn println_of(path: &Path, bytes: usize) {
    println!("{}: {} KiB", path.display(), bytes.div_ceil(1 << 10));
}

fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

impl ReportArgs {
    async fn facts(&self, now_ms: u64) -> anyhow::Result<Facts> {
        let from_unix_ms = self.from.resolve(now_ms);
        let to_unix_ms = self.to.unwrap_or(TimeSpec::Now).resolve(now_ms);
        ensure!(from_unix_ms < to_unix_ms, "--from is not before --to; the window would be empty");
        ensure!(
            self.end.0.is_empty() || self.start.0 < self.end.0,
            "--start is not before --end; keys are compared as bytes"
        );
        let mut client = self.node.connect().await?;
        let (start, end) = (self.start.0.clone(), self.end.0.clone());
        let of_window = wire::GetMatrixRequest {
            series: wire_series(self.series).into(),
            from_unix_ms,
            to_unix_ms,
            start: start.clone().into(),
            end: end.clone().into(),
            rows: ROWS,
            ..Default::default()
        };
        let matrix = self.node.heard(client.get_matrix(of_window).await)?;
        let alone = wire::GetTopRequest {
            series: wire_series(self.series).into(),
            from_unix_ms,
            to_unix_ms,
            start: start.into(),
            end: end.into(),
            limit: TOP,
            ..Default::default()
        };
        let before_ms = from_unix_ms - (to_unix_ms - from_unix_ms);
        let against = wire::GetTopRequest {
            against_from_unix_ms: before_ms,
            against_to_unix_ms: from_unix_ms,
            ..alone.clone()
        };
        let top = self.node.heard(client.get_top(alone).await)?;
        // Said in the report: the rest of it is worth having without.
        let changed = self.node.heard(client.get_top(against).await);
        let changed = changed.map_err(|error| error.to_string());
        let of_events = wire::GetEventsRequest { from_unix_ms, to_unix_ms };
        let events = self.node.heard(client.get_events(of_events).await)?.events;
        Ok(Facts {
            matrix,
            top,
            changed,
            events,
            palette: self.palette,
            questions: self.questions((from_unix_ms, to_unix_ms), before_ms),
            written_unix_ms: now_ms,
        })
    }

    fn questions(&self, (from, to): (i64, i64), before: i64) -> Vec<String> {
        let mut of =
            format!("--series {} --from {} --to {}", self.series.name(), iso(from), iso(to));
        for (flag, key) in [("start", &self.start), ("end", &self.end)] {
            if !key.0.is_empty() {
                let text = exact(&key.0).replace('\'', "'\\''");
                of.push_str(&format!(" --{flag} '{text}'"));
            }
        }
        vec![
            format!("keyviz report {of} -o incident.html"),
            format!("keyviz query {of}"),
            format!("keyviz top {of} --against {}..{}", iso(before), iso(from)),
            format!("keyviz events --from {} --to {}", iso(from), iso(to)),
        ]
    }
}

#[cfg(test)]
#[path = "report_test.rs"]
mod report_test;
