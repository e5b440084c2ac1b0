//! Shades to colours, and colours to what a terminal understands.
//!
//! Responsible for: the logarithmic scale to a view's maximum ([`Scale`]), 24-bit colours or a
//! density ramp ([`ColourMode`]), and escape sequences ([`Painter`]).
//! Invariants: 0 and 1 never look alike; a larger shade is never darker; every sequence that is
//! opened is closed at the end of its line.
//! Must not: know cells, rows or the terminal's size.
//! Proof: `colour_test.rs`; the table in `viridis_test.rs`.

use std::fmt::Write as _;

use super::viridis::{Rgb, VIRIDIS};

/// How shades are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColourMode {
    /// 24-bit colours; a character shows two rows.
    TrueColour,
    /// Characters of growing density; a character shows one row.
    Plain,
}

/// Ground and sign of a window that nobody recorded. Grey: viridis has none.
pub(super) const MISSING_GROUND: Rgb = [52, 52, 56];
/// See [`MISSING_GROUND`].
pub(super) const MISSING_INK: Rgb = [150, 150, 155];
/// A half character that nobody recorded, beside one that somebody did.
pub(super) const MISSING_HALF: Rgb = [110, 110, 114];
/// A half character that may still be reported.
pub(super) const PENDING_HALF: Rgb = [72, 72, 76];

/// From the least to the most traffic, without colour.
const RAMP: [char; 8] = [':', '-', '=', '+', '*', '#', '%', '@'];
/// Recorded, no traffic, without colour.
const IDLE: char = '·';
/// Where the least traffic sits on the table, so that it is told apart from none. As on the page.
const FLOOR: f64 = 0.05;

/// A logarithmic scale from 1 to the view's maximum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    max: u64,
}

impl Scale {
    /// Up to `max`.
    pub(super) const fn new(max: u64) -> Self {
        Self { max }
    }

    /// Its upper end.
    pub(super) const fn max(self) -> u64 {
        self.max
    }

    /// The place of `shade` (at least 1) between 0 and 1.
    pub(super) fn fraction(self, shade: u64) -> f64 {
        if self.max <= 1 || shade >= self.max {
            return 1.0;
        }
        (shade.max(1) as f64).ln() / (self.max as f64).ln()
    }

    /// The table's entry: 0 only for no traffic.
    pub(super) fn level(self, shade: u64) -> u8 {
        if shade == 0 { 0 } else { entry(self.fraction(shade)) }
    }
}

/// The table's entry for a place on the scale.
fn entry(fraction: f64) -> u8 {
    1 + (254.0 * (FLOOR + (1.0 - FLOOR) * fraction)).round().clamp(0.0, 254.0) as u8
}

/// The colour of a level.
pub(super) fn colour(level: u8) -> Rgb {
    VIRIDIS[usize::from(level)]
}

/// The colour of a place on the scale.
pub(super) fn colour_at(fraction: f64) -> Rgb {
    colour(entry(fraction))
}

/// The character of a level, without colour; cells that are not exact show the same scale as a digit.
pub(super) fn character(level: u8, is_exact: bool) -> char {
    match (level, is_exact) {
        (0, true) => IDLE,
        (0, false) => '0',
        (_, true) => RAMP[step(level)],
        (_, false) => char::from(b'1' + step(level) as u8),
    }
}

/// The character of a place on the scale, without colour.
pub(super) fn character_at(fraction: f64) -> char {
    character(entry(fraction), true)
}

fn step(level: u8) -> usize {
    let least = entry(0.0);
    usize::from(level.saturating_sub(least)) * RAMP.len() / (256 - usize::from(least))
}

/// The colour of a sign on a ground: light on dark, dark on light, never another hue.
pub(super) fn ink_on(ground: Rgb) -> Rgb {
    let [red, green, blue] = ground.map(f64::from);
    let is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140.0;
    let (target, share) = if is_dark { (255.0, 0.62) } else { (0.0, 0.66) };
    ground.map(|part| (f64::from(part) * (1.0 - share) + target * share).round() as u8)
}

/// Collects text and says only what changes.
#[derive(Debug, Default)]
pub(super) struct Painter {
    text: String,
    front: Option<Rgb>,
    back: Option<Rgb>,
    is_dim: bool,
}

impl Painter {
    /// One character in these colours; `None` is the terminal's own.
    pub(super) fn put(&mut self, character: char, front: Option<Rgb>, back: Option<Rgb>) {
        if self.is_dim
            || (self.front.is_some() && front.is_none())
            || (self.back.is_some() && back.is_none())
        {
            self.reset();
        }
        if front != self.front {
            self.set(38, front);
            self.front = front;
        }
        if back != self.back {
            self.set(48, back);
            self.back = back;
        }
        self.text.push(character);
    }

    /// Text in the terminal's own colours.
    pub(super) fn plain(&mut self, text: &str) {
        self.reset();
        self.text.push_str(text);
    }

    /// Text that stands back, where there is colour at all.
    pub(super) fn dim(&mut self, text: &str, mode: ColourMode) {
        self.reset();
        if mode == ColourMode::TrueColour && !text.is_empty() {
            self.text.push_str("\x1b[2m");
            self.is_dim = true;
        }
        self.text.push_str(text);
    }

    /// The end of a line.
    pub(super) fn finish(mut self) -> String {
        self.reset();
        self.text
    }

    fn set(&mut self, layer: u8, colour: Option<Rgb>) {
        if let Some([red, green, blue]) = colour {
            // invariant: writing to a string does not fail
            let _ = write!(self.text, "\x1b[{layer};2;{red};{green};{blue}m");
        }
    }

    fn reset(&mut self) {
        if self.is_dim || self.front.is_some() || self.back.is_some() {
            self.text.push_str("\x1b[0m");
        }
        (self.front, self.back, self.is_dim) = (None, None, false);
    }
}

#[cfg(test)]
#[path = "colour_test.rs"]
mod colour_test;
