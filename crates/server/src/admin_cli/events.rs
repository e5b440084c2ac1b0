//! `keyviz events`: what happened to the ranges in a window, and where nobody recorded anything.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use keyviz_api::ambient::SystemClock;
use keyviz_lineage::{Clock as _, HOUR_MS};
use serde_json::{Value, json};

use super::Endpoint;
use crate::query_cli::key_text::inert;
use crate::query_cli::long_csv::io_error;
use crate::query_cli::time_text::{TimeSpec, iso};
use crate::top_cli::Output;
use crate::top_cli::table::aligned;

/// List splits, merges, moves, births, drops and changes of leader in a window, and the times in which
/// nobody recorded anything.
#[derive(Args, Clone, Debug)]
pub(crate) struct EventsArgs {
    /// Start of the window: 2026-11-17T03:12:00Z or "2026-11-17 03:12" (UTC), Unix seconds or
    /// milliseconds, or relative (-15m, -7d). Default: an hour before its end.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeSpec>,
    /// End of the window, exclusive, in the same forms. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeSpec>,
    /// Only these kinds, such as split,merge.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<Kind>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // the names say it
enum Kind {
    Create,
    Split,
    Merge,
    Move,
    Drop,
    Backfill,
    Leader,
    Gap,
}

impl Kind {
    fn is(self, name: &Value) -> bool {
        self.to_possible_value().is_some_and(|value| name.as_str() == Some(value.get_name()))
    }
}

/// Asks and prints.
///
/// # Errors
/// A window that is empty, a node that cannot be reached or refuses, an output that cannot be written.
pub(crate) async fn events(args: EventsArgs) -> anyhow::Result<()> {
    let now_ms = SystemClock::shared().unix_ms();
    let to_ms = args.to.unwrap_or(TimeSpec::Now).resolve(now_ms);
    let from_ms =
        args.from.map_or(to_ms.saturating_sub(HOUR_MS as i64), |from| from.resolve(now_ms));
    ensure!(from_ms < to_ms, "--from is not before --to; the window would be empty");
    let span = format!("from_unix_ms={}&to_unix_ms={}", from_ms.max(1), to_ms.max(1));
    let told = args.endpoint.ask("GET", &format!("events?{span}"), None).await?;
    // The same answer as anybody gets who asks for the busiest range.
    let top = args.endpoint.ask("GET", &format!("top?{span}&limit=1"), None).await?;
    let mut events = told["events"].as_array().cloned().unwrap_or_default();
    for gap in top["now"]["gaps"].as_array().into_iter().flatten() {
        let (from_ms, to_ms) = (gap["from_unix_ms"].as_i64(), gap["to_unix_ms"].as_i64());
        let text = format!("nobody recorded anything until {}", iso(to_ms.unwrap_or(0)));
        events
            .push(json!({ "unix_ms": from_ms, "to_unix_ms": to_ms, "kind": "gap", "text": text }));
    }
    events.retain(|event| {
        args.kind.is_empty() || args.kind.iter().any(|kind| kind.is(&event["kind"]))
    });
    events.sort_by_key(|event| event["unix_ms"].as_i64());
    let mut out = BufWriter::new(io::stdout().lock());
    match print(&events, args.output, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        result => result.context("cannot write the answer to standard output")?,
    }
    remark(&top, &mut io::stderr().lock()).context("cannot write to standard error")
}

/// What the list does not say.
fn remark(top: &Value, out: &mut dyn Write) -> io::Result<()> {
    let now = &top["now"];
    let [step, recorded] =
        ["step_ms", "recorded_step_ms"].map(|name| now[name].as_u64().unwrap_or(0));
    if step > recorded {
        let step = humantime::format_duration(Duration::from_millis(step));
        writeln!(
            out,
            "note: gaps shorter than {step} are not listed; a shorter window shows them"
        )?;
    }
    for warning in top["warnings"].as_array().into_iter().flatten() {
        writeln!(out, "note: {}", inert(warning.as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn print(events: &[Value], output: Output, out: &mut dyn Write) -> io::Result<()> {
    let rows = events.iter().map(|event| {
        let words = |name: &str| inert(event[name].as_str().unwrap_or_default());
        let group = event["group_id"].as_u64().map(|group| group.to_string());
        let at = iso(event["unix_ms"].as_i64().unwrap_or(0));
        vec![at, words("kind"), group.unwrap_or_default(), words("text")]
    });
    match output {
        Output::Json => writeln!(out, "{}", json!({ "events": events })),
        Output::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["when", "kind", "group", "what"]).map_err(io_error)?;
            for row in rows {
                csv.write_record(row).map_err(io_error)?;
            }
            csv.flush()
        }
        Output::Table if events.is_empty() => {
            writeln!(out, "there is no such event in this window")
        }
        Output::Table => {
            let header = ["when", "kind", "group", "what"].map(str::to_owned).to_vec();
            let all: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
            aligned(&all).iter().try_for_each(|line| writeln!(out, "{line}"))
        }
    }
}
