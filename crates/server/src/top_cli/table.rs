//! The table of `keyviz top`.
//!
//! Responsible for: one line a range, columns as wide as what is in them, and what is to be known of a
//! range in words.
//! Must not: know where the answer comes from.
//! Proof: `top_cli_test.rs`.

use keyviz_api::wire::history as wire;

use crate::query_cli::key_text::{inert, label, width};
use crate::query_cli::numbers::{compact, duration, exact};
use crate::query_cli::time_text::{clock, date};

/// Columns of a key.
const KEY_COLUMNS: usize = 28;

/// The whole answer.
pub(crate) fn lines(answer: &wire::GetTopResponse) -> Vec<String> {
    let mut lines = head(answer);
    let rows = cells(answer);
    if rows.len() == 1 {
        lines.push("no range had any traffic there".to_owned());
    } else {
        lines.extend(aligned(&rows));
    }
    if answer.left_out > 0 {
        lines.push(format!(
            "{} more ranges had traffic: --limit shows more",
            exact(answer.left_out.into())
        ));
    }
    let what = if answer.status == "PARTIAL" { "PARTIAL" } else { "note" };
    lines.extend(answer.warnings.iter().map(|warning| format!("{what}: {}", inert(warning))));
    lines
}

/// What the numbers are and what all of them add up to.
fn head(answer: &wire::GetTopResponse) -> Vec<String> {
    let unit = unit(answer);
    let mut lines = Vec::new();
    for (name, window) in [("", answer.now.as_ref()), ("against ", answer.before.as_ref())] {
        let Some(window) = window else { continue };
        let span = window.span.unwrap_or_default();
        let mut line = format!("{name}{}: {} {unit}", between(span), exact(window.total.into()));
        let seconds = (span.to_unix_ms - span.from_unix_ms).max(1) as f64 / 1_000.0;
        line.push_str(&format!(", {} per s", rate(answer, window.total as f64 / seconds)));
        if window.unattributed > 0 {
            let lost = exact(window.unattributed.into());
            line.push_str(&format!("; {lost} more on ranges that their node did not know"));
        }
        lines.push(line);
        let gaps: Vec<String> = window.gaps.iter().take(3).map(|gap| between(*gap)).collect();
        if !gaps.is_empty() {
            let more = window.gaps.len().saturating_sub(gaps.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("  nobody recorded {}{more}", gaps.join(", ")));
        }
    }
    if answer.before.is_some() {
        lines.push("ranges by how much their rate changed".to_owned());
    }
    lines
}

const fn unit(answer: &wire::GetTopResponse) -> &'static str {
    match answer.series {
        1 => "reads",
        3 => "bytes read",
        4 => "bytes written",
        _ => "writes",
    }
}

const fn is_bytes(answer: &wire::GetTopResponse) -> bool {
    matches!(answer.series, 3 | 4)
}

fn rate(answer: &wire::GetTopResponse, per_second: f64) -> String {
    if per_second > 0.0 && per_second < 10.0 {
        return format!("{per_second:.2}");
    }
    compact(per_second as u128, is_bytes(answer))
}

/// `2026-11-17 03:12:00 to 04:00:00 UTC`
fn between(span: wire::TimeSpan) -> String {
    let (from, to) = (span.from_unix_ms, span.to_unix_ms);
    let until = if date(from) == date(to) { String::new() } else { format!("{} ", date(to)) };
    format!("{} {} to {until}{} UTC", date(from), clock(from), clock(to))
}

/// The header and a line of cells for each range.
pub(crate) fn cells(answer: &wire::GetTopResponse) -> Vec<Vec<String>> {
    let is_compared = answer.before.is_some();
    let mut header = vec!["#", "range", "total", "share", "per s"];
    if is_compared {
        header.extend(["per s before", "change"]);
    }
    header.extend(["peak", "at", "to know"]);
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (row, rank) in answer.rows.iter().zip(1..) {
        let now = row.now.unwrap_or_default();
        let speed = |speed: Option<f64>| speed.map_or("?".to_owned(), |speed| rate(answer, speed));
        let mut cells = vec![
            format!("{rank}"),
            range(row),
            match is_bytes(answer) {
                true => compact(now.total.into(), true),
                false => exact(now.total.into()),
            },
            format!("{:.1} %", now.share * 100.0),
            speed(now.rate),
        ];
        if is_compared {
            cells.push(speed(row.before.and_then(|before| before.rate)));
            cells.push(change(row));
        }
        let (peak, at) = peak(answer, row);
        cells.extend([peak, at, to_know(answer, row)]);
        rows.push(cells);
    }
    rows
}

/// `[user:1, user:2)`, as mathematicians write it; the ends of all keys are `-∞` and `+∞`.
fn range(row: &wire::TopRow) -> String {
    let key = |key: &[u8], open: &str| match key {
        [] => open.to_owned(),
        key => label(key, KEY_COLUMNS),
    };
    let first = if row.start.is_empty() { '(' } else { '[' };
    let several =
        if row.route_count > 1 { format!(" ({} routes)", row.route_count) } else { String::new() };
    format!("{first}{}, {}){several}", key(&row.start, "-∞"), key(&row.end, "+∞"))
}

fn change(row: &wire::TopRow) -> String {
    match (row.change.as_str(), row.factor) {
        ("grew" | "fell", Some(factor)) if factor >= 99.95 => format!("x {factor:.0}"),
        ("grew" | "fell", Some(factor)) if factor >= 0.095 => format!("x {factor:.1}"),
        ("grew" | "fell", Some(factor)) => format!("1/{:.0}", 1.0 / factor),
        (word, _) => inert(word),
    }
}

fn peak(answer: &wire::GetTopResponse, row: &wire::TopRow) -> (String, String) {
    let Some(peak) = row.peak else { return (String::new(), String::new()) };
    let step_ms = answer.now.as_ref().map_or(0, |now| now.recorded_step_ms);
    let least = if peak.is_lower_bound { ">= " } else { "" };
    let value = compact(peak.value.into(), is_bytes(answer));
    let at = format!("{} {}", &date(peak.from_unix_ms)[5..], clock(peak.from_unix_ms));
    let within = match peak.within_ms > step_ms {
        true => format!(" + {}", duration(peak.within_ms)),
        false => String::new(),
    };
    (format!("{least}{value} in {}", duration(step_ms)), format!("{at}{within}"))
}

/// Why the numbers of a range are not the whole truth, in words.
fn to_know(answer: &wire::GetTopResponse, row: &wire::TopRow) -> String {
    let mut notes = Vec::new();
    if row.closed {
        notes.push("the range has ended".to_owned());
    }
    let windows = [("", row.now), ("before: ", row.before)];
    for (when, traffic) in windows {
        let Some(traffic) = traffic else { continue };
        match (traffic.apportioned, traffic.total) {
            (0, _) => {}
            (shared, total) if shared == total => {
                notes.push(format!("{when}its share of a wider range"));
            }
            (shared, _) => notes.push(format!(
                "{when}up to {} is its share of a wider range",
                compact(shared.into(), is_bytes(answer))
            )),
        }
        for (ms, what) in [(traffic.missing_ms, "not recorded"), (traffic.partial_ms, "in part")] {
            if ms > 0 {
                notes.push(format!("{when}{} {what}", duration(ms)));
            }
        }
        for (bit, name) in answer.flag_names.iter().enumerate() {
            let is_said = matches!(name.as_str(), "apportioned" | "partial" | "inherited");
            if !is_said && traffic.flags >> bit & 1 == 1 {
                notes.push(format!("{when}{}", inert(&name.replace('_', " "))));
            }
        }
    }
    notes.join("; ")
}

/// Numbers to the right, text to the left.
pub(crate) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0))
        .collect();
    let is_text = |column: usize| {
        matches!(rows[0][column].as_str(), "range" | "at" | "to know" | "what" | "when" | "kind")
    };
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let room = " ".repeat(widths[column].saturating_sub(width(cell)));
            match is_text(column) {
                true => line.extend([cell.as_str(), &room, "  "]),
                false => line.extend([room.as_str(), cell, "  "]),
            }
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
