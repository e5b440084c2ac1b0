//! Numbered manifests of every schema version that a data folder may have.
//!
//! A manifest says what changed; the steps that carry a folder from one version to the next live in
//! `keyviz-store`. Must not: touch a folder.

/// One schema version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The version, from 1, without gaps.
    pub version: u64,
    /// What a folder of this version holds that the one before did not.
    pub summary: &'static str,
}

/// Every version, oldest first.
pub const MANIFESTS: &[Manifest] = &[
    Manifest {
        version: 1,
        summary: "column family `keyviz`: range blocks v1 and v2, coverage v1, lineage records v1, events v1, marks v1",
    },
    Manifest {
        version: 2,
        summary: "range blocks v3 (those of v1 and v2 are read, and become v3 when they are written again)",
    },
    Manifest {
        version: 3,
        summary: "lineage numbers v1 and roll-ups v1, hourly and of five minutes (computed from the stored blocks)",
    },
    Manifest {
        version: 4,
        summary: "second copies of marks and numbers in the column family `default`",
    },
];

/// The version that this build writes.
pub const CURRENT: u64 = MANIFESTS[MANIFESTS.len() - 1].version;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one() {
        for (index, manifest) in MANIFESTS.iter().enumerate() {
            assert_eq!(manifest.version, index as u64 + 1);
            assert!(!manifest.summary.is_empty());
        }
    }
}
