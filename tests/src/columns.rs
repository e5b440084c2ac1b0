//! Columns that a test posts by hand, and a ledger of those that were acknowledged.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Response, post_json};
use crate::ledger::{Cells, SERIES, add_cell};
use crate::matrix::{Recorded, differences};
use crate::rng::Rng;

/// Where columns are posted.
pub const COLUMNS: &str = "/admin/api/v1/keyviz/columns";
/// Where transitions are posted.
pub const TRANSITIONS: &str = "/admin/api/v1/keyviz/transitions";
/// The boot id that a poster uses.
pub const BOOT: &str = "00000000-0000-8000-8000-0000000000a1";

/// The cells of a column as it is posted.
pub fn cells_of(column: &Value) -> Cells {
    let window = column["window_unix_ms"].as_u64().unwrap();
    let mut cells = Cells::new();
    for row in column["rows"].as_array().unwrap() {
        let key = |name: &str| hex::encode(row[name].as_str().unwrap_or(""));
        for series in SERIES {
            let cell = (key("start"), key("end"), window, series);
            add_cell(&mut cells, cell, row[series].as_u64().unwrap());
        }
    }
    cells
}

/// A source that posts columns of one second, in order, and remembers what was acknowledged.
#[derive(Clone, Debug)]
pub struct Poster {
    /// Its name.
    pub node: String,
    /// The sequence of its next column.
    pub sequence: u64,
    /// The window of its next column.
    pub window_ms: u64,
    /// What was acknowledged.
    pub acknowledged: Cells,
    /// The group of its routes; their keys begin with it, unless it is 1.
    pub group: u64,
    /// Its boot id.
    pub boot: String,
    /// Entries that it sent under earlier boot ids.
    pub before_boot: u64,
    /// Bytes that each bound has besides what tells it apart; they do not compress.
    pub padding: usize,
    /// Its first window.
    pub first_ms: u64,
}

impl Poster {
    /// Its windows go on from `first_ms`, a whole second.
    pub fn new(node: &str, first_ms: u64) -> Self {
        assert!(first_ms.is_multiple_of(1_000));
        let (sequence, acknowledged) = (1, Cells::new());
        let (node, boot) = (node.to_owned(), BOOT.to_owned());
        let (group, before_boot, padding) = (1, 0, 0);
        Self {
            node,
            sequence,
            window_ms: first_ms,
            acknowledged,
            group,
            boot,
            before_boot,
            padding,
            first_ms,
        }
    }

    /// What a source does that a node has forgotten: the rest goes under a new boot id.
    pub fn boot_again(&mut self) {
        self.before_boot = self.sequence - 1;
        self.boot = format!("00000000-0000-8000-8000-{:06x}{:06x}", self.group, self.sequence);
    }

    /// What the keys of its routes begin with: sources of other groups share none of them.
    pub fn prefix(&self) -> String {
        if self.group == 1 { "key:".to_owned() } else { format!("group-{}:", self.group) }
    }

    /// The next column: `rows` rows of adjacent routes with numbers that depend on the sequence.
    pub fn column(&self, rows: u64) -> Value {
        let rows: Vec<Value> = (1..=rows).map(|route| self.row(route, rows)).collect();
        json!({
            "node_id": self.node,
            "boot_id": self.boot,
            "sequence": self.sequence - self.before_boot,
            "window_unix_ms": self.window_ms,
            "step_ms": 1_000,
            "rows": rows,
        })
    }

    fn row(&self, route: u64, rows: u64) -> Value {
        // Bounds of some length, so that a column is some bytes in the WAL.
        let (prefix, is_alone) = (self.prefix(), self.group == 1);
        let bound = |at: u64| {
            let mut noise = Rng::new(at);
            let noise = (0..self.padding / 16).map(|_| format!("{:016x}", noise.next_u64()));
            format!("{prefix}{at:060}{}", noise.collect::<String>())
        };
        let count = self.sequence * 1_000 + route;
        json!({
            "route_id": route,
            "group_id": self.group,
            "term": 1,
            "start": (route > 1 || !is_alone).then(|| bound(route)),
            "end": (route < rows || !is_alone).then(|| bound(route + 1)),
            "reads": count,
            "writes": count + 1,
            "read_bytes": count * 10,
            "write_bytes": count * 11,
        })
    }

    /// Posts a column.
    ///
    /// # Errors
    /// A connection that failed.
    pub fn post(address: &str, column: &Value) -> std::io::Result<Response> {
        post_json(address, COLUMNS, &column.to_string())
    }

    /// Counts a column as acknowledged; the next one is due.
    pub fn acknowledge(&mut self, column: &Value) {
        for (cell, value) in cells_of(column) {
            add_cell(&mut self.acknowledged, cell, value);
        }
        self.sequence += 1;
        self.window_ms += 1_000;
    }

    /// Posts the next column and expects it to be stored whole.
    pub fn post_next(&mut self, address: &str, rows: u64) {
        let column = self.column(rows);
        let answer = Self::post(address, &column).unwrap().ok();
        assert_eq!(answer["outcome"], "stored", "{answer}");
        assert_eq!(answer["rows_stored"], rows, "{answer}");
        assert_eq!(answer["refused_rows"], json!([]), "{answer}");
        self.acknowledge(&column);
    }

    /// What a node that is asked for this poster's span holds beyond or short of what was
    /// acknowledged. The other sources must be silent in that span.
    pub fn differences(&self, address: &str) -> Option<String> {
        let span = (self.first_ms, self.window_ms.max(self.first_ms + 1_000));
        differences(&self.acknowledged, &Recorded::ask(address, span, 1_000).cells)
    }

    /// Posts the next column again and again until it is taken. Returns how often it was refused.
    pub fn post_until_taken(&mut self, address: &str, rows: u64, limit: Duration) -> u64 {
        let (column, mut refusals) = (self.column(rows), 0);
        crate::wait_for("the node takes columns", limit, || {
            let answer = Self::post(address, &column).unwrap();
            if answer.status == 503 {
                refusals += 1;
                return None;
            }
            // A duplicate: it had been logged although it could not be acknowledged.
            let outcome = answer.ok()["outcome"].clone();
            assert!(outcome == "stored" || outcome == "duplicate", "{outcome}");
            Some(())
        });
        self.acknowledge(&column);
        refusals
    }
}
