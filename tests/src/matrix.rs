//! What a node answers about its history, and its comparison with what was counted.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::http;
use crate::ledger::{Cells, SERIES, add_cell};

/// Where the matrix is.
pub const MATRIX: &str = "/admin/api/v1/keyviz/matrix";

/// Flags that do not say that a value is wrong: less or more than a step was covered.
const COVERAGE_FLAGS: [&str; 2] = ["partial", "stretched"];

/// Everything that a node holds of `[from_ms, to_ms)`, one row for each lineage, in windows of
/// `step_ms`, all four series.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The cells, summed over lineages with the same bounds.
    pub cells: Cells,
    /// For each window, how often each state occurs.
    pub states: BTreeMap<u64, BTreeMap<String, usize>>,
    /// Rows of the answers.
    pub rows: usize,
    /// For each flag, the windows of which a cell has it.
    pub flagged: BTreeMap<String, BTreeSet<u64>>,
}

impl Recorded {
    /// Asks the node on HTTP port `address`, and checks every answer in itself: complete, exact,
    /// and conserved (`recorded = counted + inherited` in each column, and the rows sum up to it).
    pub fn ask(address: &str, span: (u64, u64), step_ms: u64) -> Self {
        let recorded = Self::ask_flagged(address, span, step_ms);
        let exact = |flag: &&String| !COVERAGE_FLAGS.contains(&flag.as_str());
        let wrong = recorded.flagged.keys().find(exact);
        assert!(wrong.is_none(), "flagged: {:?}", recorded.flagged);
        recorded
    }

    /// Like [`Recorded::ask`], and cells need not be exact.
    pub fn ask_flagged(address: &str, (from_ms, to_ms): (u64, u64), step_ms: u64) -> Self {
        let mut recorded = Self::default();
        for series in SERIES {
            let path = format!(
                "{MATRIX}?as_of=union&step_ms={step_ms}&series={series}&from_unix_ms={from_ms}&to_unix_ms={to_ms}"
            );
            let answer = http::get(address, &path).ok();
            assert_eq!(answer["status"], "OK", "{}", answer["warnings"]);
            assert_eq!(answer["step_ms"], step_ms, "{path}");
            check_conservation(&answer);
            recorded.add(&answer, series);
        }
        recorded
    }

    fn add(&mut self, answer: &Value, series: &'static str) {
        let windows = numbers(&answer["column_unix_ms"]);
        let bits = answer["flag_bits"].as_object().unwrap();
        for row in answer["rows"].as_array().unwrap() {
            self.rows += 1;
            assert_eq!(row["aggregate"], false, "more rows than an answer holds: {row}");
            assert!(row["inherited"].is_null(), "a union's rows are their own sources: {row}");
            let key = |name: &str| {
                let bytes = STANDARD.decode(row[name].as_str().unwrap_or("")).unwrap();
                hex::encode(bytes)
            };
            let (start, end) = (key("start"), key("end"));
            for (&window, value) in windows.iter().zip(numbers(&row["values"])) {
                add_cell(&mut self.cells, (start.clone(), end.clone(), window, series), value);
            }
            if !row["flags"].is_null() {
                for (&window, flags) in windows.iter().zip(numbers(&row["flags"])) {
                    for (name, bit) in bits {
                        if flags & bit.as_u64().unwrap() != 0 {
                            self.flagged.entry(name.clone()).or_default().insert(window);
                        }
                    }
                }
            }
            let states = states(row);
            assert_eq!(states.len(), windows.len(), "every column has a state: {row}");
            for (&window, state) in windows.iter().zip(states) {
                *self.states.entry(window).or_default().entry(state.to_owned()).or_default() += 1;
            }
        }
    }
}

/// The state of each cell of a row.
pub fn states(row: &Value) -> Vec<&str> {
    let runs = row["states"].as_array().unwrap().iter();
    runs.flat_map(|run| {
        std::iter::repeat_n(run[0].as_str().unwrap(), run[1].as_u64().unwrap() as usize)
    })
    .collect()
}

/// In each column, recorded = counted + inherited, and the rows' counted parts sum up to counted.
pub fn check_conservation(answer: &Value) {
    let totals = |name: &str| numbers(&answer["column_totals"][name]);
    let (recorded, counted, inherited) =
        (totals("recorded"), totals("counted"), totals("inherited"));
    let mut sums = vec![0; recorded.len()];
    for row in answer["rows"].as_array().unwrap() {
        let values = numbers(&row["values"]);
        let foreign = if row["inherited"].is_null() {
            vec![0; values.len()]
        } else {
            numbers(&row["inherited"])
        };
        for (sum, (value, foreign)) in sums.iter_mut().zip(values.iter().zip(foreign)) {
            *sum += value - foreign;
        }
    }
    let windows = numbers(&answer["column_unix_ms"]);
    for (at, window) in windows.iter().enumerate() {
        let series = &answer["series"];
        assert_eq!(
            recorded[at],
            counted[at] + inherited[at],
            "{series} of window {window} is not conserved"
        );
        assert_eq!(
            sums[at], counted[at],
            "{series} of window {window}: the rows' sum is not `counted`"
        );
    }
}

/// The cells that differ between what was counted and what is recorded: none, or a list of the
/// first ones.
pub fn differences(counted: &Cells, recorded: &Cells) -> Option<String> {
    let keys = counted.keys().chain(recorded.keys().filter(|key| !counted.contains_key(*key)));
    let get = |cells: &Cells, key| cells.get(key).copied().unwrap_or(0);
    let lines: Vec<String> = keys
        .filter(|key| get(counted, key) != get(recorded, key))
        .map(|key| {
            format!("{key:?}: counted {}, recorded {}", get(counted, key), get(recorded, key))
        })
        .collect();
    (!lines.is_empty()).then(|| {
        let shown = lines.len().min(20);
        format!("{} of {} cells differ:\n{}", lines.len(), counted.len(), lines[..shown].join("\n"))
    })
}

/// The numbers of a JSON array.
pub fn numbers(array: &Value) -> Vec<u64> {
    let items = array.as_array().unwrap_or_else(|| panic!("not an array: {array}"));
    items
        .iter()
        .map(|item| item.as_u64().unwrap_or_else(|| panic!("not a count: {item}")))
        .collect()
}
