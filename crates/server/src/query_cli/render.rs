//! The heatmap in the terminal: the picture between its axes, and the legend.
//!
//! Responsible for: the layout on so many columns and lines, and which character and colours each
//! place gets.
//! Invariants: a character never hides the largest of its cells; windows that nobody recorded do
//! not look like windows without traffic; the output holds no bytes of a key that a terminal would
//! obey; every line ends in the terminal's own colours.
//! Must not: ask a node, a clock or the terminal.
//! Proof: `render_test.rs`.

use keyviz_api::wire::history::GetMatrixResponse;

use super::axes::{self, TimeAxis};
use super::colour::{self, ColourMode, Painter, Scale};
use super::grid::Grid;
use super::key_text::width;
use super::legend::{Drawn, Legend};
use super::marks::{Census, FlagMap, Marks};
use super::pool::{Fit, Pixel, fit, pool};
use crate::colours::{COLOURS, Rgb};

/// The smallest picture that says anything.
const MIN_COLUMNS: usize = 40;
const MIN_PICTURE_LINES: usize = 6;
/// The rule, the times and the dates.
const TIME_AXIS_LINES: usize = 3;
/// Lines that are usually not the picture: header 1, time axis 3, legend 5, and 2 that wrap.
const OTHER_LINES: usize = 11;
/// Few windows or rows do not grow beyond this.
const MAX_COLUMNS_A_WINDOW: usize = 8;
const MAX_LINES_A_ROW: usize = 3;

/// Lines of the picture itself when the whole output is to take `height_rows` lines and its legend
/// is of the usual length.
pub(crate) fn picture_lines(height_rows: usize) -> usize {
    height_rows.saturating_sub(OTHER_LINES).max(MIN_PICTURE_LINES)
}

/// The answer as text for a terminal of `width_columns` columns, in at most `height_rows` lines
/// unless that would leave no picture. The last line ends with a line break.
pub(crate) fn render_heatmap(
    matrix: &GetMatrixResponse,
    width_columns: usize,
    height_rows: usize,
    colour: ColourMode,
) -> String {
    let width_columns = width_columns.max(MIN_COLUMNS);
    let grid = Grid::new(matrix);
    let map = FlagMap::new(&matrix.flag_names);
    let census = Census::of(&grid, &map);
    let scale = Scale::new(census.max_shade());
    let legend =
        Legend { grid: &grid, map: &map, census: &census, scale, width_columns, mode: colour };
    let mut lines = legend.header();
    let mut drawn = None;
    if grid.rows() == 0 || grid.columns() == 0 {
        lines.push(
            "Nothing to draw: no range was alive, or nothing is retained, in this span.".to_owned(),
        );
    } else {
        let draw = |lines| Picture::new((&grid, &map), (scale, colour), (width_columns, lines));
        let mut picture = draw(picture_lines(height_rows));
        let others = lines.len() + TIME_AXIS_LINES + legend.lines(Some(picture.drawn())).len();
        if others + picture.lines.len() > height_rows {
            picture = draw(height_rows.saturating_sub(others).max(MIN_PICTURE_LINES));
        }
        lines.extend(picture.text());
        drawn = Some(picture.drawn());
    }
    lines.extend(legend.lines(drawn));
    lines.push(String::new());
    lines.join("\n")
}

/// One line of the picture: the segments that it shows, and the row that its label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PictureLine {
    top: usize,
    bottom: Option<usize>,
    labelled_row: Option<usize>,
}

/// Lays the rows on the lines. With colour, rows that do not fit become half blocks.
fn lay_rows(rows: usize, height_lines: usize, mode: ColourMode) -> (Fit, Vec<PictureLine>) {
    let is_halved = mode == ColourMode::TrueColour && rows > height_lines;
    if is_halved {
        let down = fit(rows, 2 * height_lines, 1);
        let lines = (0..down.segments.len()).step_by(2).map(|top| PictureLine {
            top,
            bottom: Some(top + 1).filter(|&bottom| bottom < down.segments.len()),
            // Every other line: a label says where its line begins.
            labelled_row: (top % 4 == 0).then(|| down.segments[top].start),
        });
        let lines = lines.collect();
        return (down, lines);
    }
    let down = fit(rows, height_lines, MAX_LINES_A_ROW);
    let every = if down.most() > 1 { 2 } else { down.repeat };
    let lines = (0..down.pixels()).map(|line| {
        let top = line / down.repeat;
        let labelled_row = line.is_multiple_of(every).then(|| down.segments[top].start);
        PictureLine { top, bottom: Some(top), labelled_row }
    });
    let lines = lines.collect();
    (down, lines)
}

struct Picture<'a> {
    grid: &'a Grid<'a>,
    scale: Scale,
    mode: ColourMode,
    across: Fit,
    down: Fit,
    lines: Vec<PictureLine>,
    /// The label of each line, then that of the last row's end.
    labels: Vec<String>,
    /// Pixels of each segment of `down`, one for each segment of `across`.
    pixels: Vec<Vec<Pixel>>,
}

impl<'a> Picture<'a> {
    fn new(
        (grid, map): (&'a Grid<'a>, &FlagMap),
        (scale, mode): (Scale, ColourMode),
        (width_columns, height_lines): (usize, usize),
    ) -> Self {
        let (down, lines) = lay_rows(grid.rows(), height_lines, mode);
        let room = (width_columns / 4).clamp(8, 28);
        let rows = &grid.matrix.rows;
        let label = |row: Option<usize>| {
            row.map_or_else(String::new, |row| axes::row_label(&rows[row], room))
        };
        let mut labels: Vec<String> = lines.iter().map(|line| label(line.labelled_row)).collect();
        labels.extend(rows.last().map(|row| axes::end_label(row, room)));
        let gutter_columns = labels.iter().map(|label| width(label)).max().unwrap_or(0);
        let across = fit(grid.columns(), width_columns - gutter_columns - 2, MAX_COLUMNS_A_WINDOW);
        let pixel_row =
            |rows| across.segments.iter().map(|columns| pool(grid, map, rows, columns)).collect();
        let pixels = down.segments.iter().map(pixel_row).collect();
        for label in &mut labels {
            *label = format!("{}{label}", " ".repeat(gutter_columns - width(label)));
        }
        Self { grid, scale, mode, across, down, lines, labels, pixels }
    }

    /// What the legend has to explain.
    fn drawn(&self) -> Drawn {
        let pixels = self.pixels.iter().flatten();
        Drawn {
            windows: self.across.most(),
            rows: self.down.most(),
            marks: pixels.fold(Marks::NONE, |marks, pixel| marks.union(pixel.marks())),
        }
    }

    fn text(&self) -> Vec<String> {
        let mut text: Vec<String> = self
            .lines
            .iter()
            .zip(&self.labels)
            .map(|(line, label)| self.line(*line, label))
            .collect();
        let time = TimeAxis {
            from_unix_ms: self.grid.matrix.column_unix_ms.first().copied().unwrap_or(0),
            to_unix_ms: self.grid.end_unix_ms(),
            columns: self.across.pixels(),
        };
        let [rule, times, dates] = time.lines();
        let end = self.labels.last().map_or("", String::as_str);
        let indent = " ".repeat(width(end) + 2);
        for (left, right) in [(format!("{end} └"), rule), (indent.clone(), times), (indent, dates)]
        {
            let mut painter = Painter::default();
            painter.dim(format!("{left}{right}").trim_end(), self.mode);
            text.push(painter.finish());
        }
        text
    }

    fn line(&self, line: PictureLine, label: &str) -> String {
        let mut painter = Painter::default();
        painter.plain(label);
        painter.dim(if line.labelled_row.is_some() { " ┤" } else { " │" }, self.mode);
        for column in 0..self.across.segments.len() {
            let top = self.pixels[line.top][column];
            let bottom = line.bottom.map_or(Pixel::Blank, |bottom| self.pixels[bottom][column]);
            let (character, front, back) = match self.mode {
                ColourMode::TrueColour => in_colour(top, bottom, self.scale),
                ColourMode::Plain => (in_plain(top, self.scale), None, None),
            };
            for _ in 0..self.across.repeat {
                painter.put(character, front, back);
            }
        }
        painter.finish()
    }
}

/// A character for two pixels, one above the other.
fn in_colour(top: Pixel, bottom: Pixel, scale: Scale) -> (char, Option<Rgb>, Option<Rgb>) {
    match (top, bottom) {
        (Pixel::Blank, Pixel::Blank) => return (' ', None, None),
        (Pixel::Missing, Pixel::Missing) => {
            return ('╱', Some(COLOURS.missing_ink), Some(COLOURS.missing_ground));
        }
        (Pixel::Pending, Pixel::Pending) => return ('?', Some(COLOURS.missing_ink), None),
        _ => {}
    }
    // A sign takes the whole character, on the larger of the two, so that no spike is lost to it.
    let marks = top.marks().union(bottom.marks());
    if let Some(sign) = marks.sign() {
        let ground = colour::colour(scale.level(top.shade().max(bottom.shade())));
        return (sign, Some(colour::ink_on(ground)), Some(ground));
    }
    match (half(top, scale), half(bottom, scale)) {
        (None, bottom) => ('▄', bottom, None),
        (top, bottom) => ('▀', top, bottom),
    }
}

fn half(pixel: Pixel, scale: Scale) -> Option<Rgb> {
    match pixel {
        Pixel::Blank => None,
        Pixel::Missing => Some(colour::MISSING_HALF),
        Pixel::Pending => Some(COLOURS.pending_ground),
        Pixel::Value { shade, .. } => Some(colour::colour(scale.level(shade))),
    }
}

fn in_plain(pixel: Pixel, scale: Scale) -> char {
    match pixel {
        Pixel::Blank => ' ',
        Pixel::Missing => '╱',
        Pixel::Pending => '?',
        Pixel::Value { shade, marks } => colour::character(scale.level(shade), marks.is_empty()),
    }
}

#[cfg(test)]
#[path = "render_test.rs"]
mod render_test;
