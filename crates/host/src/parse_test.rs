use super::*;
use crate::command::{COMMANDS, find};

fn parsed(line: &str) -> Result<Write, String> {
    let words: Words =
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    let spec = &COMMANDS[find(&words[0]).unwrap()];
    write(spec, words, 1_000_000).map_err(|error| error.to_string())
}

fn options(line: &str) -> SetOptions {
    match parsed(line).unwrap() {
        Write::Set { options, .. } => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn integers_are_read_as_redis_reads_them() {
    for good in ["0", "7", "-7", "9223372036854775807", "-9223372036854775808"] {
        assert_eq!(integer(good.as_bytes()).unwrap().to_string(), good);
    }
    for bad in ["", "-", "+7", "07", "-0", "-07", " 7", "7 ", "7.0", "0x7", "9223372036854775808"] {
        assert!(integer(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(integer(b"\xff").is_err());
}

#[test]
fn relative_expiries_become_absolute() {
    assert_eq!(options("SET k v EX 2").expiry, Expiry::At(1_002_000));
    assert_eq!(options("SET k v px 2").expiry, Expiry::At(1_000_002));
    assert_eq!(options("SET k v EXAT 2").expiry, Expiry::At(2_000));
    assert_eq!(options("SET k v PXAT 2").expiry, Expiry::At(2));
    assert_eq!(options("SET k v KEEPTTL").expiry, Expiry::Keep);
    assert_eq!(options("SETEX k 2 v").expiry, Expiry::At(1_002_000));
    assert_eq!(options("PSETEX k 2 v").expiry, Expiry::At(1_000_002));
    for line in ["SET k v EX 9223372036854775807", "SET k v PX 0", "SETEX k -1 v"] {
        assert!(parsed(line).unwrap_err().contains("invalid expire time"), "{line}");
    }
}

#[test]
fn words_keep_their_places() {
    let key = Bytes::from_static(b"k");
    let value = Bytes::from_static(b"v");
    let Write::Set { key: k, value: v, .. } = parsed("SETEX k 2 v").unwrap() else { panic!() };
    assert_eq!((&k, &v), (&key, &value));
    let Write::Set { key: k, value: v, .. } = parsed("GETSET k v").unwrap() else { panic!() };
    assert_eq!((&k, &v), (&key, &value));
    assert_eq!(parsed("DECRBY k 4").unwrap(), Write::Add { key: key.clone(), delta: -4 });
    assert_eq!(parsed("UNLINK k").unwrap(), Write::Delete { keys: vec![key] });
}
