//! The WAL of a folder that nobody uses, read without changing it.
//!
//! Responsible for: damage in segments and records that do not decode, as findings; what a record says,
//! for people; what was shed.
//! Must not: replay anything, or change a file.
//! Proof: `wal_check_test.rs`.

use std::path::Path;

use keyviz_lineage::{Column, SourceId};
use keyviz_store::{Findings, Severity};
use keyviz_wal::{FileSystem, Finding, Inspection, Record, WalError, inspect};

use crate::ingest::KIND_LEAVE;
use crate::recovery::read;
use crate::shed;

/// What a record of the WAL says.
#[derive(Clone, Debug)]
pub struct RecordSeen {
    /// Whose entry it is.
    pub source: SourceId,
    /// Under which number.
    pub sequence: u64,
    /// What it holds.
    pub entry: EntrySeen,
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum EntrySeen {
    /// A column.
    Column(Box<Column>),
    /// The source left.
    Leave,
    /// A number that was consumed by a transition, or by what was refused.
    Nothing,
}

/// Reads one record.
///
/// # Errors
/// Why it cannot be used.
pub fn read_record(record: &Record<'_>) -> Result<RecordSeen, String> {
    let (source, sequence, column) = read(record)?;
    let entry = match column {
        Some(column) => EntrySeen::Column(Box::new(column)),
        None if record.kind == KIND_LEAVE => EntrySeen::Leave,
        None => EntrySeen::Nothing,
    };
    Ok(RecordSeen { source, sequence, entry })
}

/// Reads every segment in `dir` and adds what is wrong to `findings`.
///
/// # Errors
/// [`WalError::Folder`].
pub fn check_wal(
    files: &dyn FileSystem,
    dir: &Path,
    findings: &mut Findings,
) -> Result<Inspection, WalError> {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("wal/{name}")
    };
    let seen = inspect(files, dir, &mut |path, record| {
        if let Err(reason) = read(&record) {
            findings.add(
                Severity::Error,
                None,
                name(path),
                format!("record {} is intact and cannot be used: {reason}", record.sequence),
                "a start leaves it out and counts it (keyviz_wal_unusable_records_total); use the keyviz that wrote it",
            );
        }
    })?;
    for finding in &seen.findings {
        match finding {
            Finding::TornTail { path, offset, bytes } => findings.add(
                Severity::Note,
                None,
                name(path),
                format!("its last {bytes} bytes, from {offset} on, are the beginning of a write"),
                "a kill leaves this; nothing of it was acknowledged, and the next start cuts it off",
            ),
            Finding::Damaged { path, offset, bytes } => findings.add(
                Severity::Error,
                None,
                name(path),
                format!("{bytes} bytes at {offset} hold no intact record"),
                "columns in them that the store has not taken are lost to this folder: restore a backup if they \
                 matter. The next start skips them and keeps a copy of the segment",
            ),
            Finding::LeftInPlace { path, reason } => findings.add(
                Severity::Error,
                None,
                name(path),
                format!("it cannot be used: {reason}"),
                "see whether the right file can be put back before the next start; a start goes on without it",
            ),
            Finding::Foreign { path } => findings.add(
                Severity::Note,
                None,
                name(path),
                "it is not a file of the WAL",
                "keyviz never touches it",
            ),
            // An inspection finds nothing else.
            _ => {}
        }
    }
    note_shed(files, dir, findings)?;
    for path in &seen.set_aside {
        findings.add(
            Severity::Note,
            None,
            name(path),
            "an earlier start set this damaged segment aside",
            "it may be removed once nobody wants to look into it",
        );
    }
    Ok(seen)
}

fn note_shed(files: &dyn FileSystem, dir: &Path, findings: &mut Findings) -> Result<(), WalError> {
    let (mut columns, mut unusable) = (0, None);
    inspect(files, &shed::folder(dir), &mut |_, record| match shed::columns_in(&record) {
        Ok(named) => columns += named,
        Err(reason) => unusable = Some(reason),
    })?;
    if columns > 0 {
        findings.add(
            Severity::Warning,
            None,
            "wal/owner-shed",
            format!("{columns} acknowledged columns were shed from the log at its cap"),
            "the next start flags those as shed that the store has not taken after all",
        );
    }
    if let Some(reason) = unusable {
        findings.add(
            Severity::Error,
            None,
            "wal/owner-shed",
            format!("a record of what was shed cannot be used: {reason}"),
            "windows that it names are missing, and not flagged as shed; use the keyviz that wrote it",
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "wal_check_test.rs"]
mod wal_check_test;
