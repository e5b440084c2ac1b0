use proptest::prelude::*;

use super::*;

fn written(numbers: &[u64], kind: Kind) -> Vec<u8> {
    let mut out = Writer::default();
    write(numbers, kind, &mut Room::default(), &mut out);
    out.bytes
}

fn check(numbers: &[u64], kind: Kind) -> usize {
    let bytes = written(numbers, kind);
    let mut input = Reader::new(&bytes, "column");
    let mut found = vec![7; numbers.len()];
    read(&mut input, kind, &mut found).unwrap();
    assert_eq!(found, numbers);
    input.end().unwrap();
    bytes.len()
}

#[test]
fn the_bytes_are_these() {
    // Four bits from 100 on; the third is 2^10 above it: 2^6 x 2^4, and 0 in the bits.
    let mut numbers = [109; 16];
    (numbers[0], numbers[2], numbers[3]) = (100, 1_124, 115);
    let head = [0x44, 100, 0, 2, 64];
    let bits = [0x90, 0xF0, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99];
    assert_eq!(written(&numbers, Kind::Plain), [&head[..], &bits[..]].concat());
    let signed = [0, u64::MAX, 1, 0];
    assert_eq!(written(&signed, Kind::Signed), [0x02, 0b0010_0100]);
    assert_eq!(written(&[u64::MAX; 3], Kind::Signed), [0x81]);
    assert_eq!(written(&[300; 2], Kind::Plain), [0xFF, 173, 1]);
    assert_eq!(written(&[], Kind::Plain), [0x80]);
}

#[test]
fn what_is_far_out_costs_only_itself() {
    let mut numbers = vec![3; MOST];
    numbers.iter_mut().step_by(2).for_each(|number| *number = 4);
    assert_eq!(check(&numbers, Kind::Plain), 2 + 32);
    numbers[255] = u64::MAX;
    numbers[0] = 0;
    for kind in [Kind::Plain, Kind::Signed] {
        assert!(check(&numbers, kind) < 4 * 32 + 20);
    }
    assert_eq!(check(&[u64::MAX; MOST], Kind::Plain), 11);
}

#[test]
fn spoiled_bytes_are_an_error() {
    let refused = |bytes: &[u8], count: usize| {
        let mut numbers = vec![0; count];
        read(&mut Reader::new(bytes, "column"), Kind::Plain, &mut numbers).unwrap_err().to_string()
    };
    let good = [0x44, 100, 0, 2, 64, 0x90, 0xF0];
    (0..good.len()).for_each(|cut| assert!(refused(&good[..cut], 4).contains("cut short")));
    assert!(refused(&[0x44, 100, 0, 4, 64, 0x90, 0xF0], 4).contains("out of place"));
    assert!(refused(&[0x44, 100, 1, 2, 2, 64, 64, 0x90, 0xF0], 4).contains("out of place"));
    assert!(refused(&[0x44, 100, 0, 2, 0, 0x90, 0xF0], 4).contains("does not fit"));
    let wide = [&[0x7F, 0, 0, 0, 2][..], &[0; 8]].concat();
    assert!(refused(&wide, 1).contains("does not fit"));
    assert!(refused(&[0x04, 100, 0x9F], 1).contains("filled up"));
    let top = [&[0xFF][..], &[0xFF; 9], &[1]].concat();
    assert!(refused(&top, 4).contains("64 bits"));
}

proptest! {
    #[test]
    fn any_numbers_come_back(
        numbers in prop::collection::vec((any::<u64>(), 0u32..64, 0u32..8), 0..=MOST),
        shift in 0u32..64,
    ) {
        // Most of about one size, some of any.
        let number = |(n, own, rare): &(u64, u32, u32)| n >> if *rare == 0 { *own } else { shift };
        let numbers: Vec<u64> = numbers.iter().map(number).collect();
        check(&numbers, Kind::Plain);
        check(&numbers, Kind::Signed);
    }
}
