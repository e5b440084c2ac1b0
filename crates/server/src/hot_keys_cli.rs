//! `keyviz hotkeys`: the most frequent keys of the last windows, as a list or as JSON.
//!
//! Responsible for: asking a running node and printing what it answers.
//! Invariants: no byte of a key reaches the terminal as a control sequence; a reader that goes away
//! (`| head`) is not an error.
//! Must not: know how keys are counted.
//! Proof: `hot_keys_cli_test.rs`, and `tests/tests/hot_keys.rs` with real processes.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use keyviz_api::ambient::SystemClock;
use keyviz_api::wire::history as wire;
use keyviz_lineage::{Clock as _, GroupId, LineageId, RouteId};

use crate::asked_node::AskedNode;
use crate::http::hot_keys_to_json;
use crate::node::rfc3339;
use crate::query_cli::key_text::{Key, label};
use crate::query_cli::time_text::TimeSpec;

/// Columns of a key.
const KEY_COLUMNS: usize = 100;

/// Name the most frequent keys of the last windows that sources have told of: how often each came, about.
/// Sources look at keys only when they are started so (keyviz-host: --hot-keys).
#[derive(Args, Clone, Debug)]
pub(crate) struct HotKeysArgs {
    /// Of the reads or of the writes.
    #[arg(long, value_enum, default_value_t = Kind::Writes)]
    series: Kind,
    /// Of the range that has this number.
    #[arg(long, value_name = "N")]
    route: Option<RouteId>,
    /// Of this group's ranges.
    #[arg(long, value_name = "N")]
    group: Option<GroupId>,
    /// Of the range with this lineage id.
    #[arg(long, value_name = "UUID")]
    id: Option<LineageId>,
    /// Keys from here on: text, or 0x and hex.
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    start: Key,
    /// Keys before this one.
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    end: Key,
    /// How many keys.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: u32,
    /// All windows from this time on that are still held, added up: "2026-11-17 03:12" (UTC), Unix
    /// seconds or milliseconds, or relative (-10s). Default: the last window only.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeSpec>,
    /// Windows before this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeSpec>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    node: AskedNode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Reads.
    Reads,
    /// Writes.
    Writes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line a key.
    Text,
    /// The whole answer as one JSON document.
    Json,
}

/// Asks and prints.
///
/// # Errors
/// A span that is empty, a node that cannot be reached or knows of no hot keys, an output that cannot be
/// written.
pub(crate) async fn run(args: HotKeysArgs) -> anyhow::Result<()> {
    let request = args.request(SystemClock::shared().unix_ms())?;
    let answer = args.node.heard(args.node.connect().await?.get_hot_keys(request).await)?;
    let mut out = BufWriter::new(io::stdout().lock());
    match args.print(&answer, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the answer to standard output"),
    }
}

impl HotKeysArgs {
    fn request(&self, now_unix_ms: u64) -> anyhow::Result<wire::GetHotKeysRequest> {
        let resolve = |time: Option<TimeSpec>| time.map_or(0, |time| time.resolve(now_unix_ms));
        let (from_unix_ms, to_unix_ms) = (resolve(self.from), resolve(self.to));
        ensure!(
            to_unix_ms == 0 || from_unix_ms < to_unix_ms,
            "--from is not before --to; the span would be empty"
        );
        Ok(wire::GetHotKeysRequest {
            series: match self.series {
                Kind::Reads => wire::Series::Reads,
                Kind::Writes => wire::Series::Writes,
            }
            .into(),
            route_id: self.route.unwrap_or(0),
            group_id: self.group.unwrap_or(0),
            lineage_id: self.id.map(|id| id.to_string()).unwrap_or_default(),
            start: self.start.0.clone().into(),
            end: self.end.0.clone().into(),
            top: self.top,
            from_unix_ms,
            to_unix_ms,
        })
    }

    fn print(&self, answer: &wire::GetHotKeysResponse, out: &mut dyn Write) -> io::Result<()> {
        if self.output == Output::Json {
            serde_json::to_writer(&mut *out, &hot_keys_to_json(answer, self.route))?;
            return out.write_all(b"\n");
        }
        let kind = if self.series == Kind::Reads { "reads" } else { "writes" };
        let starts = answer.sources.iter().map(|source| source.window_unix_ms);
        let ends =
            answer.sources.iter().map(|s| s.window_unix_ms.saturating_add_unsigned(s.step_ms));
        let time = |unix_ms: Option<i64>| rfc3339(unix_ms.unwrap_or(0).cast_unsigned());
        writeln!(out, "{kind} from {} to {}", time(starts.min()), time(ends.max()))?;
        if answer.sampled == 0 {
            writeln!(out, "nothing was looked at")?;
        } else {
            writeln!(
                out,
                "1 in {} operations looked at, {} in all, of {} ranges; a count may be off by {}, and by chance",
                answer.sample_rate, answer.sampled, answer.route_count, answer.error_bound
            )?;
        }
        if answer.degraded {
            writeln!(
                out,
                "some operations were not looked at (too many, or too long keys): keys may be missing"
            )?;
        }
        for hot in &answer.keys {
            writeln!(out, "{:>14}  {}", hot.count, label(&hot.key, KEY_COLUMNS))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "hot_keys_cli_test.rs"]
mod hot_keys_cli_test;
