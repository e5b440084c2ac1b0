//! What the picture means: the scale, the marks in view, the maximum, the totals, the warnings.
//!
//! Responsible for: every line around the picture but the axes.
//! Invariants: only what is in view is explained; numbers are exact and come from the answer; words
//! of the node are inert; no line is wider than asked for, unless a single word is.
//! Must not: know where a cell is drawn.
//! Proof: `legend_test.rs`, and the snapshots of `render_test.rs`.

use super::axes;
use super::colour::{self, ColourMode, Painter, Scale};
use super::grid::{Grid, Place};
use super::key_text::{inert, middle, width};
use super::marks::{Census, FlagMap, Marks};
use super::numbers::{compact, duration, exact};
use super::time_text::{clock, date, date_and_clock};
use super::words;
use crate::colours::COLOURS;

/// Width of the names on the left.
const NAME_COLUMNS: usize = 9;
/// Length of the scale, without its numbers.
const MIN_BAR_COLUMNS: usize = 16;
const MAX_BAR_COLUMNS: usize = 40;
/// The most numbers on it.
const MAX_STOPS: usize = 6;

/// Text that stays together, and how wide it is.
#[derive(Debug)]
pub(super) struct Piece {
    text: String,
    columns: usize,
}

impl Piece {
    fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { columns: width(&text), text }
    }

    /// As it is, or its words where it is wider than a line; each with what goes before it.
    fn broken(self, room: usize, between: &'static str) -> Vec<(Self, &'static str)> {
        if self.columns <= room || self.text.contains('\x1b') {
            return vec![(self, between)];
        }
        let words = self.text.split(' ').enumerate();
        words
            .map(|(index, word)| {
                (Self::plain(middle(word, room)), if index == 0 { between } else { " " })
            })
            .collect()
    }
}

/// Where the legend looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legend<'a> {
    /// The answer.
    pub(super) grid: &'a Grid<'a>,
    /// Its flags.
    pub(super) map: &'a FlagMap,
    /// What is in view.
    pub(super) census: &'a Census,
    /// The scale of the picture.
    pub(super) scale: Scale,
    /// Columns that it may use.
    pub(super) width_columns: usize,
    /// How it is shown.
    pub(super) mode: ColourMode,
}

/// What the picture came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// The most windows that share a pixel.
    pub(super) windows: usize,
    /// The most rows that share a pixel.
    pub(super) rows: usize,
    /// Every mark in it.
    pub(super) marks: Marks,
}

impl Legend<'_> {
    /// The lines above the picture: what it shows.
    pub(super) fn header(&self) -> Vec<String> {
        let matrix = self.grid.matrix;
        let mut pieces = vec![Piece::plain(words::series(matrix))];
        if let Some(&from) = matrix.column_unix_ms.first() {
            pieces.push(Piece::plain(span(from, self.grid.end_unix_ms())));
            pieces.push(Piece::plain(format!("step {}", duration(matrix.step_ms))));
        }
        let rows = counted(self.grid.rows() as u64, "row");
        let windows = counted(self.grid.columns() as u64, "window");
        pieces.push(Piece::plain(format!("{rows} x {windows}")));
        self.wrap("", pieces)
    }

    /// The lines below the picture, if there is one.
    pub(super) fn lines(&self, drawn: Option<Drawn>) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Drawn { windows, rows, .. }) = drawn {
            lines.extend(self.wrap("scale", self.scale_pieces()));
            lines.extend(self.pooling(windows, rows));
        }
        lines.extend(self.mark_lines(drawn.map_or(Marks::NONE, |drawn| drawn.marks)));
        if let Some((place, _)) = self.census.brightest {
            lines.extend(self.wrap("maximum", self.maximum(place)));
        }
        lines.extend(self.wrap("total", self.totals()));
        lines.extend(self.warnings());
        lines
    }

    /// `0 ██  1 ███ 10 ███ 100 ██ 512 writes in 1 min`.
    fn scale_pieces(&self) -> Vec<Piece> {
        let bytes = words::is_bytes(self.grid.matrix);
        let max = self.scale.max();
        let mut pieces = vec![Piece::plain("0"), self.idle_swatch()];
        if max == 0 {
            pieces.push(Piece::plain("no traffic in this view"));
            return pieces;
        }
        let unit =
            if bytes { words::verb(self.grid.matrix) } else { words::unit(self.grid.matrix) };
        let window = duration(self.grid.shade_ms());
        let top = format!("{} {unit} in {window}, log", compact(max.into(), bytes));
        // Numbers and the spaces between them come first; the bar takes what is left of the line.
        let all = stops(max, bytes);
        let line = self.width_columns.saturating_sub(NAME_COLUMNS + 7 + top.len());
        let layout = |every: usize| {
            let stops: Vec<u64> = all.iter().copied().step_by(every).collect();
            let text =
                stops.iter().map(|&stop| compact(stop.into(), bytes).len() + 4).sum::<usize>();
            let room = line.saturating_sub(text + stops.len()).min(MAX_BAR_COLUMNS);
            (stops, room)
        };
        let (stops, room) = (all.len().div_ceil(MAX_STOPS)..all.len())
            .map(layout)
            .find(|(_, room)| *room >= MIN_BAR_COLUMNS)
            .unwrap_or_else(|| (vec![1], MIN_BAR_COLUMNS));
        for (index, &stop) in stops.iter().enumerate() {
            let low = self.scale.fraction(stop);
            let high = stops.get(index + 1).map_or(1.0, |&next| self.scale.fraction(next));
            let columns = (((high - low) * room as f64).round() as usize).max(1);
            pieces.push(Piece::plain(compact(stop.into(), bytes)));
            pieces.push(self.bar(low, high, columns));
        }
        pieces.push(Piece::plain(top));
        pieces
    }

    fn bar(&self, low: f64, high: f64, columns: usize) -> Piece {
        let mut painter = Painter::default();
        for column in 0..columns {
            let fraction = low + (high - low) * (column as f64 + 0.5) / columns as f64;
            match self.mode {
                ColourMode::TrueColour => painter.put(' ', None, Some(colour::colour_at(fraction))),
                ColourMode::Plain => painter.put(colour::character_at(fraction), None, None),
            }
        }
        Piece { text: painter.finish(), columns }
    }

    fn idle_swatch(&self) -> Piece {
        let mut painter = Painter::default();
        for _ in 0..2 {
            match self.mode {
                ColourMode::TrueColour => painter.put(' ', None, Some(colour::colour(0))),
                ColourMode::Plain => painter.put(colour::character(0, true), None, None),
            }
        }
        Piece { text: painter.finish(), columns: 2 }
    }

    /// Said only where a character holds more than one recorded window.
    fn pooling(&self, windows: usize, rows: usize) -> Vec<String> {
        let recorded = self.grid.is_coarse.then(|| {
            format!(
                "the busiest {} of each {}",
                duration(self.grid.shade_ms()),
                duration(self.grid.matrix.step_ms)
            )
        });
        let pooled = (windows > 1 || rows > 1).then(|| {
            let windows = counted(windows as u64, "window");
            format!(
                "the largest of up to {windows} x {} in a {}",
                counted(rows as u64, "row"),
                match self.mode {
                    ColourMode::TrueColour => "half block",
                    ColourMode::Plain => "character",
                }
            )
        });
        let pieces: Vec<Piece> = recorded.into_iter().chain(pooled).map(Piece::plain).collect();
        if pieces.is_empty() { Vec::new() } else { self.wrap("shows", pieces) }
    }

    fn mark_lines(&self, drawn: Marks) -> Vec<String> {
        let census = self.census;
        let mut pieces = Vec::new();
        if census.missing_cells > 0 {
            let whole = match census.missing_windows {
                0 => String::new(),
                windows => format!(" ({} nobody recorded)", counted(windows, "window")),
            };
            let ground = (COLOURS.missing_ink, COLOURS.missing_ground);
            pieces.push(self.signed(
                '╱',
                ground,
                &format!("missing {}{whole}", cells(census.missing_cells)),
            ));
        }
        if census.pending_cells > 0 {
            let ground = (COLOURS.missing_ink, [0; 3]);
            pieces.push(self.signed(
                '?',
                ground,
                &format!("not reported yet {}", cells(census.pending_cells)),
            ));
        }
        let middle_ground = colour::colour_at(0.4);
        let mut is_first = true;
        for (sign, name, count) in census.marked(drawn) {
            let text = match count {
                0 => name.to_owned(),
                count => format!("{name} {}", cells(count)),
            };
            pieces.push(match self.mode {
                ColourMode::TrueColour => {
                    self.signed(sign, (colour::ink_on(middle_ground), middle_ground), &text)
                }
                ColourMode::Plain if is_first => {
                    Piece::plain(format!("0-8 not exact, same scale: {text}"))
                }
                ColourMode::Plain => Piece::plain(text),
            });
            is_first = false;
        }
        if census.closed_rows > 0 {
            pieces.push(Piece::plain(format!("† closed {}", counted(census.closed_rows, "row"))));
        }
        if pieces.is_empty() { Vec::new() } else { self.wrap("marks", pieces) }
    }

    fn signed(&self, sign: char, (ink, ground): ([u8; 3], [u8; 3]), text: &str) -> Piece {
        let mut painter = Painter::default();
        match self.mode {
            ColourMode::TrueColour => painter.put(sign, Some(ink), Some(ground)),
            ColourMode::Plain => painter.put(sign, None, None),
        }
        painter.plain(&format!(" {text}"));
        Piece { text: painter.finish(), columns: 2 + width(text) }
    }

    /// The maximum's value, exact time and range.
    fn maximum(&self, place: Place) -> Vec<Piece> {
        let matrix = self.grid.matrix;
        let cell = self.grid.cell(place);
        let shade = self.grid.shade(&cell);
        let row = &matrix.rows[place.row];
        let is_bound = self.grid.is_coarse && (row.aggregate || row.route_count > 1);
        let bound = if is_bound { "at least " } else { "" };
        let human = match words::is_bytes(matrix) && shade >= 1_024 {
            true => format!(" ({})", compact(shade.into(), true)),
            false => String::new(),
        };
        let value = format!(
            "{bound}{} {}{human} in {}",
            exact(shade.into()),
            words::unit(matrix),
            duration(self.grid.shade_ms())
        );
        let at = date_and_clock(matrix.column_unix_ms[place.column]);
        let when = match self.grid.is_coarse {
            true => format!("within {at} UTC + {}", duration(matrix.step_ms)),
            false => format!("at {at} UTC"),
        };
        let marks = self.map.marks(&cell).words().join(", ");
        let room = (self.width_columns.saturating_sub(NAME_COLUMNS + 8) / 2).clamp(8, 40);
        let range =
            format!("in [{}, {})", axes::start_label(row, room), axes::end_label(row, room));
        let mut pieces = vec![Piece::plain(value), Piece::plain(when), Piece::plain(range)];
        if !marks.is_empty() {
            pieces.push(Piece::plain(format!("({marks})")));
        }
        pieces
    }

    fn totals(&self) -> Vec<Piece> {
        let totals = words::totals(self.grid.matrix);
        let mut pieces = vec![
            Piece::plain(format!(
                "{} {} counted",
                exact(totals.counted),
                words::unit(self.grid.matrix)
            )),
            Piece::plain(format!("{} inherited", exact(totals.inherited))),
            Piece::plain(format!("{} unattributed", exact(totals.unattributed))),
        ];
        if words::is_bytes(self.grid.matrix) && totals.counted >= 1_024 {
            pieces.insert(1, Piece::plain(format!("({})", compact(totals.counted, true))));
        }
        pieces
    }

    fn warnings(&self) -> Vec<String> {
        let matrix = self.grid.matrix;
        let is_partial = matrix.status == "PARTIAL";
        let mut texts: Vec<String> = matrix.warnings.iter().map(|warning| inert(warning)).collect();
        if is_partial && texts.is_empty() {
            texts.push("some node or group did not answer".to_owned());
        }
        let name = if is_partial { "PARTIAL:" } else { "note:" };
        texts
            .iter()
            .flat_map(|text| {
                let words = text.split_whitespace().map(Piece::plain);
                self.wrap_with(name, words.collect(), " ")
            })
            .collect()
    }

    fn wrap(&self, name: &str, pieces: Vec<Piece>) -> Vec<String> {
        self.wrap_with(name, pieces, "  ")
    }

    /// Pieces on as many lines as they need, behind a name.
    fn wrap_with(&self, name: &str, pieces: Vec<Piece>, between: &'static str) -> Vec<String> {
        let indent = if name.is_empty() { 0 } else { NAME_COLUMNS };
        let mut lines = Vec::new();
        let mut painter = Painter::default();
        painter.dim(&format!("{name:indent$}"), self.mode);
        let mut line = painter.finish();
        let mut used = indent;
        let mut is_start = true;
        let room = self.width_columns - indent;
        for (piece, before) in pieces.into_iter().flat_map(|piece| piece.broken(room, between)) {
            if !is_start && used + before.len() + piece.columns > self.width_columns {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                used = indent;
                is_start = true;
            }
            if !is_start {
                line.push_str(before);
                used += before.len();
            }
            line.push_str(&piece.text);
            used += piece.columns;
            is_start = false;
        }
        lines.push(line);
        lines
    }
}

/// Numbers for the scale below its maximum: powers of ten (of 1,024 for bytes).
fn stops(max: u64, bytes: bool) -> Vec<u64> {
    let base: u64 = if bytes { 1_024 } else { 10 };
    let mut stops = vec![1];
    while let Some(next) = stops.last().and_then(|stop: &u64| stop.checked_mul(base)) {
        // A number right beside the maximum would be read as belonging to it.
        if (next as f64).ln() > (max as f64).ln() * 0.95 {
            break;
        }
        stops.push(next);
    }
    stops
}

/// Seconds only where there are some.
fn span(from_unix_ms: i64, to_unix_ms: i64) -> String {
    let is_whole = from_unix_ms % 60_000 == 0 && to_unix_ms % 60_000 == 0;
    let time = |unix_ms| if is_whole { clock(unix_ms)[..5].to_owned() } else { clock(unix_ms) };
    let (from, to) = (date(from_unix_ms), date(to_unix_ms));
    let until = if from == to { String::new() } else { format!("{to} ") };
    format!("{from} {} to {until}{} UTC", time(from_unix_ms), time(to_unix_ms))
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", exact(count.into()))
}

fn cells(count: u64) -> String {
    counted(count, "cell")
}

#[cfg(test)]
#[path = "legend_test.rs"]
mod legend_test;
