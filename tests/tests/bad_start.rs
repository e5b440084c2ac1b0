//! Property: a start that cannot succeed ends with one line that names the thing, a non-zero exit
//! code and no panic, and changes nothing.
//!
//! A folder of a newer schema is covered in `crates/store`.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyviz_tests::columns::Poster;
use keyviz_tests::process::{NodeSpec, failing};
use keyviz_tests::{now_ms, skipped};
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// Fails to start, with one line that holds all of `names`.
#[track_caller]
fn refuses(command: Command, names: &[&str]) -> String {
    let text = names_all(command, names);
    // What it logged before is not counted.
    let mut lines = text.lines().skip_while(|line| !line.starts_with("keyviz: "));
    let line = lines.next().unwrap();
    assert_eq!(lines.next(), None, "more than one line: {text}");
    line.to_owned()
}

/// Fails to start, and says why with all of `names`.
#[track_caller]
fn names_all(command: Command, names: &[&str]) -> String {
    let (code, text) = failing(command);
    assert_eq!(code, Some(1), "{text}");
    assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
    let from = text.lines().position(|line| line.starts_with("keyviz: "));
    let from = from.unwrap_or_else(|| panic!("no line begins with `keyviz: `: {text:?}"));
    let said = text.lines().skip(from).collect::<Vec<_>>().join("\n");
    for name in names {
        assert!(said.contains(name), "{name:?} is not named: {said}");
    }
    text
}

/// A folder that a node has used and left in order.
fn used() -> (TempDir, NodeSpec, Poster) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let node = spec.start();
    let mut poster = Poster::new("poster", now_ms() / 1_000 * 1_000 - 60_000);
    poster.post_next(&node.http, 4);
    assert!(node.process.stop(Signal::SIGTERM).success());
    (folder, spec, poster)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_foreign_folder_is_named_with_what_lies_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    std::fs::create_dir(&spec.data_dir).unwrap();
    let notes = spec.data_dir.join("notes.txt");
    std::fs::write(&notes, "mine").unwrap();
    refuses(spec.command(), &[path(&spec.data_dir), "notes.txt"]);
    let names: Vec<_> =
        std::fs::read_dir(&spec.data_dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["notes.txt"], "nothing was added");
    assert_eq!(std::fs::read(notes).unwrap(), b"mine");
}

#[test]
fn a_damaged_store_is_named_and_left_alone() {
    let (_keep, spec, poster) = used();
    let db = spec.data_dir.join("db");
    for name in ["CURRENT", "MANIFEST"] {
        // Each start begins a new manifest.
        let files = std::fs::read_dir(&db).unwrap().map(|entry| entry.unwrap().path());
        let file: PathBuf = files.into_iter().find(|file| path(file).contains(name)).unwrap();
        let held = std::fs::read(&file).unwrap();
        for garbage in [&b"garbage\n"[..], b"", &[0xa5; 4_096]] {
            std::fs::write(&file, garbage).unwrap();
            refuses(spec.command(), &[path(&db)]);
            assert_eq!(
                std::fs::read(&file).unwrap(),
                garbage,
                "nothing was repaired behind the back"
            );
        }
        std::fs::write(&file, held).unwrap();
        let node = spec.start();
        assert_eq!(poster.differences(&node.http), None);
        assert!(node.process.stop(Signal::SIGKILL).code().is_none());
    }
}

#[test]
fn nothing_that_the_wal_holds_stops_a_start() {
    let (_keep, spec, mut poster) = used();
    let wal = spec.data_dir.join("wal");
    let garbage: [(&str, Vec<u8>); 5] = [
        ("wal-0-1.log", b"garbage".to_vec()),
        ("wal-495000-99.log", vec![0; 100_000]),
        ("wal-495000-18446744073709551615.log", vec![0xff; 5_000_000]),
        ("wal-not-a-name.log", Vec::new()),
        ("something-else", b"mine".to_vec()),
    ];
    for (name, bytes) in garbage {
        std::fs::write(wal.join(name), bytes).unwrap();
    }
    std::fs::create_dir(wal.join("wal-495000-7.log")).unwrap();
    for round in 0..3 {
        let node = spec.start();
        assert_eq!(poster.differences(&node.http), None, "start {round}");
        poster.post_next(&node.http, 4);
        node.process.kill();
    }
    assert_eq!(
        std::fs::read(wal.join("something-else")).unwrap(),
        b"mine",
        "not ours, not touched"
    );
    spec.assert_no_panic();
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let spec = NodeSpec::new(folder.path());
    for flag in ["--grpc", "--http"] {
        let mut spec = spec.clone();
        match flag {
            "--grpc" => spec.grpc.clone_from(&address),
            _ => spec.http.clone_from(&address),
        }
        let line = refuses(spec.command(), &[flag, &address]);
        assert!(line.contains("port"), "{line}");
    }
    spec.start();
}

#[test]
fn an_unusable_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = NodeSpec::new(folder.path());
    std::fs::write(&spec.data_dir, "a file in the place of the folder").unwrap();
    refuses(spec.command(), &[path(&spec.data_dir)]);

    let file = spec.data_dir.clone();
    spec.data_dir = file.join("below");
    refuses(spec.command(), &[path(&spec.data_dir)]);

    // Even root makes no folders there.
    spec.data_dir = PathBuf::from("/sys/keyviz-test");
    refuses(spec.command(), &[path(&spec.data_dir)]);

    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    spec.data_dir = closed.join("node");
    if std::fs::create_dir(closed.join("probe")).is_ok() {
        return skipped("root may write into a read-only folder; it is tried as another user only");
    }
    refuses(spec.command(), &[path(&spec.data_dir)]);
}

#[test]
fn a_config_file_that_is_wrong_is_named_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let file = folder.path().join("keyviz.toml");
    let with_file = || spec.clone().with(&format!("--config={}", path(&file))).command();
    names_all(with_file(), &[path(&file)]);
    let wrong: [(&str, &str); 6] = [
        ("retension = \"7d\"\n", "retension"),
        ("retention = \"7d\"\n\n[serve]\nstep = \"1s\"\n", "serve"),
        ("retention = 7\n", "retention"),
        ("wal_sync = \"sometimes\"\n", "sometimes"),
        ("retention = \"7d\n", path(&file)),
        ("retention = \"7d\"\nretention = \"8d\"\n", "retention"),
    ];
    for (text, name) in wrong {
        std::fs::write(&file, text).unwrap();
        names_all(with_file(), &[path(&file), name]);
    }
    std::fs::write(&file, "retention = \"5 parsecs\"\n").unwrap();
    names_all(with_file(), &["retention", "5 parsecs"]);
    assert!(!spec.data_dir.exists(), "nothing was made");
}

#[test]
fn an_error_in_the_config_file_takes_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyviz.toml");
    let spec = NodeSpec::new(folder.path()).with(&format!("--config={}", path(&file)));
    std::fs::write(&file, "retention = \"7d\"\nretension = \"7d\"\n").unwrap();
    refuses(spec.command(), &[path(&file), "line 2", "retension"]);
}

#[test]
fn a_wrong_value_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    let wrong = [
        ("--step", "7s"),
        ("--step", "30min"),
        ("--step", "soon"),
        ("--step", "0s"),
        ("--step", "1500us"),
        ("--persist-interval", "10ms"),
        ("--persist-interval", "2h"),
        ("--retention", "59min"),
        ("--retention", "99999999999999999999d"),
        ("--wal-max-bytes", "1MiB"),
        ("--wal-max-bytes", "much"),
        ("--max-message-bytes", "1B"),
        ("--max-message-bytes", "1GiB"),
    ];
    for (flag, value) in wrong {
        refuses(spec.clone().with(&format!("{flag}={value}")).command(), &[flag]);
    }
    for value in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "0.0.0.0:0", "[::]:0"] {
        let mut spec = spec.clone();
        spec.http = value.to_owned();
        refuses(spec.command(), &["--http", value]);
    }
    // From the environment.
    let mut command = spec.command();
    command.env("KEYVIZ_RETENTION", "soon");
    refuses(command, &["retention", "soon"]);
    assert!(!spec.data_dir.exists(), "nothing was made");
}

/// The parser's own messages: the line that says what is wrong comes first, usage follows.
#[test]
fn flags_that_do_not_exist_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path());
    for flag in ["--nonsense", "--wal-sync=sometimes", "--log=loud", "surplus"] {
        let (code, text) = failing(spec.clone().with(flag).command());
        assert_eq!(code, Some(2), "{text}");
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("error: "), "{text}");
        assert!(first.contains(flag.split('=').next_back().unwrap()), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    assert!(!spec.data_dir.exists(), "nothing was made");
}
