//! Whole inputs through [`open`] and [`open_reader`]: opening, compression, errors in the middle,
//! random bytes, and the real trace. Also the helpers of the other tests of this folder.

use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::options::{KeyEncoding, TimeUnit};
use super::*;

/// The accesses and refusals of `bytes`, which must not end in an error.
pub(super) fn read(
    bytes: &[u8],
    name: &str,
    options: &InputOptions,
) -> Vec<Result<Access, Refused>> {
    open_bytes(bytes, name, options)
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("no error in the middle")
}

pub(super) fn open_bytes(
    bytes: &[u8],
    name: &str,
    options: &InputOptions,
) -> Result<Accesses, InputError> {
    open_reader(Box::new(Cursor::new(bytes.to_vec())), name, options)
}

/// The message of an opening that must fail.
pub(super) fn open_error(bytes: &[u8], name: &str, options: &InputOptions) -> String {
    open_bytes(bytes, name, options).err().expect("must not open").to_string()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(super) fn access(line: u64, time_ms: u64, key: &[u8], op: Op, size_bytes: u64) -> Access {
    Access { time_ms, key: key.to_vec(), op, size_bytes, line }
}

/// Gives its bytes and then fails.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}

/// Remembers what was read through it, as the caller's digest does.
struct Recording(Cursor<Vec<u8>>, Arc<Mutex<Vec<u8>>>);

impl Read for Recording {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(out)?;
        self.1.lock().expect("not poisoned").extend_from_slice(&out[..count]);
        Ok(count)
    }
}

const THREE: &str = "time,key,op\n1,a,r\n2,b,w\n3,c,r\n";

#[test]
fn accesses_can_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&open_bytes(b"", "a.csv", &InputOptions::default()).expect("opens"));
}

#[test]
fn opens_a_file_by_its_path() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("trace.csv.gz");
    std::fs::write(&path, gzip(THREE.as_bytes())).expect("written");
    let accesses: Vec<_> = open(&path, &InputOptions::default()).expect("opens").collect();
    assert_eq!(accesses.len(), 3);
    assert!(matches!(&accesses[1], Ok(Ok(a)) if *a == access(3, 2000, b"b", Op::Write, 0)));
}

#[test]
fn a_missing_file_and_a_folder_are_errors_that_name_them() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = InputOptions { format: Some(Format::Csv), ..InputOptions::default() };
    let missing = folder.path().join("missing.csv");
    let error = open(&missing, &options).err().expect("no such file").to_string();
    assert!(error.contains("missing.csv") && error.contains("check the path"), "{error}");
    let error = open(folder.path(), &options).err().expect("a folder").to_string();
    assert!(error.contains(&*folder.path().to_string_lossy()), "{error}");
}

#[test]
fn standard_input_needs_a_format() {
    let error = open(Path::new("-"), &InputOptions::default()).err().expect("no name");
    let message = error.to_string();
    assert!(message.contains("standard input") && message.contains("--format csv"), "{message}");
}

#[test]
fn empty_inputs_have_no_accesses() {
    for name in ["a.csv", "a.ndjson", "a.log"] {
        for bytes in
            [&b""[..], b"\n\r\n\n", &gzip(b""), &zstd::encode_all(&b""[..], 1).expect("zstd")]
        {
            assert_eq!(read(bytes, name, &InputOptions::default()), [], "{name} {bytes:?}");
        }
    }
}

#[test]
fn every_raw_byte_is_read_by_the_end() {
    let twice = [gzip(THREE.as_bytes()), gzip(b"4,d,r\n")].concat();
    let mut frames = zstd::encode_all(THREE.as_bytes(), 1).expect("zstd");
    frames.extend(zstd::encode_all(&b"4,d,r\n"[..], 1).expect("zstd"));
    for (raw, count) in [(THREE.as_bytes().to_vec(), 3), (twice, 4), (frames, 4)] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reader = Recording(Cursor::new(raw.clone()), Arc::clone(&seen));
        let accesses = open_reader(Box::new(reader), "a.csv", &InputOptions::default());
        assert_eq!(
            accesses.expect("opens").filter(|item| matches!(item, Ok(Ok(_)))).count(),
            count
        );
        assert_eq!(*seen.lock().expect("not poisoned"), raw);
    }
}

#[test]
fn an_error_in_the_middle_is_the_last_item() {
    let log = "h - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 1\n".repeat(2);
    let json = "{\"time\":1,\"key\":\"a\",\"op\":\"r\"}\n".repeat(2);
    let csv = "time,key,op\n1,a,r\n2,b,w\n".to_owned();
    for (name, text, lines) in [("a.log", log, 2), ("a.json", json, 2), ("a.csv", csv, 3)] {
        let reader = Box::new(Failing(Cursor::new(text.into_bytes())));
        let mut accesses = open_reader(reader, name, &InputOptions::default()).expect("opens");
        assert!(matches!(accesses.next(), Some(Ok(Ok(_)))), "{name}");
        assert!(matches!(accesses.next(), Some(Ok(Ok(_)))), "{name}");
        let error = accesses.next().expect("an item").expect_err("the disk is gone");
        assert!(matches!(&error, InputError::Read { line, .. } if *line == lines), "{error:?}");
        assert!(error.to_string().contains("the disk is gone"), "{error}");
        assert!(accesses.next().is_none() && accesses.next().is_none(), "{name}");
    }
}

#[test]
fn a_reader_that_fails_at_once_is_an_error_of_opening() {
    for name in ["a.csv", "a.log"] {
        let reader = Box::new(Failing(Cursor::new(Vec::new())));
        let error = open_reader(reader, name, &InputOptions::default()).err().expect("fails");
        assert!(matches!(error, InputError::Read { line: 0, .. }), "{error:?}");
    }
}

#[test]
fn truncated_and_damaged_compression_end_with_an_error() {
    let text = (0..20_000).fold(String::from("time,key,op\n"), |text, i| {
        text + &format!("{i},{:x},r\n", i * 7919 % 10_007)
    });
    // Without its optional checksum, damaged Zstandard may decode to other bytes.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("zstd");
    encoder.include_checksum(true).expect("zstd");
    encoder.write_all(text.as_bytes()).expect("memory");
    let zst = encoder.finish().expect("zstd");
    for whole in [gzip(text.as_bytes()), zst] {
        let cut = whole[..whole.len() / 2].to_vec();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0x55);
        for bytes in [cut, damaged] {
            // The header line may already be out of reach; then the opening fails.
            let last = match open_bytes(&bytes, "a.csv", &InputOptions::default()) {
                Err(error) => Some(error),
                Ok(mut accesses) => accesses.find_map(Result::err),
            };
            let last = last.expect("damaged");
            assert!(matches!(last, InputError::Decompress { .. }), "{last:?}");
            assert!(last.to_string().contains(" -t"), "{last}");
        }
    }
}

/// Every format, with options that reach every decoder.
fn all_options() -> Vec<InputOptions> {
    let mut all = Vec::new();
    for format in [Format::Csv, Format::Ndjson, Format::Combined] {
        all.push(InputOptions { format: Some(format), ..InputOptions::default() });
    }
    for (unit, encoding) in [
        (TimeUnit::Seconds, KeyEncoding::Hex),
        (TimeUnit::Rfc3339, KeyEncoding::U64Be),
        (TimeUnit::Nanoseconds, KeyEncoding::Utf8),
    ] {
        for format in [Format::Csv, Format::Ndjson] {
            all.push(InputOptions {
                format: Some(format),
                time_column: Some("0".to_owned()),
                time_unit: unit,
                key_column: Some("0".to_owned()),
                key_encoding: encoding,
                op_column: Some("0".to_owned()),
                size_column: Some("0".to_owned()),
                no_header: format == Format::Csv,
                ..InputOptions::default()
            });
        }
    }
    all
}

/// Reads to the end in every format; lines must not go back.
fn read_in_every_format(bytes: &[u8]) {
    let compressed = bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"\x28\xb5\x2f\xfd");
    let most_items = if compressed { usize::MAX } else { bytes.len() + 1 };
    for options in all_options() {
        let Ok(accesses) = open_bytes(bytes, "-", &options) else { continue };
        let mut line = 1;
        for (count, item) in accesses.enumerate() {
            assert!(count <= most_items, "more items than bytes");
            let next = match item {
                Ok(Ok(access)) => access.line,
                Ok(Err(refused)) => {
                    assert!(refused.to_string().len() < 4096, "a short reason");
                    refused.line
                }
                Err(_) => continue,
            };
            assert!(next >= line, "line {next} after line {line}");
            line = next;
        }
    }
}

/// Bytes that get further into the parsers than random ones.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"time",
        b"key",
        b"op",
        b"size",
        b"0",
        b"1",
        b"-1",
        b"9999999999999999999999",
        b"1e3",
        b".",
        b"e-",
        b"r",
        b"GET",
        b"\"",
        b"\\",
        b"\\x4",
        b"\\u12",
        b",",
        b"\n",
        b"\r",
        b"\r\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b" ",
        b"null",
        b"\xff",
        b"\xef\xbb\xbf",
        b"0x",
        b"\xc3\xa9",
        b"T",
        b"Z",
        b"[10/Oct/2000:13:55:36 -0700]",
        b"2000-02-29T23:59:60Z",
        b" \"GET /a?b HTTP/1.0\" 200 5",
        b"{\"time\":1,\"key\":\"k\",\"op\":\"r\"}",
        b"{\"0\":\"1\"}",
        b"://",
        b"CONNECT",
        b"?",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read_in_every_format(&bytes);
    }

    #[test]
    fn random_pieces_never_panic(bytes in pieces()) {
        read_in_every_format(&bytes);
        read_in_every_format(&[b"time,key,op\n", bytes.as_slice()].concat());
    }

    #[test]
    fn random_bytes_behind_a_magic_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..500),
        zstd in any::<bool>(),
    ) {
        let magic: &[u8] = if zstd { b"\x28\xb5\x2f\xfd" } else { b"\x1f\x8b\x08\x00" };
        read_in_every_format(&[magic, bytes.as_slice()].concat());
    }

    #[test]
    fn what_is_written_as_csv_is_read_back(
        rows in prop::collection::vec(
            (any::<u64>(), prop::collection::vec(any::<char>(), 0..20), any::<bool>(), any::<u64>()),
            0..20,
        ),
    ) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["size", "op", "time", "key"]).expect("memory");
        let mut expected = Vec::new();
        for (time_ms, key, write, size) in &rows {
            let key: String = key.iter().collect();
            let op = if *write { "W" } else { "R" };
            let fields = [&size.to_string(), op, &time_ms.to_string(), &key];
            writer.write_record(fields).expect("memory");
            let op = if *write { Op::Write } else { Op::Read };
            expected.push(access(0, *time_ms, key.as_bytes(), op, *size));
        }
        let options = InputOptions {
            time_unit: TimeUnit::Milliseconds,
            size_column: Some("size".to_owned()),
            ..InputOptions::default()
        };
        let items = read(&writer.into_inner().expect("memory"), "a.csv", &options);
        let read: Vec<_> = items
            .into_iter()
            .map(|item| Access { line: 0, ..item.expect("no refusal") })
            .collect();
        prop_assert_eq!(read, expected);
    }
}

#[test]
fn the_real_trace_sums_up() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces/block-io-2h.csv.gz");
    if !path.exists() {
        eprintln!("skipped: the trace {} is not there", path.display());
        return;
    }
    let options = InputOptions {
        key_column: Some("lbn".to_owned()),
        key_encoding: KeyEncoding::U64Be,
        read: vec!["28".to_owned()],
        write: vec!["2a".to_owned()],
        size_column: Some("size".to_owned()),
        ..InputOptions::default()
    };
    let (mut reads, mut writes) = ((0_u64, 0_u64), (0_u64, 0_u64));
    let mut quantiles = quantile::KeyQuantiles::new();
    let mut line = 1;
    for item in open(&path, &options).expect("opens") {
        let access = item.expect("no error").expect("no refusal");
        let sum = if access.op == Op::Read { &mut reads } else { &mut writes };
        sum.0 += 1;
        sum.1 += access.key.len() as u64 + access.size_bytes;
        assert_eq!(access.key.len(), 8);
        assert_eq!(access.line, line + 1);
        line = access.line;
        quantiles.observe(&access.key);
    }
    assert_eq!(reads, (46_974, 1_797_788_144));
    assert_eq!(writes, (66_898, 2_409_100_944));
    let boundaries = quantiles.boundaries(64);
    assert_eq!(boundaries.len(), 63);
    assert!(boundaries.is_sorted_by(|a, b| a < b));
}
