use proptest::prelude::*;

use super::*;

#[test]
fn reading_behind_the_end_finds_nothing() {
    assert_eq!(read_gaps(&[], 0, &mut [0]), None);
    assert_eq!(read_gaps(&[0xFF], 8, &mut [0]), None);
    assert_eq!(read_gaps(&[0x80], 0, &mut [0]), Some(8));
    assert_eq!(skip_gaps(&[0x80], 0, 2), None);
    assert_eq!(read_gaps(&[], 3, &mut []), Some(3));
    let mut numbers = [1, 1];
    with_bits(&[0xFF], 4, 4, &mut numbers, |held, low| held << 4 | low);
    assert_eq!(numbers, [0x1F, 0x10]);
    assert!(is_filled_up(&[0x0F], 4) && !is_filled_up(&[0x1F], 4) && is_filled_up(&[], 0));
}

proptest! {
    #[test]
    fn what_is_put_is_read(
        lead in 0u32..20,
        width in 0u32..64,
        numbers in prop::collection::vec((any::<u64>(), 0u32..64), 0..200),
    ) {
        let mut out = BitWriter::default();
        out.put(0, lead);
        numbers.iter().for_each(|(number, _)| out.put(number & ((1 << width) - 1), width));
        numbers.iter().for_each(|&(_, zeros)| out.gap(zeros));
        let bytes = out.finish();
        let start = lead as usize + numbers.len() * width as usize;
        let mut found = vec![0; numbers.len()];
        let end = read_gaps(&bytes, start, &mut found).unwrap();
        prop_assert_eq!(skip_gaps(&bytes, start, numbers.len()), Some(end));
        prop_assert_eq!(end.div_ceil(8), bytes.len());
        prop_assert!(is_filled_up(&bytes, end));
        for (found, (_, zeros)) in found.iter().zip(&numbers) {
            prop_assert_eq!(*found, u64::from(*zeros));
        }
        with_bits(&bytes, lead as usize, width, &mut found, |_, low| low);
        for (found, (number, _)) in found.iter().zip(&numbers) {
            prop_assert_eq!(*found, number & ((1 << width) - 1));
        }
    }
}
