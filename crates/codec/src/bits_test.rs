use proptest::prelude::*;

use super::*;

#[test]
fn reading_behind_the_end_finds_nothing() {
    let gaps = |bytes: &[u8], start, count| read_gaps(bytes, start, count, &mut Vec::new());
    assert_eq!(gaps(&[], 0, 1), None);
    assert_eq!(gaps(&[0xFF], 8, 1), None);
    assert_eq!(gaps(&[0x80], 0, 1), Some(8));
    assert_eq!(gaps(&[0xF0], 0, 2), Some(6));
    assert_eq!(gaps(&[0xFF], 3, 1), Some(4));
    assert_eq!(skip_gaps(&[0x80], 0, 2), None);
    assert_eq!(gaps(&[], 3, 0), Some(3));
    let mut long = vec![0; 1_000];
    long[999] = 3;
    let mut found = Vec::new();
    assert_eq!(read_gaps(&long, 5, 2, &mut found), Some(7_994));
    assert!(found[0] >= 240 && found[1] == 0);
    let mut numbers = [0; 2];
    append_bits(&[0xFF], 4, 4, &[1, 1], &mut numbers);
    assert_eq!(numbers, [0x1F, 0x10]);
    assert!(is_filled_up(&[0x0F], 4) && !is_filled_up(&[0x1F], 4) && is_filled_up(&[], 0));
}

proptest! {
    #[test]
    fn what_is_put_is_read(
        lead in prop_oneof![Just(0u32), 0u32..20],
        width in 0u32..64,
        numbers in prop::collection::vec((any::<u64>(), 0u32..63), 0..200),
    ) {
        let mut out = BitWriter::default();
        out.put_all(lead as usize, std::iter::once((0, lead)));
        let values = numbers.iter().map(|(number, _)| (number & ((1 << width) - 1), width));
        out.put_all(numbers.len() * width as usize, values);
        let gaps = numbers.iter().map(|&(_, zeros)| (1 << zeros, zeros + 1));
        out.put_all(numbers.len() * 64, gaps);
        let mut bytes = Vec::new();
        out.finish_into(&mut bytes);
        let mut again = Vec::new();
        out.finish_into(&mut again);
        prop_assert!(again.is_empty(), "it begins anew");
        let start = lead as usize + numbers.len() * width as usize;
        let (mut found, mut gaps) = (vec![0; numbers.len()], Vec::new());
        let end = read_gaps(&bytes, start, numbers.len(), &mut gaps).unwrap();
        prop_assert_eq!(skip_gaps(&bytes, start, numbers.len()), Some(end));
        prop_assert_eq!(end.div_ceil(8), bytes.len());
        prop_assert!(is_filled_up(&bytes, end));
        for (found, (_, zeros)) in gaps.iter().zip(&numbers) {
            prop_assert_eq!(u32::from(*found), *zeros);
        }
        if lead == 0 {
            read_bits(&bytes, width, &mut found);
            for (found, (number, _)) in found.iter().zip(&numbers) {
                prop_assert_eq!(*found, number & ((1 << width) - 1));
            }
        }
        append_bits(&bytes, lead as usize, width, &vec![0; numbers.len()], &mut found);
        for (found, (number, _)) in found.iter().zip(&numbers) {
            prop_assert_eq!(*found, number & ((1 << width) - 1));
        }
    }
}
