//! `keyviz pin`, `keyviz pins` and `keyviz unpin`.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, ValueEnum};
use keyviz_api::ambient::SystemClock;
use keyviz_lineage::{Clock as _, Series};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Endpoint;
use crate::node::rfc3339;
use crate::query_cli::key_text::{Key, inert, label};
use crate::query_cli::time_text::TimeSpec;

/// Columns of a key in the list.
const KEY_COLUMNS: usize = 30;

/// Keep a past window beyond the retention: finest columns, roll-ups, lineage, events
#[derive(Args, Clone, Debug)]
pub(crate) struct PinArgs {
    /// Start of the window, rounded down to its hour: 2026-11-17T03:12:00Z, Unix seconds or
    /// milliseconds, or relative (-2h, -7d).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: TimeSpec,
    /// End of the window, rounded up to its hour, in the same forms.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: TimeSpec,
    /// Only ranges that overlap keys from this one on: text, or 0x and hex.
    #[arg(long, value_name = "KEY")]
    start: Option<Key>,
    /// Only ranges that overlap keys before this one.
    #[arg(long, value_name = "KEY")]
    end: Option<Key>,
    /// Why it is kept.
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    endpoint: Endpoint,
}

/// List what is kept beyond the retention, or export one of it
#[derive(Args, Clone, Debug)]
pub(crate) struct PinsArgs {
    /// Print the columns of this pin, every range that lived in it, all four series.
    #[arg(long, value_name = "ID")]
    export: Option<Uuid>,
    /// What to print; an export is json or csv.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    endpoint: Endpoint,
}

/// No longer keep a window beyond the retention
#[derive(Args, Clone, Debug)]
pub(crate) struct UnpinArgs {
    /// The pin, as `keyviz pins` lists it.
    #[arg(value_name = "ID")]
    id: Uuid,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// In words.
    Text,
    /// The whole answer as one JSON document.
    Json,
    /// Of an export: one line a cell that is not idle.
    Csv,
}

/// Sets a pin.
///
/// # Errors
/// A node that cannot be reached, or refuses.
#[allow(clippy::print_stdout)]
pub(crate) async fn pin(args: PinArgs) -> anyhow::Result<()> {
    let now_ms = SystemClock::shared().unix_ms();
    let key = |key: &Option<Key>| key.as_ref().map(|key| STANDARD.encode(&key.0));
    let body = json!({
        "from_unix_ms": args.from.resolve(now_ms).max(0),
        "to_unix_ms": args.to.resolve(now_ms).max(0),
        "start_base64": key(&args.start),
        "end_base64": key(&args.end),
        "note": args.note,
    });
    let pin = args.endpoint.ask("POST", "pins", Some(&body)).await?;
    match args.output {
        Output::Json => println!("{pin}"),
        _ => print!("{}", text(&pin)),
    }
    Ok(())
}

/// Removes a pin.
///
/// # Errors
/// A node that cannot be reached, or does not know it.
#[allow(clippy::print_stdout)]
pub(crate) async fn unpin(args: UnpinArgs) -> anyhow::Result<()> {
    args.endpoint.ask("DELETE", &format!("pins/{}", args.id), None).await?;
    println!("pin {} is removed; what has expired of it is dropped", args.id);
    Ok(())
}

/// Lists the pins, or exports one.
///
/// # Errors
/// A node that cannot be reached, or does not know it.
#[allow(clippy::print_stdout)]
pub(crate) async fn pins(args: PinsArgs) -> anyhow::Result<()> {
    let answer = args.endpoint.ask("GET", "pins", None).await?;
    let empty = Vec::new();
    let pins = answer["pins"].as_array().unwrap_or(&empty);
    if let Some(id) = args.export {
        let id = id.to_string();
        let pin = pins.iter().find(|pin| pin["id"] == id.as_str());
        return export(&args, pin.with_context(|| format!("there is no pin {id}"))?).await;
    }
    match args.output {
        Output::Json => println!("{answer}"),
        _ if pins.is_empty() => println!("nothing is pinned"),
        _ => pins.iter().for_each(|pin| print!("{}", text(pin))),
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
async fn export(args: &PinsArgs, pin: &Value) -> anyhow::Result<()> {
    ensure!(args.output != Output::Text, "an export is -o json or -o csv");
    let mut matrices = Vec::new();
    for series in Series::ALL {
        let key = |name: &str| {
            let key = STANDARD.decode(pin[name].as_str().unwrap_or_default()).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(key)
        };
        let path = format!(
            "matrix?series={}&from_unix_ms={}&to_unix_ms={}&as_of=union&start={}&end={}",
            series.name(),
            pin["from_unix_ms"],
            pin["to_unix_ms"],
            key("start"),
            key("end"),
        );
        matrices.push(args.endpoint.ask("GET", &path, None).await?);
    }
    if args.output == Output::Json {
        println!("{}", json!({ "pin": pin, "matrices": matrices }));
        return Ok(());
    }
    println!("series,lineage_id,start_base64,end_base64,column_unix_ms,step_ms,value");
    for matrix in &matrices {
        let empty = Vec::new();
        let list = |value: &Value| value.as_array().unwrap_or(&empty).clone();
        let (series, step_ms) = (matrix["series"].as_str().unwrap_or_default(), &matrix["step_ms"]);
        let columns = list(&matrix["column_unix_ms"]);
        for row in list(&matrix["rows"]) {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let (id, start, end) = (text("lineage_id"), text("start"), text("end"));
            for (column, value) in columns.iter().zip(list(&row["values"])) {
                if value.as_u64() != Some(0) {
                    println!("{series},{id},{start},{end},{column},{step_ms},{value}");
                }
            }
        }
    }
    Ok(())
}

fn text(pin: &Value) -> String {
    let time = |name: &str| pin[name].as_u64().map_or(String::new(), rfc3339);
    let key = |name: &str, open: &str| match pin[name].as_str() {
        None => open.to_owned(),
        Some(key) => label(&STANDARD.decode(key).unwrap_or_default(), KEY_COLUMNS),
    };
    let mut text = format!(
        "{}  {} to {}  {} to {}  {} lineages, {} bytes  {}\n",
        pin["id"].as_str().map(inert).unwrap_or_default(),
        time("from_unix_ms"),
        time("to_unix_ms"),
        key("start", "-inf"),
        key("end", "+inf"),
        pin["lineage_count"],
        pin["bytes"],
        inert(pin["note"].as_str().unwrap_or_default()),
    );
    if pin["fine_from_unix_ms"].as_u64() > pin["from_unix_ms"].as_u64() {
        text += &format!("  the finest columns from {} on\n", time("fine_from_unix_ms"));
    }
    text
}
