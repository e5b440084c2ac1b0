//! `keyviz top`: the ranges with the most traffic, or that changed the most, as a table, JSON or CSV.
//!
//! Responsible for: asking a running node and printing what it answers.
//! Invariants: no byte of a key reaches the terminal as a control sequence; a reader that goes away
//! (`| head`) is not an error; a window that nobody recorded is named as such.
//! Must not: rank or add up anything.
//! Proof: `top_cli_test.rs`, and `tests/tests/top.rs` with real processes.

pub(crate) mod table;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use keyviz_api::ambient::SystemClock;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{Clock as _, Series};

use crate::asked_node::AskedNode;
use crate::query_cli::args::{series, wire_series};
use crate::query_cli::key_text::Key;
use crate::query_cli::long_csv::{io_error, key};
use crate::query_cli::time_text::{TimeSpec, iso};
use crate::top;

/// Name the ranges with the most traffic; with --against, those whose rate changed the most. A range
/// that was split is compared with its share of what it came from, one that was merged with all that it
/// came from: nothing is counted twice.
#[derive(Args, Clone, Debug)]
pub(crate) struct TopArgs {
    /// What to count: reads, writes, read_bytes or write_bytes.
    #[arg(long, value_parser = series, default_value = "writes")]
    series: Series,
    /// Start of the window: 2026-11-17T03:12:00Z or "2026-11-17 03:12" (UTC), Unix seconds or
    /// milliseconds, or relative (-15m, -7d). Default: an hour before its end.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeSpec>,
    /// End of the window, exclusive, in the same forms. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeSpec>,
    /// Another window to compare with, such as -25h..-24h.
    #[arg(long, value_name = "FROM..TO", allow_hyphen_values = true)]
    against: Option<Against>,
    /// Only ranges that overlap keys from this one on: text, or 0x and hex.
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    start: Key,
    /// Only ranges that overlap keys before this one.
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    end: Key,
    /// How many ranges, at most 1024.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    node: AskedNode,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// The whole answer as one JSON document.
    Json,
    /// One line a range.
    Csv,
}

/// `FROM..TO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Against(TimeSpec, TimeSpec);

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text
            .split_once("..")
            .ok_or("a window is two times with .. between them, such as -25h..-24h")?;
        Ok(Self(from.parse()?, to.parse()?))
    }
}

/// Asks and prints.
///
/// # Errors
/// A span that is empty, a node that cannot be reached or refuses, an output that cannot be written.
pub(crate) async fn run(args: TopArgs) -> anyhow::Result<()> {
    let request = args.request(SystemClock::shared().unix_ms())?;
    let answer = args.node.heard(args.node.connect().await?.get_top(request).await)?;
    let mut out = BufWriter::new(io::stdout().lock());
    match print(&answer, args.output, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the answer to standard output"),
    }
}

impl TopArgs {
    fn request(&self, now_unix_ms: u64) -> anyhow::Result<wire::GetTopRequest> {
        let resolve = |time: Option<TimeSpec>| time.map_or(0, |time| time.resolve(now_unix_ms));
        let from_unix_ms = resolve(self.from);
        // The node's own now, so that clocks that differ lose no window.
        let to_unix_ms = resolve(self.to.filter(|&to| to != TimeSpec::Now));
        ensure!(
            to_unix_ms == 0 || from_unix_ms < to_unix_ms,
            "--from is not before --to; the window would be empty"
        );
        let against = self.against.map(|Against(from, to)| (Some(from), Some(to)));
        let (against_from, against_to) = against.unwrap_or_default();
        let (against_from_unix_ms, against_to_unix_ms) =
            (resolve(against_from), resolve(against_to));
        ensure!(
            self.against.is_none() || against_from_unix_ms < against_to_unix_ms,
            "--against ends before it starts; write the earlier time first"
        );
        ensure!(
            self.end.0.is_empty() || self.start.0 < self.end.0,
            "--start is not before --end; keys are compared as bytes"
        );
        Ok(wire::GetTopRequest {
            series: wire_series(self.series).into(),
            from_unix_ms,
            to_unix_ms,
            against_from_unix_ms,
            against_to_unix_ms,
            start: self.start.0.clone().into(),
            end: self.end.0.clone().into(),
            limit: self.limit,
        })
    }
}

fn print(answer: &wire::GetTopResponse, output: Output, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Table => table::lines(answer).iter().try_for_each(|line| writeln!(out, "{line}")),
        Output::Json => {
            serde_json::to_writer(&mut *out, &top::to_json(answer))?;
            out.write_all(b"\n")
        }
        Output::Csv => write_csv(answer, out),
    }
}

/// The first line of the CSV.
const HEADER: [&str; 20] = [
    "rank",
    "start",
    "end",
    "bucket_id",
    "lineage_id",
    "total",
    "share",
    "per_second",
    "peak_start",
    "peak_within_ms",
    "peak",
    "missing_ms",
    "partial_ms",
    "apportioned",
    "before_total",
    "before_per_second",
    "before_missing_ms",
    "before_apportioned",
    "change",
    "factor",
];

fn write_csv(answer: &wire::GetTopResponse, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(HEADER).map_err(io_error)?;
    let text = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    for (row, rank) in answer.rows.iter().zip(1..) {
        let now = row.now.unwrap_or_default();
        let peak = row.peak.unwrap_or_default();
        let of_before = |of: fn(&wire::TopTraffic) -> u64| {
            row.before.as_ref().map(|before| of(before).to_string()).unwrap_or_default()
        };
        csv.write_record([
            rank.to_string(),
            key(&row.start),
            key(&row.end),
            row.bucket_id.clone(),
            row.lineage_id.clone(),
            now.total.to_string(),
            now.share.to_string(),
            text(now.rate),
            row.peak.map(|peak| iso(peak.from_unix_ms)).unwrap_or_default(),
            row.peak.map(|peak| peak.within_ms.to_string()).unwrap_or_default(),
            peak.value.to_string(),
            now.missing_ms.to_string(),
            now.partial_ms.to_string(),
            now.apportioned.to_string(),
            of_before(|before| before.total),
            text(row.before.and_then(|before| before.rate)),
            of_before(|before| before.missing_ms),
            of_before(|before| before.apportioned),
            row.change.clone(),
            text(row.factor),
        ])
        .map_err(io_error)?;
    }
    csv.flush()
}

#[cfg(test)]
#[path = "top_cli_test.rs"]
mod top_cli_test;
