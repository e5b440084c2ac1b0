//! What is kept twice against its second copies: both say the same, byte for byte.
//!
//! Owns: every mark and number of the store while it is compared (some tens of bytes a source or lineage).
//! Proof: `check_test.rs`.

use std::collections::BTreeMap;

use keyviz_codec::{Key, key_layout};

use crate::finding::{Findings, Severity};
use crate::offline::{OfflineStore, Unreadable, Walker};

const ADVICE: &str = "a node reads the one where the other cannot be read, so it must not be stale: restore a backup, \
                      or report it";

/// What has to be there twice.
#[derive(Debug, Default)]
pub(super) struct Copies {
    marks: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Not all of it could be read.
    pub(super) has_holes: bool,
}

impl Copies {
    /// A pair of the store.
    pub(super) fn note(&mut self, physical: &[u8], value: &[u8]) {
        if key_layout::is_kept_twice(physical) {
            self.marks.insert(physical.to_vec(), value.to_vec());
        }
    }

    /// After all of them: looks at the copies.
    pub(super) fn compare(self, store: &OfflineStore, findings: &mut Findings) {
        let Self { marks, has_holes } = self;
        let mut comparing = Comparing { marks, has_holes, copies_have_holes: false, findings };
        store.walk_copies(&mut comparing);
        let Comparing { marks, copies_have_holes, findings, .. } = comparing;
        if !copies_have_holes {
            marks.keys().for_each(|key| tell(findings, key, "its second copy is missing"));
        }
    }
}

struct Comparing<'a> {
    marks: BTreeMap<Vec<u8>, Vec<u8>>,
    has_holes: bool,
    copies_have_holes: bool,
    findings: &'a mut Findings,
}

impl Walker for Comparing<'_> {
    fn pair(&mut self, key: &[u8], value: &[u8]) {
        match self.marks.remove(key) {
            Some(held) if held == value => {}
            Some(_) => tell(self.findings, key, "its second copy says something else"),
            None if self.has_holes => {}
            None => tell(self.findings, key, "only its second copy is there"),
        }
    }

    fn unreadable(&mut self, stretch: &Unreadable<'_>) {
        self.copies_have_holes = true;
        let what = format!("RocksDB cannot read some second copies: {}", stretch.source);
        let advice = "a node reads the first ones; check the disk, then restore a backup";
        self.findings.add(Severity::Error, None, "db/", what, advice);
    }
}

fn tell(findings: &mut Findings, physical: &[u8], what: &str) {
    let (group, name) = match Key::parse(physical) {
        Some((group, key)) => (Some(group), key.to_string()),
        None => (None, physical.escape_ascii().to_string()),
    };
    findings.add(Severity::Error, group, name, what, ADVICE);
}
