//! Passes over files and over what cannot be read twice.

use std::io::Cursor;

use super::*;

fn read(file: &TraceFile) -> (Vec<u8>, [u8; 32]) {
    let mut pass = file.pass(&ProgressBar::hidden());
    let mut bytes = Vec::new();
    pass.reader.read_to_end(&mut bytes).unwrap();
    (bytes, pass.digest.value())
}

#[test]
fn every_pass_reads_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = TraceFile::open(&path, &ProgressBar::hidden()).unwrap();
    assert_eq!((file.bytes(), file.name()), (800_000, path.to_str().unwrap()));
    let expected: [u8; 32] = Digest256::digest(&bytes).into();
    // A log goes on growing; what came later is not part of the trace.
    let mut writer = File::options().append(true).open(&path).unwrap();
    writer.write_all(b"more").unwrap();
    assert_eq!(read(&file), (bytes.clone(), expected));
    // It is rotated.
    std::fs::rename(&path, folder.path().join("b.csv")).unwrap();
    std::fs::write(&path, b"another").unwrap();
    assert_eq!(read(&file), (bytes, expected));
}

#[test]
fn a_change_in_place_shows_in_the_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, b"abcdef").unwrap();
    let file = TraceFile::open(&path, &ProgressBar::hidden()).unwrap();
    let (_, first) = read(&file);
    File::options().write(true).open(&path).unwrap().write_all(b"x").unwrap();
    let (bytes, second) = read(&file);
    assert_eq!(bytes, b"xbcdef");
    assert_ne!(first, second);
    File::create(&path).unwrap();
    assert_eq!(read(&file).0, b"", "truncated");
}

#[test]
fn a_stream_is_copied() {
    let reader = Box::new(Cursor::new(b"from a pipe".to_vec()));
    let file = TraceFile::spool("standard input", reader, &ProgressBar::hidden()).unwrap();
    assert_eq!(read(&file), read(&file));
    assert_eq!(read(&file).0, b"from a pipe");
    let error = TraceFile::open(Path::new("/"), &ProgressBar::hidden()).unwrap_err().to_string();
    assert!(error.contains("cannot keep / in a temporary file"), "{error}");
    let error = TraceFile::open(Path::new("missing"), &ProgressBar::hidden()).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}
