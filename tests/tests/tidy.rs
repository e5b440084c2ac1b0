//! Property: the sources keep the house style: headers, lengths, no leftovers, no panics outside
//! tests, the layers and what each of them may name, numbered decisions, no machine's paths.
//!
//! Every rule lists all of its violations.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::fs;
use std::path::{Path, PathBuf};

/// Who may depend on whom (`docs/ARCHITECTURE.md`, the arrows). Dependencies of tests are free.
const LAYERS: [(&str, &[&str]); 11] = [
    ("lineage", &[]),
    ("wal", &[]),
    ("observers", &[]),
    ("codec", &["lineage"]),
    ("sampler", &["lineage"]),
    ("store", &["codec", "lineage", "migrations"]),
    ("query", &["codec", "lineage", "store"]),
    ("replica", &["codec", "lineage", "store", "wal"]),
    ("api", &["lineage"]),
    ("host", &["api", "lineage", "observers", "sampler"]),
    ("server", &["api", "codec", "lineage", "query", "replica", "sampler", "store", "wal"]),
];

/// Libraries that only some crates may name, in code or as a dependency.
const NAMES: [(&[&str], &[&str]); 3] = [
    // The host keeps its users' data in a database of its own.
    (&["rocksdb"], &["store", "host"]),
    (&["prost", "protox", "protobuf", "tonic"], &["api", "server"]),
    (&["openraft", "raft"], &["replica"]),
];

const MAX_LINES: usize = 500;
/// Where code is that ships, or that guards what ships.
const CODE: [&str; 4] = ["crates", "benches", "migrations", "fuzz"];
const SKIPPED_FOLDERS: [&str; 6] =
    [".git", "target", "bin", "node_modules", "keyviz-data", "artifacts"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A text file of the repository.
struct Source {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("_test.rs") || self.path.split('/').any(|part| part == "tests")
    }

    /// Its lines with their numbers, without comments and without a `mod` of tests at its end.
    fn code(&self) -> Vec<(usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0].trim() == "#[cfg(test)]"
                && pair[1].trim().starts_with("mod ")
                && pair[1].ends_with('{')
        });
        let code = &lines[..tests.unwrap_or(lines.len())];
        code.iter().enumerate().map(|(at, line)| (at + 1, without_comment(line))).collect()
    }

    /// The crate that it belongs to.
    fn package(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// A comment begins with two slashes; those of a URL do not.
fn without_comment(line: &str) -> &str {
    let starts = line.match_indices("//").map(|(at, _)| at);
    let comment = starts.into_iter().find(|&at| !line[..at].ends_with(':'));
    comment.map_or(line, |at| &line[..at])
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Every text file below `folder`.
fn sources(folder: &str) -> Vec<Source> {
    let (root, mut found, mut open) = (root(), Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !SKIPPED_FOLDERS.contains(&name) {
                    open.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "nothing was looked at in {folder}");
    found
}

#[track_caller]
fn none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

#[test]
fn every_module_has_a_header() {
    let sources = ["crates", "fuzz"].into_iter().flat_map(sources);
    let bare = sources
        .filter(Source::is_rust)
        .filter(|source| !source.path.ends_with("_test.rs") && !source.text.starts_with("//!"));
    let bare: Vec<String> = bare.map(|source| source.path).collect();
    none(
        "a module begins with `//!`: what it is for, owns, keeps, must not do, and its proof",
        &bare,
    );
}

#[test]
fn no_file_is_too_long() {
    let mut long = Vec::new();
    for source in CODE.into_iter().flat_map(sources) {
        let is_code = [".rs", ".js", ".mjs", ".ts", ".svelte", ".css", ".html", ".proto"]
            .iter()
            .any(|end| source.path.ends_with(end));
        let lines = source.text.lines().count();
        if is_code && !source.is_test() && lines > MAX_LINES {
            long.push(format!("{}: {lines} lines", source.path));
        }
    }
    none("a file has at most 500 lines", &long);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut found = Vec::new();
    for source in CODE.into_iter().flat_map(sources).filter(Source::is_rust) {
        for (number, line) in source.code() {
            for leftover in ["todo!", "unimplemented!", "dbg!"] {
                if line.contains(leftover) {
                    found.push(format!("{}:{number}: {leftover}", source.path));
                }
            }
        }
    }
    none("nothing is left unfinished", &found);
}

#[test]
fn only_invariants_panic_outside_tests() {
    let mut found = Vec::new();
    for source in
        sources("crates").into_iter().filter(|source| source.is_rust() && !source.is_test())
    {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code() {
            let panics =
                [".unwrap()", ".expect(", "panic!("].iter().any(|call| line.contains(call));
            let is_reasoned = lines[number - 1].contains("// invariant:") || {
                // The message may stand on the next line.
                let rest = line.split_once(".expect(").map(|(_, rest)| rest.trim());
                let message = rest.map(|rest| {
                    if rest.is_empty() { lines.get(number).copied().unwrap_or("") } else { rest }
                });
                message.is_some_and(|message| message.trim_start().starts_with("\"invariant:"))
            };
            if panics && !is_reasoned {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none("outside tests, what can panic says `// invariant:` and why it cannot", &found);
}

#[test]
fn time_and_randomness_come_from_one_module() {
    let mut found = Vec::new();
    for source in
        sources("crates").into_iter().filter(|source| source.is_rust() && !source.is_test())
    {
        if source.path == "crates/api/src/ambient.rs" {
            continue;
        }
        for (number, line) in source.code() {
            for call in [
                "SystemTime::now",
                "Instant::now",
                "Uuid::new_v4",
                "Uuid::now_v7",
                "rand::random",
                "rand::rng",
            ] {
                // tokio's clock only paces waiting, and tests can pause it.
                let is_tokios = call == "Instant::now" && source.text.contains("use tokio::time");
                if line.contains(call) && !is_tokios {
                    found.push(format!("{}:{number}: {call}", source.path));
                }
            }
        }
    }
    none("only crates/api/src/ambient.rs asks the machine for time or randomness", &found);
}

/// The names in `[dependencies]` and `[build-dependencies]` of a manifest.
fn dependencies(package: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("crates").join(package).join("Cargo.toml")).unwrap();
    let mut names = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            is_inside = ["[dependencies]", "[build-dependencies]"].contains(&line.trim());
        } else if is_inside && !line.starts_with('#') {
            names.extend(
                line.split(['.', ' ', '='])
                    .next()
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned),
            );
        }
    }
    names
}

#[test]
fn layers_depend_downwards_only() {
    let mut found = Vec::new();
    let mut packages: Vec<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    packages.sort();
    for package in &packages {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == package) else {
            found.push(format!("crates/{package} has no place in the layers; give it one here and in ARCHITECTURE.md"));
            continue;
        };
        for name in dependencies(package) {
            if let Some(other) =
                name.strip_prefix("keyviz-").filter(|other| !allowed.contains(other))
            {
                found.push(format!("{package} must not depend on {other}"));
            }
        }
    }
    for (name, _) in LAYERS {
        if !packages.iter().any(|package| package == name) {
            found.push(format!("crates/{name} is gone; take it out of the layers"));
        }
    }
    none("layers depend downwards only", &found);
}

#[test]
fn libraries_are_named_only_where_they_belong() {
    let is_of = |word: &str, library: &str| {
        word == library
            || word.strip_prefix(library).is_some_and(|rest| rest.starts_with(['_', '-']))
    };
    let mut found = Vec::new();
    for (libraries, allowed) in NAMES {
        for (package, _) in LAYERS.iter().filter(|(package, _)| !allowed.contains(package)) {
            for name in dependencies(package) {
                if libraries.iter().any(|library| is_of(&name, library)) {
                    found.push(format!("crates/{package}/Cargo.toml: {name}"));
                }
            }
        }
        for source in
            sources("crates").into_iter().filter(|source| source.is_rust() && !source.is_test())
        {
            if allowed.contains(&source.package().unwrap()) {
                continue;
            }
            for (number, line) in source.code() {
                // A path of a URL is no library.
                let code = line.replace("/raft/groups", "");
                if words(&code).any(|word| libraries.contains(&word)) {
                    found.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    none("a library is named only by the layer that hides it", &found);
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let names = fs::read_dir(root().join("docs/decisions")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let title =
            name.strip_prefix(&format!("{:04}-", at + 1)).and_then(|rest| rest.strip_suffix(".md"));
        let is_title = |title: &str| {
            title.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if !title.is_some_and(is_title) {
            found.push(format!("{name} (number {} is due)", at + 1));
        }
    }
    none("a decision is called NNNN-some-title.md, numbered from 0001", &found);
}

#[test]
fn no_machine_is_in_the_sources() {
    // Put together here, so that this file does not name them.
    let everywhere = [concat!("/wo", "rk/"), concat!("/ro", "ot/.")];
    let temporary = concat!("/tm", "p/");
    let mut found = Vec::new();
    for source in sources("") {
        let may_be_temporary = source.is_test() || source.path.starts_with("scripts/");
        for (at, line) in source.text.lines().enumerate() {
            let is_named = everywhere.iter().any(|path| line.contains(path));
            if is_named || (!may_be_temporary && line.contains(temporary)) {
                let shown: String = line.trim().chars().take(120).collect();
                found.push(format!("{}:{}: {shown}", source.path, at + 1));
            }
        }
    }
    none("no path of somebody's machine", &found);
}
