use proptest::prelude::*;

use super::*;

fn written(values: &[u64], kind: Kind) -> Vec<u8> {
    let mut out = Writer::default();
    put(values, kind, &mut out);
    out.bytes
}

fn taken(bytes: &[u8], count: usize) -> Result<Array<'_>, CodecError> {
    let mut input = Reader::new(bytes, "array");
    let array = Array::take(&mut input, count)?;
    input.end().map(|()| array)
}

/// Numbers of every length, runs and steps among them.
fn numbers() -> impl Strategy<Value = Vec<u64>> {
    let any_length = (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift);
    prop_oneof![
        prop::collection::vec(any_length, 0..70),
        (any::<u64>(), 1usize..70).prop_map(|(number, count)| vec![number; count]),
        (any::<u64>(), any::<u64>(), 1u64..70).prop_map(|(first, step, count)| {
            (0..count).map(|at| first.wrapping_add(step.wrapping_mul(at))).collect()
        }),
    ]
}

#[test]
fn forms_are_as_drawn() {
    assert_eq!(written(&[], Kind::Dense), [0u8; 0]);
    assert_eq!(written(&[7, 7, 7], Kind::Plain), [0, 7]);
    assert_eq!(written(&[7, 7, 7], Kind::Dense), [2, 0, 7, 7, 7]);
    assert_eq!(written(&[7, 5, 3], Kind::Ordered), [1, 7, 3]);
    assert_eq!(written(&[1, 0x0203, 0x04_0506], Kind::Plain), [2, 0b10_01_00, 1, 3, 2, 6, 5, 4]);
    let long = [[2, 0b11, 1, 2, 3, 4].as_slice(), &[0; 4]].concat();
    assert_eq!(written(&[0x0403_0201], Kind::Dense), long);
    assert_eq!(written(&[5, 7, 6], Kind::Ordered), [3, 0, 10, 4, 1]);
}

#[test]
fn what_does_not_add_up_is_refused() {
    for bytes in [&[4u8, 0][..], &[2], &[2, 0], &[2, 1, 0], &[2, 0b0100, 5], &[0]] {
        assert!(taken(bytes, 1).is_err(), "{bytes:?}");
    }
    let mut input = Reader::new(&[0, 7], "array");
    assert!(Array::take_dense(&mut input, 1_000_000).is_err(), "a count that nothing backs");
}

proptest! {
    #[test]
    fn round_trip_whole_and_in_pieces(values in numbers(), piece in 1usize..9) {
        for kind in [Kind::Plain, Kind::Ordered, Kind::Dense] {
            let bytes = written(&values, kind);
            let array = taken(&bytes, values.len()).unwrap();
            prop_assert_eq!(array.read(), values.clone());
            prop_assert!(kind != Kind::Dense || bytes.len() > values.len() || values.is_empty());
            let (mut cursor, mut pieces) = (array.cursor(), vec![0; values.len()]);
            pieces.chunks_mut(4 * piece).for_each(|piece| cursor.fill(piece));
            prop_assert_eq!(&pieces, &values);
            if let Some(same) = array.same() {
                prop_assert!(values.iter().all(|&value| value == same));
            }
            prop_assert!(!array.is_short() || values.iter().all(|&value| value <= 0xFFFF));
            (0..bytes.len()).for_each(|cut| assert!(taken(&bytes[..cut], values.len()).is_err()));
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..90), count in 0usize..60) {
        if let Ok(array) = taken(&bytes, count) {
            prop_assert_eq!(array.read().len(), count);
        }
    }
}
