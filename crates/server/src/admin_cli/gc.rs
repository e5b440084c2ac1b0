//! `keyviz gc`: how garbage collection stands; `--accept-clock`: the clock is right.

use clap::Args;
use serde_json::{Value, json};

use super::{Endpoint, Output};
use crate::node::rfc3339;

/// Show how garbage collection stands: frozen or not, how far it may go, the oldest row on disk
#[derive(Args, Clone, Debug)]
pub(crate) struct GcArgs {
    /// The node's clock is right: end the freeze. What has expired by it is dropped from now on.
    #[arg(long)]
    accept_clock: bool,
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
pub(crate) async fn gc(args: GcArgs) -> anyhow::Result<()> {
    let (method, body) = match args.accept_clock {
        true => ("POST", Some(json!({ "accept_clock": true }))),
        false => ("GET", None),
    };
    let status = args.endpoint.ask(method, "gc", body.as_ref()).await?;
    match args.output {
        Output::Json => println!("{status}"),
        Output::Text => print!("{}", text(&status)),
    }
    Ok(())
}

fn text(status: &Value) -> String {
    let time = |value: &Value| value.as_u64().map_or("none".to_owned(), rfc3339);
    let freeze = &status["frozen"];
    let duration = |ms: &Value| {
        let ms = ms.as_u64().unwrap_or(0);
        humantime::format_duration(std::time::Duration::from_secs(ms / 1_000)).to_string()
    };
    let state = match freeze["reason"].as_str() {
        None => "not frozen".to_owned(),
        Some(reason) => {
            let what = match reason {
                "clocks_parted" => "wall and monotonic time parted by",
                _ => "at its start, the clock was past the newest stored window by",
            };
            format!(
                "frozen since {} until {} ({} of uptime left): {what} {}\n\
                 \x20 nothing is dropped meanwhile; if the clock is right, say keyviz gc --accept-clock",
                time(&freeze["since_unix_ms"]),
                time(&freeze["until_unix_ms"]),
                duration(&freeze["left_ms"]),
                duration(&freeze["by_ms"]),
            )
        }
    };
    let mut text = format!("garbage collection: {state}\n");
    if status["damaged_pins"].as_u64().is_some_and(|count| count > 0) {
        let count = &status["damaged_pins"];
        text += &format!("held: {count} pins cannot be read, see the node's log\n");
    }
    for (name, of) in [("finest columns", "fine"), ("hourly roll-ups", "rollup")] {
        text += &format!(
            "{name}: oldest on disk {}, may be dropped before {}\n",
            time(&status["oldest_row_unix_ms"][of]),
            time(&status["cutoff_unix_ms"][of]),
        );
    }
    text + &format!("rows dropped since its start: {}\n", status["dropped_rows"])
}
