//! Property: each fault of `docs/reliability.md`, put to real processes in a short round, keeps its
//! promise; `make torture` puts them again and again.
//!
//! `KEYVIZ_SEED` reproduces the choices. What this machine cannot do is skipped, with a line that says so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // tests

use std::sync::{Mutex, PoisonError};

use keyviz_tests::rng::seed;
use keyviz_tests::torture::{FAULTS, Size, fault};

/// One at a time: their processes would take each other's time.
static ONE: Mutex<()> = Mutex::new(());

fn round(name: &str) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (fault, seed) = (fault(name).unwrap(), seed());
    let tally = fault.round(seed, Size::Short);
    eprintln!("{name}: {tally:?}");
    tally.assert_kept(name);
}

#[test]
fn every_fault_has_a_test_and_a_line_in_the_docs() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(root.parent().unwrap().join("docs/reliability.md")).unwrap();
    let here = include_str!("torture.rs");
    for fault in FAULTS {
        assert!(here.contains(&format!("round(\"{}\")", fault.name)), "{fault:?}: no test");
        assert!(docs.contains(&format!("`{}`", fault.name)), "{fault:?}: not in the docs");
    }
}

#[test]
fn sigkill_under_load_loses_nothing() {
    round("kill-under-load");
}

#[test]
fn sigkill_while_replaying_loses_nothing() {
    round("kill-in-replay");
}

#[test]
fn sigkill_within_a_checkpoint_loses_nothing() {
    round("kill-in-checkpoint");
}

#[test]
fn sigkill_while_stopping_loses_nothing() {
    round("kill-in-stop");
}

#[test]
fn sigkill_while_compacting_loses_nothing() {
    round("kill-in-compaction");
}

#[test]
fn a_kill_at_any_system_call_loses_nothing() {
    round("kill-at-call");
}

#[test]
fn an_error_at_any_system_call_loses_nothing() {
    round("error-at-call");
}

#[test]
fn a_power_cut_loses_nothing() {
    round("power-cut");
}

#[test]
fn a_power_cut_without_syncing_does_lose() {
    round("power-cut-unsynced");
}

#[test]
fn after_a_lying_fsync_nothing_wrong_is_shown() {
    round("lying-fsync");
}

#[test]
fn a_disk_that_goes_away_loses_nothing() {
    round("disk-gone");
}

#[test]
fn a_store_that_refuses_everything_is_opened_anew() {
    round("store-refuses");
}

#[test]
fn a_disk_that_goes_read_only_loses_nothing() {
    round("read-only-disk");
}

#[test]
fn a_torn_record_is_the_only_one_lost() {
    round("torn-tail");
}

#[test]
fn a_flipped_bit_in_the_log_loses_no_more_than_its_record() {
    round("flip-in-wal");
}

#[test]
fn a_spoiled_segment_loses_no_more_than_itself() {
    round("bad-segment");
}

#[test]
fn a_segment_that_cannot_be_read_now_is_there_later() {
    round("read-error");
}

#[test]
fn a_flipped_bit_in_the_store_is_said() {
    round("flip-in-store");
}

#[test]
fn an_older_backup_is_what_it_was_and_goes_on() {
    round("older-backup");
}

#[test]
fn a_full_disk_under_load_loses_nothing() {
    round("full-disk");
}

#[test]
fn a_slow_fsync_does_not_slow_the_hot_path() {
    round("slow-fsync");
}

#[test]
fn what_is_shed_and_lost_is_flagged() {
    round("shed");
}
