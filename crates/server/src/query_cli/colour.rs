//! Shades to colours, and colours to what a terminal understands.
//!
//! Responsible for: 24-bit colours or a density ramp ([`ColourMode`]), and escape sequences
//! ([`Painter`]). The colours and the scale are those of [`crate::colours`].
//! Invariants: every sequence that is opened is closed at the end of its line.
//! Must not: know cells, rows or the terminal's size.
//! Proof: `colour_test.rs`.

use std::fmt::Write as _;

use crate::colours::{COLOURS, Palette};
pub(super) use crate::colours::{Rgb, Scale, ink_on};

/// How shades are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColourMode {
    /// 24-bit colours; a character shows two rows.
    TrueColour,
    /// Characters of growing density; a character shows one row.
    Plain,
}

/// A half character that nobody recorded, beside one that somebody did.
pub(super) const MISSING_HALF: Rgb = [110, 110, 114];

/// From the least to the most traffic, without colour.
const RAMP: [char; 8] = [':', '-', '=', '+', '*', '#', '%', '@'];
/// Recorded, no traffic, without colour.
const IDLE: char = '·';
/// The colour of a level.
pub(super) fn colour(level: u8) -> Rgb {
    COLOURS.table(Palette::Viridis)[usize::from(level)]
}

/// The colour of a place on the scale.
pub(super) fn colour_at(fraction: f64) -> Rgb {
    colour(COLOURS.entry(fraction))
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
    character(COLOURS.entry(fraction), true)
}

fn step(level: u8) -> usize {
    let least = COLOURS.entry(0.0);
    usize::from(level.saturating_sub(least)) * RAMP.len() / (256 - usize::from(least))
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
