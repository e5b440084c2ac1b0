//! What a look at a folder has found, for people and for scripts.
//!
//! Owns: the findings, the first [`LISTED`] of them whole; the rest is counted.
//! Must not: decide what to do about them.
//! Proof: `check_test.rs`.

use keyviz_lineage::GroupId;

/// So many findings are told one by one.
const LISTED: usize = 10_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Two things that should agree do not; nothing that was counted is lost.
    Warning,
    /// Bytes are damaged, or something that was stored cannot be read.
    Error,
}

impl Severity {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The group, where it is of one.
    pub group: Option<GroupId>,
    /// The logical key, the stretch of keys or the file.
    pub key: String,
    /// What is so.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    counts: [u64; 3],
}

impl Findings {
    /// Adds one.
    pub fn add(
        &mut self,
        severity: Severity,
        group: impl Into<Option<GroupId>>,
        key: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.counts[severity as usize] += 1;
        if self.list.len() < LISTED {
            let (group, key) = (group.into(), key.into());
            self.list.push(Finding {
                severity,
                group,
                key,
                what: what.into(),
                advice: advice.into(),
            });
        }
    }

    /// The first ones, in the order in which they were found.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> u64 {
        self.counts[severity as usize]
    }

    /// How many are not in the list.
    pub fn left_out(&self) -> u64 {
        self.counts.iter().sum::<u64>() - self.list.len() as u64
    }

    /// Whether there is nothing but notes.
    pub fn is_clean(&self) -> bool {
        self.count(Severity::Warning) + self.count(Severity::Error) == 0
    }
}
