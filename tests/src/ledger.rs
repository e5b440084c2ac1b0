//! A host's ledger: one JSON object a line, and what it adds up to.
//!
//! A column line counts; a correction (`dropped: true`, no rows) takes back the line before it of
//! the same window and `covered_from_ms`. Lines with `transition` are transitions.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// The series of a cell, in the order of every array here.
pub const SERIES: [&str; 4] = ["reads", "writes", "read_bytes", "write_bytes"];

/// Which cell: `(start key in hex, end key in hex, window start in Unix ms, series)`. An empty key
/// is unbounded.
pub type CellKey = (String, String, u64, &'static str);

/// Cells that are not zero.
pub type Cells = BTreeMap<CellKey, u64>;

/// What a host counted.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Its cells.
    pub cells: Cells,
    /// Milliseconds covered, by window start.
    pub covered_ms: BTreeMap<u64, u64>,
    /// How many columns count.
    pub columns: usize,
    /// Names of its transitions, in order.
    pub transitions: Vec<String>,
    /// Operations on routes that it did not know.
    pub unattributed: u64,
}

impl Ledger {
    /// Reads a ledger that nobody has to have finished: a last line without its end is left out.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut columns: Vec<Value> = Vec::new();
        let mut ledger = Self::default();
        for line in whole.lines() {
            let line: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}"));
            if let Some(name) = line["transition"].as_str() {
                ledger.transitions.push(name.to_owned());
            } else if line["dropped"] == true {
                let same = |held: &Value| {
                    ["window_unix_ms", "covered_from_ms"].iter().all(|key| held[key] == line[key])
                };
                let index = columns.iter().rposition(same).expect("a correction follows its line");
                columns.remove(index);
            } else {
                columns.push(line);
            }
        }
        for column in &columns {
            ledger.add(column);
        }
        ledger
    }

    fn add(&mut self, column: &Value) {
        let number =
            |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} in {column}"));
        let window = number(&column["window_unix_ms"]);
        let covered = number(&column["covered_to_ms"]) - number(&column["covered_from_ms"]);
        *self.covered_ms.entry(window).or_default() += covered;
        self.columns += 1;
        self.unattributed += number(&column["unattributed"]);
        for row in column["rows"].as_array().unwrap() {
            let key = |name: &str| row[name].as_str().unwrap().to_owned();
            for series in SERIES {
                add_cell(
                    &mut self.cells,
                    (key("start"), key("end"), window, series),
                    number(&row[series]),
                );
            }
        }
    }

    /// The sum of one series.
    pub fn total(&self, series: &str) -> u64 {
        total(&self.cells, series)
    }

    /// `[first window, end of the last window)` in steps of 1 s.
    pub fn span(&self) -> (u64, u64) {
        let first = self.covered_ms.keys().next().expect("a column");
        let last = self.covered_ms.keys().next_back().expect("a column");
        (*first, last + 1_000)
    }
}

/// Adds to a cell; nothing is not a cell.
pub fn add_cell(cells: &mut Cells, key: CellKey, value: u64) {
    if value > 0 {
        *cells.entry(key).or_default() += value;
    }
}

/// The sum of one series.
pub fn total(cells: &Cells, series: &str) -> u64 {
    cells.iter().filter(|((.., name), _)| *name == series).map(|(_, value)| value).sum()
}
