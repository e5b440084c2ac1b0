use keyviz_lineage::column::{MAX_COLUMN_KEY_BYTES, MAX_KEY_BYTES};
use proptest::prelude::*;

use super::super::column_record_test::{source, with_buckets};
use super::super::{encode as encode_anew, of_this_version};
use super::*;

/// The bytes of a column whose `rows` rows all end at one key, which is spelled `copies` times.
fn unfolding(key_bytes: usize, copies: u64, rows: u64) -> Vec<u8> {
    let mut out = Writer::default();
    put_origin(&mut out, PLAIN, &source(), 1);
    [0, 60_000, 0, 120_000, 0, 1, 1].into_iter().for_each(|field| out.uint(field));
    out.uint(rows);
    out.uint(copies);
    out.uint(0);
    out.prefixed(&vec![b'k'; key_bytes]);
    for _ in 1..copies {
        out.uint(key_bytes as u64);
        out.prefixed(b"");
    }
    (0..rows).for_each(|_| out.uint(0)); // starts
    (0..rows).for_each(|_| out.uint(1)); // ends
    (1..=rows).for_each(|route| out.uint(route));
    (0..rows).for_each(|_| out.uint(1)); // groups
    (0..rows * 6).for_each(|_| out.uint(0)); // terms, flags, counts
    out.bytes
}

#[test]
fn a_small_record_cannot_unfold_to_a_large_column() {
    let most = (MAX_COLUMN_KEY_BYTES / MAX_KEY_BYTES) as u64;
    let rows_of =
        |bytes: &[u8]| super::super::decode(bytes).map(|(_, _, column)| column.rows.len() as u64);
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES, 1, most)), Ok(most));
    let large = Err(invalid("keys of more than 64 MiB together"));
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES, 1, most + 1)), large);
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES, most + 1, 1)), large);
    let long = Err(invalid("a bound of more than 65,536 bytes"));
    assert_eq!(rows_of(&unfolding(MAX_KEY_BYTES + 1, 1, 1)), long);
}

#[test]
fn what_says_that_it_has_buckets_has_some() {
    let plain = encode(&source(), 1, &with_buckets(9, 0, 4));
    assert_eq!(plain[0], PLAIN);
    let with = encode(&source(), 1, &with_buckets(9, 1, 4));
    assert_eq!(with[0], WITH_BUCKETS);
    assert!(decode(&with).is_ok());
    let mut empty = plain;
    empty[0] = WITH_BUCKETS;
    empty.push(0);
    assert_eq!(decode(&empty), Err(invalid("no buckets where there are some")));
}

proptest! {
    #[test]
    fn old_records_are_read_and_written_anew(rows in 0u64..40, buckets in 0u64..9, seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let column = with_buckets(rows, buckets, seed);
        let payload = encode(&source(), seed, &column);
        prop_assert_eq!(super::super::decode(&payload).unwrap(), (source(), seed, column.clone()));
        prop_assert_eq!(of_this_version(&payload).unwrap(), encode_anew(&source(), seed, &column));
        prop_assert!(super::super::decode(&payload[..cut.index(payload.len())]).is_err());
    }

    #[test]
    fn noise_never_panics(mut payload in prop::collection::vec(any::<u8>(), 1..300)) {
        for version in [PLAIN, WITH_BUCKETS] {
            payload[0] = version;
            let _ = decode(&payload);
        }
    }

    #[test]
    fn spoiled_records_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), seed in any::<u64>()) {
        let mut payload = encode(&source(), 1, &with_buckets(20, 6, seed));
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = decode(&payload);
    }
}
