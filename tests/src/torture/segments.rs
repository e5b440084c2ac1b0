//! Files of a stopped node that are not as it left them.
//!
//! What is hit may be lost: then the log or the answer says so, and it is counted as excused. What is
//! not hit may not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::rig::{Rig, Source};
use super::{Size, Tally};
use crate::healthy::{COLUMNS, Fate as Judgement, Healthy, flip as flip_bit};
use crate::process::{Node, command};
use crate::rng::Rng;
use crate::strace::{self, Fate, Injection};

/// Copies a stopped folder, spoils the copy, starts a node on it. Returns what is gone, and the node.
fn spoiled(
    whole: &mut Rig,
    what: &str,
    spoil: impl FnOnce(&Rig),
) -> (Rig, Node, BTreeSet<(usize, u64)>) {
    let mut copy = whole.copied();
    spoil(&copy);
    let node = copy.spec.start();
    let gone = copy.gone(&node, what);
    copy.spec.assert_no_panic();
    whole.tally.strikes += 1;
    whole.tally.excused += gone.len() as u64;
    whole.tally.different += copy.tally.different;
    (copy, node, gone)
}

fn set_length(path: &Path, bytes: u64) {
    File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

fn length(path: &PathBuf) -> u64 {
    fs::metadata(path).unwrap().len()
}

pub(super) fn torn(rng: &mut Rng, size: Size) -> Tally {
    let mut rig = Rig::new(rng, 1, 1, &["--persist-interval=1h"]);
    let node = rig.spec.start();
    rig.post(&node, 5);
    let last = rig.segments().pop().unwrap();
    let before = length(&last);
    let last_window = rig.sources[0].poster.window_ms;
    rig.post(&node, 1);
    let whole = length(&last);
    node.process.kill();
    let name = last.file_name().unwrap().to_owned();
    // Every offset: `crates/wal/src/damage_test.rs`.
    for _ in 0..if size == Size::Short { 4 } else { 24 } {
        let offset = rng.between(before, whole);
        let what = format!("cut at {offset} of {before}..{whole}");
        let (_copy, _node, gone) = spoiled(&mut rig, &what, |copy| {
            set_length(&copy.spec.data_dir.join("wal").join(&name), offset);
        });
        assert_eq!(gone, BTreeSet::from([(0, last_window)]), "{what}");
    }
    rig.finish()
}

pub(super) fn flip(rng: &mut Rng, size: Size) -> Tally {
    let mut rig = Rig::new(rng, 1, 2, &["--persist-interval=1h"]);
    let node = rig.spec.start();
    rig.post(&node, 8);
    node.process.kill();
    let last = rig.segments().pop().unwrap();
    let name = last.file_name().unwrap().to_owned();
    for _ in 0..if size == Size::Short { 4 } else { 24 } {
        let (at, bit) = (rng.below(length(&last)), rng.below(8) as u32);
        let what = format!("bit {bit} of byte {at} of {}", length(&last));
        let (copy, _node, gone) = spoiled(&mut rig, &what, |copy| {
            flip_bit(&copy.spec.data_dir.join("wal").join(&name), at as usize, bit);
        });
        assert!(gone.len() <= 1, "{what}: more than a record is gone: {gone:?}");
        let text = copy.spec.log_text();
        let is_said = ["damaged", "torn"].iter().any(|word| text.contains(word));
        assert!(gone.is_empty() || is_said, "{what}: nothing is said");
    }
    rig.finish()
}

const SPOILS: [&str; 8] =
    ["cut", "emptied", "zeroed", "renamed", "doubled", "foreign", "a folder", "another file"];

fn spoil_one(copy: &Rig, victim: &Path, how: &str, rng: &mut Rng) {
    let wal = copy.spec.data_dir.join("wal");
    let name = victim.file_name().unwrap().to_str().unwrap();
    let victim = wal.join(name);
    // wal-<hour>-<id>.log
    let (head, id) = name.trim_end_matches(".log").rsplit_once('-').unwrap();
    let other_id = id.parse::<u64>().unwrap() + rng.between(1, 4) * 1_000_003;
    let other = wal.join(format!("{head}-{other_id:020}.log"));
    let bytes = length(&victim);
    match how {
        "cut" => set_length(&victim, rng.below(bytes)),
        "emptied" => set_length(&victim, 0),
        "zeroed" => fs::write(&victim, vec![0; bytes as usize]).unwrap(),
        "renamed" => fs::rename(&victim, other).unwrap(),
        "doubled" => drop(fs::copy(&victim, other).unwrap()),
        "foreign" => fs::write(wal.join("notes.txt"), "not a segment").unwrap(),
        "a folder" => {
            fs::remove_file(&victim).unwrap();
            fs::create_dir(&victim).unwrap();
        }
        _ => {
            let noise: Vec<u8> = (0..bytes).map(|_| rng.next_u64() as u8).collect();
            fs::write(&victim, noise).unwrap();
        }
    }
}

pub(super) fn spoil(rng: &mut Rng, size: Size) -> Tally {
    let mut rig = several_segments(rng);
    let segments = rig.segments();
    let total: u64 = segments.iter().map(length).sum();
    for _ in 0..if size == Size::Short { 3 } else { 5 } {
        let how = SPOILS[rng.below(SPOILS.len() as u64) as usize];
        let victim = &segments[rng.below(segments.len() as u64) as usize];
        let what = format!("{} {how}", victim.display());
        let (mut copy, node, gone) =
            spoiled(&mut rig, &what, |copy| spoil_one(copy, victim, how, rng));
        // A segment holds about its share.
        let share = copy.acknowledged() * length(victim) / total;
        let most = if ["doubled", "foreign"].contains(&how) { 0 } else { share * 13 / 10 + 3 };
        assert!(gone.len() as u64 <= most, "{what}: {} gone, at most {most}", gone.len());
        let name = victim.file_name().unwrap().to_str().unwrap();
        let said = if how == "foreign" { "notes.txt" } else { &name[..12] };
        let text = copy.spec.log_text();
        let is_said = text.lines().any(|line| line.contains("WARN") && line.contains(said));
        assert!(gone.is_empty() && how == "cut" || is_said, "{what}: nothing is said\n{text}");
        // It goes on, and nothing more is lost by that.
        copy.sources.iter_mut().for_each(|source| source.poster.boot_again());
        copy.load(&node, 150);
        node.process.kill();
        let node = copy.spec.start();
        copy.settle(&node);
        assert_eq!(copy.gone(&node, &what), gone, "{what}: after a further kill");
        rig.tally.different += copy.tally.different;
        copy.spec.assert_no_panic();
    }
    rig.finish()
}

/// A killed node whose log has at least three segments, and nothing persisted.
fn several_segments(rng: &mut Rng) -> Rig {
    let flags = ["--persist-interval=1h", "--wal-max-bytes=16MiB", "--wal-sync=os"];
    let mut rig = Rig::new(rng, 2, 8, &flags);
    rig.sources.iter_mut().for_each(|source| source.poster.padding = 2_048);
    let node = rig.spec.start();
    while rig.segments().len() < 4 {
        rig.post(&node, 10);
    }
    assert_eq!(node.metric("keyviz_persist_batches_total"), 0, "the log is under no pressure");
    node.process.kill();
    rig
}

pub(super) fn unreadable(rng: &mut Rng, _size: Size) -> Tally {
    if !strace::is_there() {
        return Tally::skip("strace may not trace");
    }
    let mut rig = several_segments(rng);
    let segments = rig.segments();
    let victim = &segments[rng.below(segments.len() as u64) as usize];
    let reads = ["pread64", "read", "preadv"];
    let failing = Injection::always(&reads, Fate::Error("EIO")).on(&[victim]);
    rig.spec.under = failing.from_the_start();
    let node = rig.spec.start();
    rig.spec.under.clear();
    rig.tally.strikes += 1;
    let gone = rig.gone(&node, "while a segment cannot be read").len();
    assert!(gone > 0, "the fault struck");
    let name = victim.file_name().unwrap().to_str().unwrap();
    assert!(rig.spec.log_text().contains(name), "{}", rig.spec.log_text());
    node.process.kill();
    let node = rig.spec.start();
    rig.compare(&node, "once it can be read again");
    super::kills::kill_and_compare(&mut rig, node);
    rig.finish()
}

pub(super) fn flip_in_store(rng: &mut Rng, size: Size) -> Tally {
    let (healthy, mut tally) = (Healthy::make(), Tally::default());
    tally.acknowledged = 2 * COLUMNS;
    for _ in 0..if size == Size::Short { 3 } else { 8 } {
        let part = [".sst", ".sst", ".log", "MANIFEST"][rng.below(4) as usize];
        let files = healthy.files(part);
        let file = &files[rng.below(files.len() as u64) as usize];
        let bytes = length(&healthy.data_dir.join(file));
        let (at, bit) = (rng.below(bytes), rng.below(8) as u32);
        let what = format!("{} byte {at} of {bytes}, bit {bit}", file.display());
        let (_keep, spec) = healthy.copy();
        flip_bit(&spec.data_dir.join(file), at as usize, bit);
        tally.strikes += 1;
        match healthy.judge(&spec, &what) {
            // Cells, not columns.
            Judgement::Serves { lost } => tally.excused += lost,
            Judgement::Refused(line) => eprintln!("{what}: {line}"),
        }
    }
    tally
}

fn keyviz(words: &[&str], paths: &[(&str, &PathBuf)]) {
    let mut command = command("keyviz");
    command.args(words);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn older_backup(rng: &mut Rng, _size: Size) -> Tally {
    let mut rig = Rig::new(rng, 3, 8, &["--persist-interval=1s"]);
    let node = rig.spec.start();
    rig.load(&node, rng.between(300, 1_500));
    rig.settle(&node);
    node.process.kill();
    let backups = rig.folder.path().join("backups");
    keyviz(&["backup"], &[("--data-dir", &rig.spec.data_dir), ("--to", &backups)]);
    let backed_up: Vec<u64> = rig.sources.iter().map(|source| source.poster.window_ms).collect();
    let node = rig.spec.start();
    rig.load(&node, rng.between(200, 800));
    rig.settle(&node);
    node.process.kill();

    let restored = rig.folder.path().join("restored").join("node");
    fs::create_dir_all(restored.parent().unwrap()).unwrap();
    keyviz(&["restore"], &[("--from", &backups), ("--data-dir", &restored)]);
    rig.spec.data_dir = restored;
    rig.tally.strikes += 1;
    let node = rig.spec.start();
    let gone = rig.gone(&node, "from the backup");
    let is_later = |&(source, window): &(usize, u64)| window >= backed_up[source];
    assert!(gone.iter().all(is_later), "what was backed up is there");
    let acknowledged_later =
        |source: &Source, since: u64| (source.poster.window_ms - since) / 1_000;
    let later = rig.sources.iter().zip(&backed_up);
    let later: u64 = later.map(|(source, since)| acknowledged_later(source, *since)).sum();
    assert_eq!(gone.len() as u64, later, "what came later is not");
    rig.tally.excused += later;
    // A source that goes on is told that it is ahead; under a new boot id it is taken.
    for source in &mut rig.sources {
        assert!(!source.post(&node.http));
        assert!(source.refusal.contains("send in order"), "{}", source.refusal);
        source.in_flight = false;
    }
    rig.sources.iter_mut().for_each(|source| source.poster.boot_again());
    rig.post(&node, 20);
    assert_eq!(rig.gone(&node, "with a new boot"), gone);
    node.process.kill();
    let node = rig.spec.start();
    assert_eq!(rig.gone(&node, "with a new boot, after a kill"), gone);
    drop(node);
    rig.finish()
}
