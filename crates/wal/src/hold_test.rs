use std::io::Read as _;
use std::sync::Arc;

use super::*;
use crate::{RealFs, Wal, WalOptions};

/// Released and appended to while a copy is being made: the copy is what was there at first.
#[test]
fn what_is_held_is_read_in_full_whatever_happens_to_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("wal");
    let (mut wal, _) = Wal::open(Arc::new(RealFs), &dir, WalOptions::default()).unwrap();
    for hour in [7, 8] {
        wal.append(hour, 1, 0, b"a column").unwrap();
    }
    wal.commit().unwrap();
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    std::fs::write(dir.join("wal-00000007-00000000000000000001.log.corrupt-1"), b"x").unwrap();
    std::fs::write(dir.join("notes"), b"x").unwrap();
    let before: Vec<_> =
        names().iter().map(|name| std::fs::read(dir.join(name)).unwrap()).collect();
    let mut held = wal.hold().unwrap();
    assert_eq!(held.len(), 2);
    wal.append(8, 1, 0, b"another").unwrap();
    wal.commit().unwrap();
    wal.release(u64::MAX).unwrap();
    assert_eq!(names().len(), 2, "only what is no segment is left: {:?}", names());
    let mut at = 0;
    for segment in &mut held {
        let mut bytes = Vec::new();
        segment.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, segment.file_bytes());
        at = (at..before.len()).find(|&at| before[at] == bytes).expect("a segment as it was") + 1;
    }
    assert!(hold_segments(&RealFs, &folder.path().join("none")).unwrap().is_empty());
}
