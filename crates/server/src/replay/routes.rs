//! The routes that the accesses are counted in.
//!
//! Responsible for: boundaries from the keys' quantiles or from a file, the ranges between them,
//! and the route of a key.
//! A routes file holds one boundary a line, ascending: as text (UTF-8), or, with `0x` in front, as
//! hexadecimal bytes (a text that starts with `0x` is written in hexadecimal). N boundaries make
//! N + 1 routes. Blank lines are skipped.
//! Invariant: the routes tile all keys, from -inf to +inf, in order; route `i + 1` is the range at
//! index `i`.
//! Must not: know accesses or the wire.
//! Proved by: `routes_test.rs`.

use std::path::Path;

use keyviz_lineage::{KeyRange, KeyRangeError, RouteId, RouteSpec};

use super::error::ReplayError;
use super::input::MAX_KEY_BYTES;

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;

/// The most routes of a replay.
pub(super) const MAX_ROUTES: usize = 10_000;

/// Ranges that tile all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Routes {
    ranges: Vec<KeyRange>,
}

impl Routes {
    /// The ranges between `boundaries`, which are ascending and not empty.
    pub(super) fn between(boundaries: &[Vec<u8>]) -> Result<Routes, KeyRangeError> {
        let starts = std::iter::once(&[][..]).chain(boundaries.iter().map(Vec::as_slice));
        let ends = boundaries.iter().map(Vec::as_slice).chain(std::iter::once(&[][..]));
        let ranges = starts.zip(ends).map(|(start, end)| KeyRange::new(start, end));
        Ok(Routes { ranges: ranges.collect::<Result<_, _>>()? })
    }

    /// The routes of a file, as described in the module's header.
    pub(super) fn from_file(path: &Path) -> Result<Routes, ReplayError> {
        let text = std::fs::read(path)
            .map_err(|source| ReplayError::RoutesFile { path: path.to_owned(), source })?;
        Routes::parse(&text).map_err(|(line, reason)| ReplayError::RoutesLine {
            path: path.to_owned(),
            line,
            reason,
        })
    }

    fn parse(text: &[u8]) -> Result<Routes, (usize, String)> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut boundaries: Vec<Vec<u8>> = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let fail = |reason: String| (index + 1, reason);
            if line.is_empty() {
                continue;
            }
            let boundary = parse_boundary(line).map_err(fail)?;
            if boundaries.last().is_some_and(|last| *last >= boundary) {
                return Err(fail("it is not behind the boundary before it; sort them by their bytes, without duplicates".to_owned()));
            }
            boundaries.push(boundary);
            if boundaries.len() >= MAX_ROUTES {
                return Err(fail(format!("this makes more than {MAX_ROUTES} routes")));
            }
        }
        Routes::between(&boundaries).map_err(|error| (0, error.to_string()))
    }

    /// The ranges in key order.
    pub(super) fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The index of the range that holds `key`.
    pub(super) fn index_of(&self, key: &[u8]) -> usize {
        self.ranges.partition_point(|range| range.start() <= key) - 1 // invariant: the first range starts at -inf
    }

    /// The index of exactly this range.
    pub(super) fn index_of_range(&self, start: &[u8], end: &[u8]) -> Option<usize> {
        let index = self.ranges.binary_search_by(|range| range.start().cmp(start)).ok()?;
        (self.ranges[index].end() == end).then_some(index)
    }

    /// As a transition creates them.
    pub(super) fn specs(&self) -> Vec<RouteSpec> {
        let spec = |(index, range): (usize, &KeyRange)| RouteSpec {
            route: route_id(index),
            range: range.clone(),
        };
        self.ranges.iter().enumerate().map(spec).collect()
    }
}

/// The number of the route at `index`.
pub(super) fn route_id(index: usize) -> RouteId {
    index as u64 + 1
}

fn parse_boundary(line: &[u8]) -> Result<Vec<u8>, String> {
    let boundary = match line.strip_prefix(b"0x") {
        Some(digits) => hex::decode(digits).map_err(|error| {
            format!("`0x` announces hexadecimal bytes, but: {error}; write a text that starts with 0x in hexadecimal")
        })?,
        None => match std::str::from_utf8(line) {
            Ok(text) => text.as_bytes().to_vec(),
            Err(_) => return Err("it is not UTF-8; write it in hexadecimal, 0x in front".to_owned()),
        },
    };
    match boundary.len() {
        0 => Err("an empty key is no boundary: the first route begins there anyway".to_owned()),
        bytes if bytes > MAX_KEY_BYTES => {
            Err(format!("it has {bytes} bytes, more than the {MAX_KEY_BYTES} allowed"))
        }
        _ => Ok(boundary),
    }
}
