//! The colours of the heatmap, one file for the terminal, the report and the page
//! (`assets/colours.json`).
//!
//! Responsible for: tables of 256 colours, entry 0 for "no traffic" and 1 to 255 from dark to bright;
//! where on them a value lies ([`Scale`]); the greys of what was not recorded.
//! Invariants: 0 and 1 never look alike; a larger value is never darker.
//! Must not: know cells, rows, characters or pixels.
//! Proof: `colours_test.rs` computes the tables again from their polynomials and compares every entry.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::ValueEnum;
use serde::Deserialize;

/// An sRGB colour.
pub(crate) type Rgb = [u8; 3];

/// A table of colours.
pub(crate) type Table = [Rgb; 256];

/// Which table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Palette {
    /// Dark violet to yellow.
    #[default]
    Viridis,
    /// Dark blue to yellow: the same to all eyes.
    Cividis,
}

/// The file, read.
pub(crate) struct Colours {
    viridis: Table,
    cividis: Table,
    /// Where the least traffic sits on a table, so that it is told apart from none.
    floor: f64,
    /// Ground and sign of a window that nobody recorded.
    pub(crate) missing_ground: Rgb,
    /// See `missing_ground`.
    pub(crate) missing_ink: Rgb,
    /// Ground of a window that may still be reported.
    pub(crate) pending_ground: Rgb,
}

/// The one text; the page serves and checks the same.
pub(crate) const TEXT: &str = include_str!("../assets/colours.json");

/// The colours.
pub(crate) static COLOURS: LazyLock<Colours> = LazyLock::new(|| {
    read(TEXT).expect("invariant: the file is part of the program, and colours_test.rs reads it")
});

#[derive(Deserialize)]
struct File {
    floor: f64,
    missing_ground: String,
    missing_ink: String,
    pending_ground: String,
    tables: BTreeMap<String, Vec<String>>,
}

fn read(text: &str) -> Option<Colours> {
    let file: File = serde_json::from_str(text).ok()?;
    let table = |name: &str| -> Option<Table> {
        let lines = file.tables.get(name)?;
        let colours: Option<Vec<Rgb>> =
            lines.iter().flat_map(|line| line.split(' ')).map(colour).collect();
        colours?.try_into().ok()
    };
    Some(Colours {
        viridis: table("viridis")?,
        cividis: table("cividis")?,
        floor: file.floor,
        missing_ground: colour(&file.missing_ground)?,
        missing_ink: colour(&file.missing_ink)?,
        pending_ground: colour(&file.pending_ground)?,
    })
}

fn colour(text: &str) -> Option<Rgb> {
    let mut colour = [0; 3];
    hex::decode_to_slice(text, &mut colour).ok()?;
    Some(colour)
}

impl Colours {
    /// A table.
    pub(crate) const fn table(&self, palette: Palette) -> &Table {
        match palette {
            Palette::Viridis => &self.viridis,
            Palette::Cividis => &self.cividis,
        }
    }

    /// The table's entry for a place on the scale.
    pub(crate) fn entry(&self, fraction: f64) -> u8 {
        1 + (254.0 * (self.floor + (1.0 - self.floor) * fraction)).round().clamp(0.0, 254.0) as u8
    }
}

/// A logarithmic scale from 1 to the view's maximum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    max: u64,
}

impl Scale {
    /// Up to `max`.
    pub(crate) const fn new(max: u64) -> Self {
        Self { max }
    }

    /// Its upper end.
    pub(crate) const fn max(self) -> u64 {
        self.max
    }

    /// The place of `shade` (at least 1) between 0 and 1.
    pub(crate) fn fraction(self, shade: u64) -> f64 {
        if self.max <= 1 || shade >= self.max {
            return 1.0;
        }
        (shade.max(1) as f64).ln() / (self.max as f64).ln()
    }

    /// The table's entry: 0 only for no traffic.
    pub(crate) fn level(self, shade: u64) -> u8 {
        if shade == 0 { 0 } else { COLOURS.entry(self.fraction(shade)) }
    }
}

/// The colour of a sign on a ground: light on dark, dark on light, never another hue.
pub(crate) fn ink_on(ground: Rgb) -> Rgb {
    let [red, green, blue] = ground.map(f64::from);
    let is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140.0;
    let (target, share) = if is_dark { (255.0, 0.62) } else { (0.0, 0.66) };
    ground.map(|part| (f64::from(part) * (1.0 - share) + target * share).round() as u8)
}

#[cfg(test)]
#[path = "colours_test.rs"]
mod colours_test;
