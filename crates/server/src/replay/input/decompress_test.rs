//! Magic bytes, members, frames; the name of the file is never asked.

use std::io::Cursor;

use super::super::tests::gzip;
use super::*;

fn decode(bytes: &[u8]) -> (Compression, io::Result<Vec<u8>>) {
    let (compression, mut reader) =
        decompress(Box::new(Cursor::new(bytes.to_vec()))).expect("opens");
    let mut plain = Vec::new();
    let result = reader.read_to_end(&mut plain);
    (compression, result.map(|_| plain))
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("zstd")
}

fn decodes_to(bytes: &[u8], compression: Compression, plain: &[u8]) {
    let (found, result) = decode(bytes);
    assert_eq!(found, compression);
    assert_eq!(result.expect("decodes"), plain);
}

#[test]
fn plain_bytes_pass_even_if_they_are_few() {
    for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd", b"abcde", b"\x1f", b"\x28\xb5\x2f"] {
        decodes_to(bytes, Compression::None, bytes);
    }
}

#[test]
fn gzip_with_one_and_many_members() {
    decodes_to(&gzip(b"abc"), Compression::Gzip, b"abc");
    let members = [gzip(b"abc"), gzip(b""), gzip(b"def\n")].concat();
    decodes_to(&members, Compression::Gzip, b"abcdef\n");
}

#[test]
fn zstd_with_one_and_many_frames() {
    decodes_to(&zst(b"abc"), Compression::Zstd, b"abc");
    decodes_to(&[zst(b"abc"), zst(b""), zst(b"def")].concat(), Compression::Zstd, b"abcdef");
    let skippable = [&b"\x5a\x2a\x4d\x18\x03\x00\x00\x00xyz"[..], &zst(b"abc")].concat();
    decodes_to(&skippable, Compression::Zstd, b"abc");
}

#[test]
fn only_one_layer_is_undone() {
    decodes_to(&gzip(&zst(b"abc")), Compression::Gzip, &zst(b"abc"));
}

#[test]
fn a_cut_or_damaged_stream_is_an_error() {
    let text = b"0123456789abcdef".repeat(100);
    for whole in [gzip(&text), zst(&text)] {
        for cut in [4, 10, whole.len() / 2, whole.len() - 1] {
            assert!(decode(&whole[..cut]).1.is_err(), "{cut} of {}", whole.len());
        }
    }
    let mut damaged = gzip(&text);
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert!(decode(&damaged).1.is_err());
    assert!(decode(&[gzip(&text), b"no member".to_vec()].concat()).1.is_err());
}

#[test]
fn a_reader_that_gives_single_bytes_is_recognised() {
    struct OneByte(Cursor<Vec<u8>>);
    impl Read for OneByte {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let one = out.len().min(1);
            self.0.read(&mut out[..one])
        }
    }
    for (bytes, expected) in [(gzip(b"abc"), Compression::Gzip), (zst(b"abc"), Compression::Zstd)] {
        let (compression, mut reader) =
            decompress(Box::new(OneByte(Cursor::new(bytes)))).expect("opens");
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).expect("decodes");
        assert_eq!((compression, plain.as_slice()), (expected, &b"abc"[..]));
    }
}

#[test]
fn it_is_shown_as_the_tool_that_tests_it() {
    assert_eq!(Compression::Gzip.to_string(), "gzip");
    assert_eq!(Compression::Zstd.to_string(), "zstd");
    assert_eq!(Compression::None.to_string(), "uncompressed");
}
