//! What stands around the picture: times, keys, and where an event lies on it.
//!
//! Responsible for: round UTC times at their true places, one label for every few rows, the title.
//! Invariants: labels do not touch.
//! Must not: know how they are drawn.
//! Proof: `report_test.rs`.

use keyviz_api::wire::history::GetMatrixResponse;

use super::picture::Picture;
use crate::query_cli::axes::{end_label, row_label};
use crate::query_cli::grid::Grid;
use crate::query_cli::numbers::duration;
use crate::query_cli::time_text::{clock, date, month_and_day};
use crate::query_cli::words;

/// Pixels between two key labels, and between two times.
const KEY_PITCH: usize = 14;
const TIME_PITCH: usize = 84;
const KEY_COLUMNS: usize = 22;
const DAY_MS: i64 = 86_400_000;
const STEPS_S: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800,
];

/// In pixels of the picture.
pub(crate) struct Axes {
    pub(crate) title: String,
    pub(crate) from_to: String,
    /// From its top.
    pub(crate) keys: Vec<(usize, String)>,
    /// From its left.
    pub(crate) times: Vec<(usize, String)>,
    from_unix_ms: i64,
    to_unix_ms: i64,
    width: usize,
}

impl Axes {
    pub(crate) fn new(matrix: &GetMatrixResponse, picture: &Picture) -> Self {
        let grid = Grid::new(matrix);
        let from_unix_ms = matrix.column_unix_ms.first().copied().unwrap_or(0);
        let to_unix_ms = grid.end_unix_ms();
        let mut axes = Self {
            title: format!(
                "{} in {}{}, {} ranges",
                words::unit(matrix),
                match grid.shade_ms() < matrix.step_ms {
                    true => format!("the busiest {} of each ", duration(grid.shade_ms())),
                    false => "each ".to_owned(),
                },
                duration(matrix.step_ms),
                grid.rows()
            ),
            from_to: format!(
                "{} {} to {} {} UTC",
                date(from_unix_ms),
                clock(from_unix_ms),
                date(to_unix_ms),
                clock(to_unix_ms)
            ),
            keys: Vec::new(),
            times: Vec::new(),
            from_unix_ms,
            to_unix_ms,
            width: picture.width,
        };
        axes.keys = keys(matrix, picture);
        axes.times = axes.ticks();
        axes
    }

    /// Where a moment lies, if it is in the picture.
    pub(crate) fn place(&self, unix_ms: i64) -> Option<usize> {
        let span_ms = self.to_unix_ms - self.from_unix_ms;
        let is_in = (self.from_unix_ms..self.to_unix_ms).contains(&unix_ms);
        is_in.then(|| {
            let since_ms = i128::from(unix_ms - self.from_unix_ms);
            (since_ms * self.width as i128 / i128::from(span_ms.max(1))) as usize
        })
    }

    fn ticks(&self) -> Vec<(usize, String)> {
        let span_ms = (self.to_unix_ms - self.from_unix_ms).max(1);
        let most = (self.width / TIME_PITCH).max(1) as i64;
        let step_ms = STEPS_S
            .into_iter()
            .map(|seconds| seconds * 1_000)
            .find(|step_ms| span_ms / step_ms <= most)
            .unwrap_or(30 * DAY_MS);
        let first = self.from_unix_ms.div_euclid(step_ms) * step_ms;
        (0..=most + 1)
            .map(|nth| first + nth * step_ms)
            .filter_map(|unix_ms| Some((self.place(unix_ms)?, unix_ms)))
            .map(|(place, unix_ms)| {
                let text = match (unix_ms % DAY_MS, step_ms % 60_000) {
                    (0, _) => month_and_day(unix_ms),
                    (_, 0) => clock(unix_ms)[..5].to_owned(),
                    _ => clock(unix_ms),
                };
                (place, text)
            })
            .collect()
    }
}

/// The start of every row that has room for a label, and the end of the last.
fn keys(matrix: &GetMatrixResponse, picture: &Picture) -> Vec<(usize, String)> {
    let lines = &picture.lines;
    let every = KEY_PITCH.div_ceil(lines.repeat.max(1));
    let of_line = |line: usize| {
        let row = matrix.rows.get(lines.segments.get(line)?.start)?;
        Some((line * lines.repeat, row_label(row, KEY_COLUMNS)))
    };
    let mut keys: Vec<(usize, String)> =
        (0..lines.segments.len()).step_by(every).filter_map(of_line).collect();
    if let Some(last) = matrix.rows.last() {
        let end = picture.height;
        keys.retain(|(y, _)| y + KEY_PITCH <= end);
        keys.push((end, end_label(last, KEY_COLUMNS)));
    }
    keys
}
