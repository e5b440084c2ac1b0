//! Commands over many keys and over the ranges. None of them is observed.
//!
//! Responsible for: SCAN, KEYS, DBSIZE, FLUSHALL, FLUSHDB, INFO, RANGES, SPLIT, MERGE, MOVE.
//!
//! | command | answer |
//! |---|---|
//! | `RANGES` | an array of `[route, start, end, group, reads, writes]` in key order; empty start and end are unbounded; reads and writes since the range opened or the host started |
//! | `SPLIT key` | the two new routes, left first; the range that held `key` is closed |
//! | `MERGE key` | the new route, which covers the range that held `key` and its right neighbour |
//! | `MOVE key group` | the new route of the range that held `key`, in `group` |
//! Proof: `commands_test.rs`, `dispatch_test.rs`.

use bytes::Bytes;

use crate::command::Command;
use crate::dispatch::Dispatcher;
use crate::error::{CommandError, HostError};
use crate::glob;
use crate::info;
use crate::kv::Walk;
use crate::parse::integer;
use crate::ranges::RangeInfo;
use crate::reply::Reply;

type Answer = Result<Reply, CommandError>;

/// The most keys that KEYS answers with.
const MAX_KEYS: usize = 100_000;
/// The most keys that one SCAN looks at.
const MAX_SCAN_COUNT: usize = 100_000;

/// Answers a command whose number of words is right.
pub(crate) fn run(host: &Dispatcher, command: Command, words: &[Bytes]) -> Answer {
    match command {
        Command::Scan => scan(host, words),
        Command::Keys => keys(host, &words[1]),
        Command::DbSize => Ok(Reply::Int(host.kv.count()? as i64)),
        Command::FlushAll | Command::FlushDb => flush(host, words),
        Command::Info => Ok(Reply::Text(info::text(host, &words[1..]))),
        Command::Split => new_routes("SPLIT", host.ranges.split(&words[1])).map(Reply::Array),
        Command::Merge => survivor("MERGE", host.ranges.merge(&words[1])),
        Command::Move => {
            let group = u64::try_from(integer(&words[2])?);
            let group = group.map_err(|_| CommandError::NotAnInteger)?;
            survivor("MOVE", host.ranges.relocate(&words[1], group))
        }
        _ => Ok(Reply::Array(host.ranges.list().iter().map(range).collect())),
    }
}

fn new_routes(
    command: &'static str,
    changed: Result<Vec<u64>, HostError>,
) -> Result<Vec<Reply>, CommandError> {
    match changed {
        Ok(routes) => Ok(routes.into_iter().map(|route| Reply::Int(route as i64)).collect()),
        Err(HostError::Catalogue(source)) => Err(CommandError::Catalogue { command, source }),
        Err(error) => Err(error.into()),
    }
}

fn survivor(command: &'static str, changed: Result<Vec<u64>, HostError>) -> Answer {
    Ok(new_routes(command, changed)?.pop().unwrap_or(Reply::Null))
}

fn range(info: &RangeInfo) -> Reply {
    Reply::Array(vec![
        Reply::Int(info.route as i64),
        Reply::bulk(info.keys.start().to_vec()),
        Reply::bulk(info.keys.end().to_vec()),
        Reply::Int(info.group as i64),
        Reply::Int(info.reads as i64),
        Reply::Int(info.writes as i64),
    ])
}

fn flush(host: &Dispatcher, words: &[Bytes]) -> Answer {
    match words {
        [_] => {}
        [_, mode] if mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async") => {}
        _ => return Err(CommandError::Syntax),
    }
    host.ranges.exclusively(|| host.kv.clear())?;
    Ok(Reply::OK)
}

fn keys(host: &Dispatcher, pattern: &[u8]) -> Answer {
    let mut found = Vec::new();
    host.kv.scan(None, |key| {
        if glob::matches(pattern, key) {
            found.push(Reply::bulk(key.to_vec()));
        }
        if found.len() > MAX_KEYS { Walk::Stop } else { Walk::On }
    })?;
    if found.len() > MAX_KEYS {
        return Err(CommandError::TooManyKeys { limit: MAX_KEYS });
    }
    Ok(Reply::Array(found))
}

struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    is_nothing: bool,
}

fn scan_options(words: &[Bytes]) -> Result<ScanOptions<'_>, CommandError> {
    let mut options = ScanOptions { pattern: None, count: 10, is_nothing: false };
    for pair in words.chunks(2) {
        let [name, argument] = pair else { return Err(CommandError::Syntax) };
        match name.to_ascii_uppercase().as_slice() {
            b"MATCH" => options.pattern = Some(argument),
            b"COUNT" => {
                let count = integer(argument)?;
                let count = usize::try_from(count).ok().filter(|&count| count > 0);
                options.count = count.ok_or(CommandError::Syntax)?.min(MAX_SCAN_COUNT);
            }
            // Every value is a string.
            b"TYPE" => options.is_nothing = !argument.eq_ignore_ascii_case(b"string"),
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(options)
}

fn scan(host: &Dispatcher, words: &[Bytes]) -> Answer {
    let cursor = std::str::from_utf8(&words[1]).ok().and_then(|text| text.parse().ok());
    let cursor: u64 = cursor.ok_or(CommandError::Cursor)?;
    let options = scan_options(&words[2..])?;
    let after = match cursor {
        0 => None,
        _ => Some(host.cursors.get(cursor).ok_or(CommandError::Cursor)?),
    };
    let (mut looked_at, mut found) = (0, Vec::new());
    let stopped_at = host.kv.scan(after.as_deref(), |key| {
        looked_at += 1;
        if !options.is_nothing && options.pattern.is_none_or(|p| glob::matches(p, key)) {
            found.push(Reply::bulk(key.to_vec()));
        }
        if looked_at >= options.count { Walk::Stop } else { Walk::On }
    })?;
    let next = stopped_at.map_or(0, |key| host.cursors.issue(key));
    Ok(Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)]))
}
