//! What must hold of the WAL, whatever its files hold: it opens (W1), hands out each sequence once and
//! rising (W3), hands out the same records at the next start, and goes on after them.
//!
//! Input, for two files:
//!
//! ```text
//! switches: u8 | length of the first file: u16 little-endian | first file | second file
//! switches: 1, 2 = seal header, frames of the first; 4, 8 = of the second; 16 = names that do not fit
//! ```
//!
//! Sealing gives headers and frames the checksums that no fuzzer finds; a frame with flags 0xFF stays as
//! it is. The file system is the one in memory of `keyviz_wal::testing`.

use std::path::Path;
use std::sync::Arc;

use keyviz_wal::testing::FaultyFs;
use keyviz_wal::{Wal, WalError, WalOptions};

const HEADER: usize = 40;
const FRAME: usize = 18;

/// Sequence, kind, flags, payload.
type Found = (u64, u8, u8, Vec<u8>);

/// Opens a log of two files three times.
pub fn segment(input: &[u8]) {
    let Some((&[switches, low, high], files)) = input.split_first_chunk::<3>() else { return };
    let (first, second) =
        files.split_at(files.len().min(usize::from(u16::from_le_bytes([low, high]))));
    let fs = FaultyFs::new();
    put(&fs, first, 1, switches);
    put(&fs, second, 2, switches >> 2 | switches & 16);
    let (mut wal, found) = open(&fs);
    wal.commit().expect("invariant: the file system is sound");
    let (mut wal, again) = open(&fs);
    assert_eq!(again, found, "the second start hands out what the first did");
    let sequence = match wal.append(1, 1, 0, b"new") {
        Ok(sequence) => sequence,
        Err(WalError::SequencesExhausted { .. }) => return,
        Err(error) => panic!("{error}"), // invariant: the file system is sound
    };
    assert!(found.last().is_none_or(|last| last.0 < sequence), "W3");
    wal.commit().expect("invariant: the file system is sound");
    let expected: Vec<Found> =
        found.into_iter().chain([(sequence, 1, 0, b"new".to_vec())]).collect();
    assert_eq!(open(&fs).1, expected, "the third start hands out the new record as well");
}

fn open(fs: &FaultyFs) -> (Wal, Vec<Found>) {
    let (wal, mut recovery) =
        Wal::open(Arc::new(fs.clone()), Path::new("wal"), WalOptions::default())
            .expect("invariant: W1, nothing in the folder stops a start");
    let mut found: Vec<Found> = Vec::new();
    while let Some(record) = recovery.next_record() {
        assert!(found.last().is_none_or(|last| last.0 < record.sequence), "W3");
        found.push((record.sequence, record.kind, record.flags, record.payload.to_vec()));
    }
    assert_eq!(recovery.report().unreplayed_records, 0, "what is intact can be read");
    (wal, found)
}

/// Puts a file under the name that its header asks for (or that it does not).
fn put(fs: &FaultyFs, bytes: &[u8], number: u64, switches: u8) {
    let mut bytes = bytes.to_vec();
    let (id, hour) = match bytes.first_chunk::<HEADER>() {
        Some(header) if switches & 16 == 0 => (u64_at(header, 12), u64_at(header, 20)),
        _ => (number, number),
    };
    if switches & 1 != 0 && bytes.len() >= HEADER {
        let crc = crc32fast::hash(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
    }
    if switches & 2 != 0 {
        seal_frames(&mut bytes, id);
    }
    let name = format!("wal/wal-{hour:08}-{id:020}.log");
    fs.put(Path::new(&name), &bytes);
}

fn seal_frames(bytes: &mut [u8], id: u64) {
    let mut at = HEADER;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<FRAME>()) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (end, is_left) = (at + FRAME + length, head[9] == 0xFF);
        if end > bytes.len() {
            return;
        }
        if !is_left {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&id.to_le_bytes());
            crc.update(&bytes[at + 4..end]);
            bytes[at..at + 4].copy_from_slice(&crc.finalize().to_le_bytes());
        }
        at = end;
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(le)
}
