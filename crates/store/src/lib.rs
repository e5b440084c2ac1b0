//! keyviz's history on RocksDB.
//!
//! Responsible for: the data folder and its lock ([`data_dir`]), opening RocksDB with the settings
//! this load wants ([`open`], [`tuning`]), carrying an older folder to this version ([`migrate`]),
//! consistent reads ([`view`]), atomic writes ([`batch`]), what is kept twice (`copies.rs`), and dropping what is older than the
//! retention ([`retention`]) and not pinned ([`pins`]).
//! Invariants: one batch is all or nothing and synced before it returns (T1); what has expired is
//! never read (T2); a value that does not decode is an error naming its key, never skipped (T3).
//! Must not: decide what a column or a transition means, or read a clock.
//! Only this crate names RocksDB.
//! Proof: `store_test.rs`, `migrate_test.rs`.

pub mod backup;
pub mod batch;
pub mod check;
pub mod compact;
mod copies;
mod damage;
pub mod data_dir;
mod dump;
mod error;
mod failpoint;
pub mod figures;
pub mod finding;
pub mod migrate;
mod numbers;
pub mod offline;
mod oldest;
pub mod open;
pub mod pins;
pub mod reclaim;
mod refusal;
pub mod repair;
mod retained;
pub mod retention;
pub mod stats;
pub mod tuning;
pub mod view;

pub use batch::Batch;
pub use check::{CheckProgress, CheckReport, check};
pub use data_dir::DataDir;
pub use error::StoreError;
pub use finding::{Finding, Findings, Severity};
pub use migrate::{UpgradeProgress, WatchUpgrade};
pub use numbers::Numbers;
pub use offline::OfflineStore;
pub use open::{Store, StoreOptions};
pub use pins::Pins;
pub use tuning::Tuning;
pub use view::{History, NOBODY, Part, Unrecorded, View, Wanted, visit_each, visit_series};

#[cfg(test)]
mod store_test;
