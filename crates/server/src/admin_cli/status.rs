//! `keyviz status`: how a running node is, in words, and as an exit code.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{Endpoint, Output};
use crate::query_cli::key_text::inert;
use crate::query_cli::numbers::{compact, exact};

/// Say how a running node is: its log and store, its groups, who sends columns, and what is wrong.
/// Exit code 0: all is well; 1: there are warnings; 2: it is not ready, or cannot be reached.
#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArgs {
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    endpoint: Endpoint,
}

/// Asks and prints.
///
/// # Errors
/// A node that cannot be reached, or refuses.
#[allow(clippy::print_stdout)]
pub(crate) async fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let status = args.endpoint.ask("GET", "status", None).await?;
    match args.output {
        Output::Json => println!("{status}"),
        Output::Text => print!("{}", text(&status)),
    }
    let is_clean = status["warnings"].as_array().is_none_or(Vec::is_empty);
    Ok(match (status["ready"].as_bool(), is_clean) {
        (Some(true), true) => ExitCode::SUCCESS,
        (Some(true), false) => ExitCode::from(1),
        _ => ExitCode::from(2),
    })
}

fn text(status: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let words = |value: &Value| inert(value.as_str().unwrap_or_default());
    let long = |ms: u64| {
        humantime::format_duration(std::time::Duration::from_secs(ms / 1_000)).to_string()
    };
    let hour = |value: &Value| {
        value.as_u64().map_or("nothing".to_owned(), |ms| crate::node::rfc3339(ms)[..16].to_owned())
    };
    let ready = if status["ready"] == true { "ready" } else { "NOT READY" };
    let uptime = long(number(&status["uptime_ms"]));
    let mut lines = vec![format!("keyviz {} {ready}, up {uptime}", words(&status["version"]))];
    if status.get("wal").is_some() {
        let size = |value: &Value| compact(number(value).into(), true);
        let (wal, gc) = (&status["wal"], &status["gc"]);
        lines.push(format!("log       {} of {}", size(&wal["bytes"]), size(&wal["max_bytes"])));
        lines.push(format!("store     {}", size(&status["store"]["live_bytes"])));
        for (name, of) in [("columns ", "fine"), ("roll-ups", "rollup")] {
            let (oldest, cutoff) = (&gc["oldest_row_unix_ms"][of], &gc["cutoff_unix_ms"][of]);
            let (oldest, cutoff) = (hour(oldest), hour(cutoff));
            lines.push(format!("{name}  oldest on disk {oldest}, kept from {cutoff} on"));
        }
        let (live, closed) = (&status["lineages"]["live"], &status["lineages"]["closed"]);
        let (live, closed) = (exact(number(live).into()), exact(number(closed).into()));
        lines.push(format!("ranges    {live} live, {closed} that have ended and are remembered"));
        for group in status["groups"].as_array().into_iter().flatten() {
            let leader = match group["leader"]["node"].as_str() {
                Some(node) => format!("led by {} in term {}", inert(node), group["leader"]["term"]),
                None => "leader unknown".to_owned(),
            };
            lines.push(format!("group     {}: {leader}", group["id"]));
        }
        for source in status["sources"].as_array().into_iter().flatten() {
            let heard = match source["last_column_age_ms"].as_u64() {
                Some(ms) => format!("last column {} ago", long(ms)),
                None => "no column since the node started".to_owned(),
            };
            lines.push(format!("source    {}: {heard}", words(&source["node"])));
        }
    }
    let warnings = status["warnings"].as_array().into_iter().flatten();
    lines.extend(warnings.map(|warning| format!("WARNING   {}", words(warning))));
    lines.join("\n") + "\n"
}
