//! The heatmap as pixels, and as a PNG.
//!
//! Responsible for: many cells in one pixel (the largest wins, on both axes), colours, and patterns that
//! tell what was not recorded, or is not exact, from what was.
//! Invariants: nothing that was not recorded has a colour of the table; a mark of any cell is seen in its
//! pixel's pattern.
//! Must not: know HTML.
//! Proof: `report_test.rs`.

use std::ops::Range;

use anyhow::Context as _;
use keyviz_api::wire::history::GetMatrixResponse;

use crate::colours::{COLOURS, Palette, Rgb, Scale, ink_on};
use crate::query_cli::grid::Grid;
use crate::query_cli::marks::{Census, FlagMap, Marks};
use crate::query_cli::numbers::compact;
use crate::query_cli::pool::{Fit, Pixel, fit, pool};

/// The most pixels, and the most of one cell.
const WIDTH: usize = 1_120;
const HEIGHT: usize = 560;
const CELL_WIDTH: usize = 64;
const CELL_HEIGHT: usize = 48;
/// Where no range was alive: the paper.
pub(crate) const BLANK: Rgb = [250, 250, 250];

/// What is drawn, and where.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Three bytes a pixel, line by line.
    pixels: Vec<u8>,
    /// The rows of the answer of each line of cells, and how many pixels each is high.
    pub(crate) lines: Fit,
    pub(crate) census: Census,
    pub(crate) drawn: Marks,
    /// Whether there is a place where no range was alive.
    pub(crate) has_blank: bool,
    pub(crate) scale: Scale,
}

/// Draws an answer.
pub(crate) fn draw(matrix: &GetMatrixResponse, palette: Palette) -> Picture {
    let grid = Grid::new(matrix);
    let map = FlagMap::new(&matrix.flag_names);
    let census = Census::of(&grid, &map);
    let scale = Scale::new(census.max_shade());
    let columns = fit(grid.columns(), WIDTH, CELL_WIDTH);
    let lines = fit(grid.rows(), HEIGHT, CELL_HEIGHT);
    let (width, height) = (columns.pixels(), lines.pixels());
    let mut pixels = vec![0; width * height * 3];
    let (mut drawn, mut has_blank) = (Marks::NONE, false);
    let table = COLOURS.table(palette);
    for (line, rows) in lines.segments.iter().enumerate() {
        for (place, of) in columns.segments.iter().enumerate() {
            let pixel = pool(&grid, &map, rows, of);
            drawn = drawn.union(pixel.marks());
            has_blank |= pixel == Pixel::Blank;
            let across = place * columns.repeat..(place + 1) * columns.repeat;
            let down = line * lines.repeat..(line + 1) * lines.repeat;
            let (ground, pattern) =
                (table[usize::from(scale.level(pixel.shade()))], Pattern::of(pixel.marks()));
            paint(&mut pixels, width, (across, down), |x, y| match pixel {
                Pixel::Blank => BLANK,
                Pixel::Missing => missing(x, y),
                Pixel::Pending => pending(x, y),
                Pixel::Value { .. } if pattern.is_ink(x, y) => ink_on(ground),
                Pixel::Value { .. } => ground,
            });
        }
    }
    Picture { width, height, pixels, lines, census, drawn, has_blank, scale }
}

/// Broad stripes: nobody recorded it.
pub(crate) fn missing(x: usize, y: usize) -> Rgb {
    if (x + y) % 8 < 3 { COLOURS.missing_ink } else { COLOURS.missing_ground }
}

/// Dots: a source may still report.
pub(crate) fn pending(x: usize, y: usize) -> Rgb {
    if x % 4 == 1 && y % 4 == 1 { COLOURS.missing_ink } else { COLOURS.pending_ground }
}

/// Thin stripes the other way for what is partial; sparse dots for everything else that is not exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    pub(crate) is_partial: bool,
    pub(crate) is_other: bool,
}

impl Pattern {
    fn of(marks: Marks) -> Self {
        let words = marks.words();
        let is_partial = words.contains(&"partial");
        Self { is_partial, is_other: words.len() > usize::from(is_partial) }
    }

    pub(crate) const fn is_ink(self, x: usize, y: usize) -> bool {
        (self.is_partial && (x + 8 - y % 8).is_multiple_of(8))
            || (self.is_other && x % 6 == 1 && y % 6 == 1)
    }
}

fn paint(
    pixels: &mut [u8],
    width: usize,
    (across, down): (Range<usize>, Range<usize>),
    of: impl Fn(usize, usize) -> Rgb,
) {
    for y in down {
        for x in across.clone() {
            let at = (y * width + x) * 3;
            pixels[at..at + 3].copy_from_slice(&of(x, y));
        }
    }
}

impl Picture {
    /// As a file.
    ///
    /// # Errors
    /// None that is known: it is written to memory.
    pub(crate) fn png(&self) -> anyhow::Result<Vec<u8>> {
        png((self.width.max(1), self.height.max(1)), &self.pixels)
    }
}

/// A PNG of three bytes a pixel.
///
/// # Errors
/// As [`Picture::png`].
pub(crate) fn png((width, height): (usize, usize), pixels: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let whole = if pixels.is_empty() { &BLANK[..] } else { pixels };
    encoder.write_header().and_then(|mut writer| writer.write_image_data(whole)).context("PNG")?;
    Ok(bytes)
}

/// The table of colours as a bar.
pub(crate) fn bar(palette: Palette, width: usize, height: usize) -> anyhow::Result<Vec<u8>> {
    let table = COLOURS.table(palette);
    let line = (0..width)
        .flat_map(|x| table[usize::from(COLOURS.entry(x as f64 / (width.max(2) - 1) as f64))]);
    let line: Vec<u8> = line.collect();
    png((width, height), &line.repeat(height))
}

/// A pattern as a small picture for the legend.
pub(crate) fn swatch(of: impl Fn(usize, usize) -> Rgb) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (36, 16);
    let mut pixels = vec![0; width * height * 3];
    paint(&mut pixels, width, (0..width, 0..height), of);
    png((width, height), &pixels)
}

/// Room for key labels, and below for times.
const LEFT: usize = 200;
const TOP: usize = 28;
const BELOW: usize = 56;
/// A letter is so wide and high.
const LETTER: usize = 8;
const BAR: usize = 200;
const INK: Rgb = [40, 40, 44];

/// The picture with its axes, where there is nothing around it that could say them.
///
/// # Errors
/// As [`Picture::png`].
pub(super) fn standalone(matrix: &GetMatrixResponse, palette: Palette) -> anyhow::Result<Vec<u8>> {
    let picture = draw(matrix, palette);
    let (width, height) = (LEFT + picture.width.max(440) + 16, TOP + picture.height + BELOW);
    let mut pixels = BLANK.repeat(width * height);
    for (y, line) in picture.pixels.chunks_exact(picture.width.max(1) * 3).enumerate() {
        let at = ((TOP + y) * width + LEFT) * 3;
        pixels[at..at + line.len()].copy_from_slice(line);
    }
    let mut paper = Paper { pixels: &mut pixels, width, height };
    let axes = super::axes::Axes::new(matrix, &picture);
    paper.write((LEFT, 8), &axes.title);
    for (y, text) in &axes.keys {
        let text: String = text.chars().take(LEFT / LETTER - 2).collect();
        let x = LEFT.saturating_sub((text.chars().count() + 1) * LETTER);
        paper.write((x, (TOP + y).saturating_sub(LETTER / 2)), &text);
    }
    for (x, text) in &axes.times {
        let y = TOP + picture.height;
        (0..5).for_each(|down| paper.put(LEFT + x, y + down, INK));
        let half = text.len() * LETTER / 2;
        paper.write(((LEFT + x).saturating_sub(half), y + 8), text);
    }
    let below = TOP + picture.height + 24;
    paper.write((LEFT, below), &axes.from_to);
    if picture.scale.max() > 0 {
        paper.scale((LEFT, below + 14), palette, picture.scale.max());
    }
    png((width, height), &pixels)
}

struct Paper<'a> {
    pixels: &'a mut [u8],
    width: usize,
    height: usize,
}

impl Paper<'_> {
    fn put(&mut self, x: usize, y: usize, colour: Rgb) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// From the least traffic to the most.
    fn scale(&mut self, (left, top): (usize, usize), palette: Palette, max: u64) {
        let table = COLOURS.table(palette);
        for x in 0..BAR {
            let level = COLOURS.entry(x as f64 / (BAR - 1) as f64);
            (0..10).for_each(|y| self.put(left + 16 + x, top + y, table[usize::from(level)]));
        }
        self.write((left, top + 1), "1");
        self.write(
            (left + BAR + 24, top + 1),
            &format!("{}, logarithmic", compact(max.into(), false)),
        );
    }

    /// In letters of ASCII; others are `?`.
    fn write(&mut self, (left, top): (usize, usize), text: &str) {
        for (place, letter) in text.chars().enumerate() {
            let letter = if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
            let glyph = font8x8::legacy::BASIC_LEGACY[letter as usize % 128];
            for (y, bits) in glyph.iter().enumerate() {
                for x in (0..8).filter(|x| bits >> x & 1 == 1) {
                    self.put(left + place * LETTER + x, top + y, INK);
                }
            }
        }
    }
}
