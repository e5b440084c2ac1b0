//! Many cells in one character: the largest wins, on both axes.
//!
//! Responsible for: which cells fall on which pixel ([`fit`]) and what a pixel is ([`Pixel`]).
//! Invariants: every cell belongs to a pixel; the brightest cell of a pixel decides its shade, and
//! every mark of its cells is kept; a pixel of recorded and missing cells is marked partial.
//! Must not: know colours, characters or text.
//! Proof: `pool_test.rs`; one hot minute of 10,080 stays visible in `render_test.rs`.

use std::ops::Range;

use super::grid::{Grid, Place, State};
use super::marks::{FlagMap, Marks, with_gaps};

/// How items are laid along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The items of each segment.
    pub(crate) segments: Vec<Range<usize>>,
    /// How many pixels each segment is long.
    pub(crate) repeat: usize,
}

impl Fit {
    /// Pixels in all.
    pub(crate) fn pixels(&self) -> usize {
        self.segments.len() * self.repeat
    }

    /// The most items that share a segment.
    pub(crate) fn most(&self) -> usize {
        self.segments.iter().map(ExactSizeIterator::len).max().unwrap_or(0)
    }
}

/// Lays `count` items on `pixels`: each as long as the others (at most `max_repeat`) when they fit,
/// else several to a pixel, as evenly as whole numbers allow.
pub(crate) fn fit(count: usize, pixels: usize, max_repeat: usize) -> Fit {
    let pixels = pixels.max(1);
    if count <= pixels {
        let repeat = (pixels / count.max(1)).clamp(1, max_repeat.max(1));
        return Fit { segments: (0..count).map(|item| item..item + 1).collect(), repeat };
    }
    let bound = |segment: usize| segment * count / pixels;
    let segments = (0..pixels).map(|segment| bound(segment)..bound(segment + 1)).collect();
    Fit { segments, repeat: 1 }
}

/// What one pixel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pixel {
    /// Nothing existed here.
    Blank,
    /// Nobody recorded it.
    Missing,
    /// A source may still report.
    Pending,
    /// The largest shade, and all marks.
    Value {
        /// The largest shade of its cells.
        shade: u64,
        /// Why it is not exact.
        marks: Marks,
    },
}

impl Pixel {
    /// Its shade, 0 where there is none.
    pub(crate) const fn shade(self) -> u64 {
        match self {
            Self::Value { shade, .. } => shade,
            Self::Blank | Self::Missing | Self::Pending => 0,
        }
    }

    /// Its marks, none where it has no value.
    pub(crate) const fn marks(self) -> Marks {
        match self {
            Self::Value { marks, .. } => marks,
            Self::Blank | Self::Missing | Self::Pending => Marks::NONE,
        }
    }
}

/// The pixel of some rows and columns.
pub(crate) fn pool(
    grid: &Grid<'_>,
    map: &FlagMap,
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> Pixel {
    let mut shade = None;
    let mut marks = Marks::NONE;
    let (mut any_missing, mut any_pending) = (false, false);
    for row in rows.clone() {
        for column in columns.clone() {
            let cell = grid.cell(Place { row, column });
            if cell.has_value() {
                shade = shade.max(Some(grid.shade(&cell)));
                marks = marks.union(map.marks(&cell));
            } else {
                any_missing |= cell.state == State::Missing;
                any_pending |= cell.state == State::Pending;
            }
        }
    }
    match shade {
        Some(shade) => Pixel::Value { shade, marks: with_gaps(marks, any_missing, any_pending) },
        None if any_missing => Pixel::Missing,
        None if any_pending => Pixel::Pending,
        None => Pixel::Blank,
    }
}

#[cfg(test)]
#[path = "pool_test.rs"]
mod pool_test;
