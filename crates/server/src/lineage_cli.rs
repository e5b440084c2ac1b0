//! `keyviz lineage`: the biography of a range as a tree, or as JSON.
//!
//! Responsible for: asking a running node and printing what it answers.
//! Invariants: no text of a key or a node reaches the terminal as a control sequence; a reader that
//! goes away (`| head`) is not an error.
//! Must not: open a data folder, or know how ranges are linked.
//! Proof: `lineage_cli_test.rs`, and `tests/tests/lineage_cli.rs` with real processes.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::{Context as _, ensure};
use clap::{ArgGroup, Args, ValueEnum};
use keyviz_api::ambient::SystemClock;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{Clock as _, LineageId, RouteId};

use crate::asked_node::AskedNode;
use crate::biography;
use crate::query_cli::key_text::{Key, inert_drawing, label};
use crate::query_cli::time_text::TimeSpec;

/// Columns of the key in the first line.
const KEY_COLUMNS: usize = 60;

/// Tell where a range came from and what became of it: every ancestor and descendant, with its keys,
/// route, group, times and causes.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("subject").required(true).args(["key", "route", "id"])))]
pub(crate) struct LineageArgs {
    /// Of the ranges that held this key: text, or 0x and hex.
    #[arg(value_name = "KEY")]
    key: Option<Key>,
    /// Of the ranges that had this route number, in any group.
    #[arg(long, value_name = "N", value_parser = route)]
    route: Option<RouteId>,
    /// Of the range with this lineage id.
    #[arg(long, value_name = "UUID")]
    id: Option<LineageId>,
    /// Only ranges that lived at or after this time: 2026-11-17T03:12:00Z or "2026-11-17 03:12"
    /// (UTC), Unix seconds or milliseconds, or relative (-15m, -7d). What they came from and what
    /// became of them is told whole. Default: the oldest that is kept.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeSpec>,
    /// Only ranges that lived before this time, in the same forms. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeSpec>,
    /// Draw so many generations up and down. Default: as many as some 200 lines allow.
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// Draw everything.
    #[arg(long, conflicts_with = "depth")]
    all: bool,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    node: AskedNode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A tree, one line a range.
    Text,
    /// The whole answer as one JSON document.
    Json,
}

fn route(text: &str) -> Result<RouteId, String> {
    match text.parse() {
        Ok(0) => Err("route 0 is reserved; route numbers are non-zero".to_owned()),
        Ok(route) => Ok(route),
        Err(_) => Err("a route number is a whole number above 0".to_owned()),
    }
}

/// Asks and prints.
///
/// # Errors
/// A span that is empty, a node that cannot be reached or knows nothing of the subject, an output that
/// cannot be written.
pub(crate) async fn run(args: LineageArgs) -> anyhow::Result<()> {
    let request = args.request(SystemClock::shared().unix_ms())?;
    let answer = args.node.heard(args.node.connect().await?.get_lineage(request).await)?;
    let mut out = BufWriter::new(io::stdout().lock());
    match args.print(&answer, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the answer to standard output"),
    }
}

impl LineageArgs {
    fn request(&self, now_unix_ms: u64) -> anyhow::Result<wire::GetLineageRequest> {
        let resolve = |time: Option<TimeSpec>| time.map_or(0, |time| time.resolve(now_unix_ms));
        let from_unix_ms = resolve(self.from);
        // The node's own now, so that clocks that differ lose nothing.
        let to_unix_ms = resolve(self.to.filter(|&to| to != TimeSpec::Now));
        ensure!(
            to_unix_ms == 0 || from_unix_ms < to_unix_ms,
            "--from is not before --to; the span would be empty"
        );
        Ok(wire::GetLineageRequest {
            lineage_id: self.id.map(|id| id.to_string()).unwrap_or_default(),
            route_id: self.route.unwrap_or(0),
            key: self.key.clone().unwrap_or_default().0.into(),
            by_key: self.key.is_some(),
            from_unix_ms,
            to_unix_ms,
            depth: if self.all { Some(u32::MAX) } else { self.depth },
            text_only: self.output == Output::Text,
        })
    }

    fn print(&self, answer: &wire::GetLineageResponse, out: &mut dyn Write) -> io::Result<()> {
        if self.output == Output::Json {
            serde_json::to_writer(&mut *out, &biography::to_json(answer))?;
            return out.write_all(b"\n");
        }
        let marked = match (&self.key, self.route) {
            (Some(key), _) if key.0.is_empty() => {
                "those that held the first of all keys are".to_owned()
            }
            (Some(key), _) => {
                format!("those that held the key {} are", label(&key.0, KEY_COLUMNS))
            }
            (None, Some(route)) => format!("those that had the route number {route} are"),
            (None, None) => "the one that was asked for is".to_owned(),
        };
        let count = answer.record_count;
        let lineages = if count == 1 { "lineage" } else { "lineages" };
        writeln!(out, "{count} {lineages}; {marked} marked *")?;
        for line in answer.text.lines() {
            writeln!(out, "{}", inert_drawing(line))?;
        }
        if answer.left_out > 0 {
            writeln!(out, "--depth N draws more or fewer generations, --all everything")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "lineage_cli_test.rs"]
mod lineage_cli_test;
