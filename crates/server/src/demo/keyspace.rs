//! The demo's keys: an imaginary shop's tables, and where the host cuts them into ranges.
//!
//! Invariants: boundaries ascend; the hotspot's table has one wide range in its middle (it is the
//! one that gets split); [`COLD`] names two whole neighbours with next to no traffic.
//! Must not: know what is sent to these keys.
//! Proof: `keyspace_test.rs`.

/// Keys of a table: `order:000000` to `order:999999`.
pub(super) const TABLE_KEYS: u64 = 1_000_000;
/// The table that the hotspot moves over.
pub(super) const HOT_TABLE: &str = "order";
/// The table that is written in ascending order, once over the run.
pub(super) const LOG_TABLE: &str = "event";
/// Two ranges without much traffic, each named by a key in it; the left one first.
pub(super) const COLD: [&str; 2] = ["archive:2022", "archive:2023"];
/// Years of the archive, one range each.
pub(super) const ARCHIVE_YEARS: [u64; 4] = [2021, 2022, 2023, 2024];

/// A table and the number of its ranges of equal width.
const TABLES: [(&str, u64); 8] = [
    ("account", 5),
    ("cart", 2),
    (LOG_TABLE, 12),
    ("invoice", 2),
    (HOT_TABLE, 0),
    ("product", 4),
    ("session", 6),
    ("user", 3),
];
/// The hotspot's table: narrow ranges around a wide one.
const HOT_NARROW: u64 = 50_000;
const HOT_WIDE: std::ops::Range<u64> = 400_000..600_000;
/// redis-benchmark's own keys, twelve digits.
const BENCHMARK_TABLES: [(&str, u64); 2] = [("counter", 1), ("key", 4)];
/// redis-benchmark draws from so many keys (`-r`).
pub(super) const BENCHMARK_KEYS: u64 = 100_000;

/// The key number `index` of `table`; beyond its ends, the first or the last.
pub(super) fn key(table: &str, index: f64) -> String {
    format!("{table}:{:06}", (index.max(0.0) as u64).min(TABLE_KEYS - 1))
}

/// Where in the hotspot's table `key` is: 0 to 1; `None` for another table's.
pub(super) fn place(key: &[u8]) -> Option<f64> {
    let digits = std::str::from_utf8(key).ok()?.strip_prefix(HOT_TABLE)?.strip_prefix(':')?;
    let index: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(index as f64 / TABLE_KEYS as f64)
}

/// Where the first ranges meet, ascending.
pub(super) fn boundaries() -> Vec<String> {
    let mut boundaries = Vec::new();
    for (table, ranges) in TABLES {
        let cuts: Vec<u64> = match table {
            HOT_TABLE => (0..TABLE_KEYS / HOT_NARROW)
                .map(|range| range * HOT_NARROW)
                .filter(|cut| *cut <= HOT_WIDE.start || *cut >= HOT_WIDE.end)
                .collect(),
            _ => (0..ranges).map(|range| range * TABLE_KEYS / ranges).collect(),
        };
        boundaries.extend(cuts.iter().map(|cut| match cut {
            0 => format!("{table}:"),
            cut => format!("{table}:{cut:06}"),
        }));
    }
    for (table, ranges) in BENCHMARK_TABLES {
        let cuts = (0..ranges).map(|range| range * BENCHMARK_KEYS / ranges);
        boundaries.extend(cuts.map(|cut| match cut {
            0 => format!("{table}:"),
            cut => format!("{table}:{cut:012}"),
        }));
    }
    boundaries.extend(ARCHIVE_YEARS.map(|year| format!("archive:{year}")));
    boundaries.sort_unstable();
    // The first range is unbounded to the left and holds the first table's beginning.
    boundaries.remove(0);
    boundaries
}

#[cfg(test)]
#[path = "keyspace_test.rs"]
mod keyspace_test;
