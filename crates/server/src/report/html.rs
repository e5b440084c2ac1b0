//! The report as one page.
//!
//! Responsible for: the page's parts and their words.
//! Invariants: no script; nothing is fetched from anywhere (a policy in the page says so, too); all text
//! that is not of this file goes through [`escaped`], after [`inert`] has taken what is hidden out of it.
//! Must not: compute what it shows.
//! Proof: `report_test.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::axes::Axes;
use super::{Facts, picture};
use crate::colours::{COLOURS, ink_on};
use crate::query_cli::key_text::inert;
use crate::query_cli::numbers::{compact, duration};
use crate::query_cli::time_text::iso;
use crate::query_cli::{grid::Grid, words};
use crate::top_cli::table;

/// Gaps that are told one by one.
const MAX_GAPS: usize = 20;

/// Events that are listed; the others are counted.
const EVENTS: usize = 200;
/// Events that are numbered on the picture; with more, lines alone.
const NUMBERED: usize = 40;
const LEFT: usize = 200;
const ABOVE: usize = 26;
const BELOW: usize = 30;

const STYLE: &str = "\
body{font:14px/1.5 system-ui,sans-serif;color:#222;background:#fafafa;margin:24px auto;max-width:1360px;padding:0 16px}\
h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 6px}p{margin:4px 0}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:3px 12px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}\
th{color:#666;font-weight:500}td.n{text-align:right}\
code,pre,td.k{font-family:ui-monospace,monospace;font-size:13px}pre{background:#eee;padding:8px 12px;overflow-x:auto}\
svg{max-width:100%;height:auto;display:block}svg text{font:11px ui-monospace,monospace;fill:#333}\
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;align-items:center;margin:10px 0}.legend img{vertical-align:middle;margin-right:6px;border:1px solid #bbb}\
.warn{color:#8a3b00}.dim{color:#666}";

/// The whole page.
///
/// # Errors
/// A picture that cannot be encoded.
pub(super) fn page(facts: &Facts) -> anyhow::Result<String> {
    let drawn = picture::draw(&facts.matrix, facts.palette);
    let axes = Axes::new(&facts.matrix, &drawn);
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n",
    );
    let series = words::series(&facts.matrix);
    let _ = write!(
        page,
        "<title>keyviz: {series} {from_to}</title><style>{STYLE}</style></head><body>\n\
         <h1>{series}, {from_to}</h1>\n<p class=\"dim\">{title}; written {now} by keyviz {version}</p>\n",
        from_to = axes.from_to,
        title = escaped(&axes.title),
        now = iso(facts.written_unix_ms as i64),
        version = env!("CARGO_PKG_VERSION"),
    );
    notes(&mut page, facts);
    svg(&mut page, facts, &axes, &drawn)?;
    legend(&mut page, facts, &drawn)?;
    page.push_str("<h2>Ranges with the most traffic</h2>\n");
    top(&mut page, &table::cells(&facts.top));
    match &facts.changed {
        Ok(changed) => {
            page.push_str("<h2>Ranges that changed the most, against the same span before</h2>\n");
            top(&mut page, &table::cells(changed));
            page.push_str("<p class=\"dim\">A range that was split is compared with its share of what it came from, one that was merged with all of it.</p>\n");
        }
        Err(said) => {
            let said = escaped(&inert(said));
            let _ = writeln!(
                page,
                "<p class=\"warn\">Not compared with the same span before: {said}</p>"
            );
        }
    }
    events(&mut page, facts);
    page.push_str("<h2>Ask again</h2>\n<pre>");
    page.push_str(&escaped(&facts.questions.join("\n")));
    page.push_str("</pre>\n</body></html>\n");
    Ok(page)
}

/// For text and attributes alike.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            shown => out.push(shown),
        }
    }
    out
}

fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// What all numbers below are to be read with.
fn notes(page: &mut String, facts: &Facts) {
    let totals = words::totals(&facts.matrix);
    let is_bytes = words::is_bytes(&facts.matrix);
    let unit = words::unit(&facts.matrix);
    let _ = writeln!(page, "<p>{} {unit} recorded.</p>", compact(totals.recorded, is_bytes));
    if totals.unattributed > 0 {
        let lost = compact(totals.unattributed, is_bytes);
        let _ = writeln!(
            page,
            "<p class=\"warn\">{lost} {unit} on ranges that their node did not know are not in the picture.</p>"
        );
    }
    let gaps: Vec<_> = facts.top.now.iter().flat_map(|now| &now.gaps).collect();
    for gap in gaps.iter().take(MAX_GAPS) {
        let (from, to) = (iso(gap.from_unix_ms), iso(gap.to_unix_ms));
        let _ = writeln!(
            page,
            "<p class=\"warn\">Nobody recorded anything from {from} to {to}: that is not the same as no traffic.</p>"
        );
    }
    if let Some(more @ 1..) = gaps.len().checked_sub(MAX_GAPS) {
        let _ = writeln!(page, "<p class=\"warn\">And {more} more such gaps.</p>");
    }
    let changed = facts.changed.iter().flat_map(|changed| &changed.warnings);
    let warnings: BTreeSet<&String> =
        facts.matrix.warnings.iter().chain(&facts.top.warnings).chain(changed).collect();
    for warning in warnings {
        let _ = writeln!(page, "<p class=\"warn\">In part: {}</p>", escaped(&inert(warning)));
    }
}

fn svg(
    page: &mut String,
    facts: &Facts,
    axes: &Axes,
    drawn: &picture::Picture,
) -> anyhow::Result<()> {
    let (width, height) = (drawn.width, drawn.height);
    if facts.matrix.rows.is_empty() || width == 0 {
        page.push_str("<p>No range was alive in this window.</p>\n");
        return Ok(());
    }
    let (all_width, all_height) = (LEFT + width + 40, ABOVE + height + BELOW);
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {all_width} {all_height}\" width=\"{all_width}\" height=\"{all_height}\" role=\"img\" aria-label=\"heatmap\">\n\
         <image x=\"{LEFT}\" y=\"{ABOVE}\" width=\"{width}\" height=\"{height}\" style=\"image-rendering:pixelated\" href=\"{}\"/>",
        data_uri(&drawn.png()?)
    );
    for (y, text) in &axes.keys {
        let (x, y) = (LEFT - 6, ABOVE + y + 4);
        let text = escaped(text);
        let _ = writeln!(page, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{text}</text>");
    }
    for (x, text) in &axes.times {
        let (x, bottom) = (LEFT + x, ABOVE + height);
        let _ = writeln!(
            page,
            "<path d=\"M{x}.5 {bottom}v5\" stroke=\"#555\"/><text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
            bottom + 18
        );
    }
    let is_numbered = facts.events.len() <= NUMBERED;
    for (event, nth) in facts.events.iter().zip(1..) {
        let Some(x) = axes.place(event.unix_ms) else { continue };
        let x = LEFT + x;
        let _ = write!(
            page,
            "<path d=\"M{x}.5 {}v{}\" stroke=\"#fff\" stroke-opacity=\".75\" stroke-dasharray=\"3 3\"/><path d=\"M{x}.5 {}v6\" stroke=\"#333\"/>",
            ABOVE,
            height,
            ABOVE - 6
        );
        if is_numbered {
            // Every other one a little higher, so that neighbours can be told apart.
            let y = if nth % 2 == 1 { ABOVE - 9 } else { ABOVE - 18 };
            let _ = write!(page, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{nth}</text>");
        }
        page.push('\n');
    }
    page.push_str("</svg>\n");
    Ok(())
}

/// What is in view, and nothing else.
fn legend(page: &mut String, facts: &Facts, drawn: &picture::Picture) -> anyhow::Result<()> {
    let grid = Grid::new(&facts.matrix);
    let is_bytes = words::is_bytes(&facts.matrix);
    page.push_str("<div class=\"legend\">");
    let mut item = |png: &[u8], text: &str| {
        let _ =
            write!(page, "<span><img alt=\"\" src=\"{}\">{}</span>", data_uri(png), escaped(text));
    };
    let table = COLOURS.table(facts.palette);
    item(&picture::swatch(|_, _| table[0])?, "no traffic");
    if drawn.scale.max() > 0 {
        let most = compact(drawn.scale.max().into(), is_bytes);
        let within = duration(grid.shade_ms());
        item(
            &picture::bar(facts.palette, 220, 16)?,
            &format!("1 to {most} {} in {within}, logarithmic", words::unit(&facts.matrix)),
        );
    }
    let census = &drawn.census;
    if drawn.has_blank {
        item(&picture::swatch(|_, _| picture::BLANK)?, "no such range then");
    }
    if census.missing_cells > 0 {
        item(&picture::swatch(picture::missing)?, "nobody recorded it");
    }
    if census.pending_cells > 0 {
        item(&picture::swatch(picture::pending)?, "not reported yet");
    }
    let middle = table[128];
    let (mut partial, mut others) = (false, Vec::new());
    for (_, name, _) in census.marked(drawn.drawn) {
        match name {
            "partial" => partial = true,
            other => others.push(other),
        }
    }
    for (is_there, pattern, text) in [
        (
            partial,
            picture::Pattern { is_partial: true, is_other: false },
            "recorded in part".to_owned(),
        ),
        (
            !others.is_empty(),
            picture::Pattern { is_partial: false, is_other: true },
            format!("not exact: {}", others.join(", ")),
        ),
    ] {
        if is_there {
            let of = |x, y| if pattern.is_ink(x, y) { ink_on(middle) } else { middle };
            item(&picture::swatch(of)?, &text);
        }
    }
    page.push_str("</div>\n");
    Ok(())
}

/// A table whose first line is its head; numbers go to the right.
fn top(page: &mut String, rows: &[Vec<String>]) {
    let Some((head, rows)) = rows.split_first() else { return };
    if rows.is_empty() {
        page.push_str("<p>No range had any traffic.</p>\n");
        return;
    }
    let class = |column: usize| match head[column].as_str() {
        "range" => " class=\"k\"",
        "at" | "to know" | "peak" | "change" => "",
        _ => " class=\"n\"",
    };
    page.push_str("<table><tr>");
    for name in head {
        let _ = write!(page, "<th>{name}</th>");
    }
    page.push_str("</tr>\n");
    for row in rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(page, "<td{}>{}</td>", class(column), escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn events(page: &mut String, facts: &Facts) {
    page.push_str("<h2>What happened to the ranges</h2>\n");
    if facts.events.is_empty() {
        page.push_str("<p>No split, merge, move, birth, drop or change of leader.</p>\n");
        return;
    }
    page.push_str(
        "<table><tr><th>#</th><th>when (UTC)</th><th>kind</th><th>group</th><th>what</th></tr>\n",
    );
    for (event, nth) in facts.events.iter().zip(1..).take(EVENTS) {
        let _ = writeln!(
            page,
            "<tr><td class=\"n\">{nth}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"k\">{}</td></tr>",
            iso(event.unix_ms),
            escaped(&inert(&event.kind)),
            event.group_id,
            escaped(&inert(&event.text))
        );
    }
    page.push_str("</table>\n");
    let left = facts.events.len().saturating_sub(EVENTS);
    if left > 0 {
        let _ = writeln!(page, "<p class=\"dim\">and {left} more: keyviz events lists them</p>");
    }
}
