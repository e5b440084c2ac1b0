use proptest::prelude::*;

use super::*;

/// What a column writes: its head and its bits.
fn written(numbers: &[u64], kind: Kind, fold: Fold) -> (Plan, Writer, Vec<u8>) {
    let plan = plan(numbers, kind, fold, &mut Room::default());
    let (mut head, mut bits) = (Writer::default(), BitWriter::default());
    plan.write_head(numbers, &mut head);
    plan.write_bits(numbers, &mut bits);
    let mut bytes = Vec::new();
    bits.finish_into(&mut bytes);
    (plan, head, bytes)
}

fn check(numbers: &[u64], kind: Kind, fold: Fold) -> u64 {
    let (plan, head, bits) = written(numbers, kind, fold);
    let mut input = Reader::new(&head.bytes, "column");
    let column = Column::parse(&mut input, kind).unwrap();
    input.end().unwrap();
    let mut found = vec![0; numbers.len()];
    let end = column.read(&bits, 0, &mut found, &mut Vec::new()).unwrap();
    assert_eq!(found, numbers, "K1: {plan:?}");
    assert_eq!(end.div_ceil(8), bits.len());
    assert_eq!(column.skip(&bits, 0, numbers.len()), Some(end));
    assert_eq!(plan.cost(), (head.bytes.len() * 8 + end) as u64, "{plan:?}");
    let dearest = 24 + 75 * numbers.len() as u64 + 64;
    assert!(plan.cost() <= dearest, "K2: {} bits for {}", plan.cost(), numbers.len());
    plan.cost()
}

#[test]
fn equal_numbers_cost_a_byte_or_two_and_nothing_more() {
    assert_eq!(check(&[62; 3_600], Kind::Plain, Fold::Yes), 8);
    assert_eq!(check(&[63; 3_600], Kind::Plain, Fold::Yes), 16);
    assert_eq!(check(&[], Kind::Plain, Fold::Yes), 8);
    assert_eq!(check(&[0; 60], Kind::Signed, Fold::Yes), 8);
    assert!(check(&[7; 3_600], Kind::Plain, Fold::No) >= 3_600);
}

#[test]
fn the_largest_numbers_come_back() {
    for kind in [Kind::Plain, Kind::Signed] {
        for numbers in [
            &[u64::MAX][..],
            &[u64::MAX, 0],
            &[0, u64::MAX, 1 << 63, (1 << 63) - 1, 5],
            &[1, 2, 3, u64::MAX, 2, 1, 0, 1, 2],
        ] {
            check(numbers, kind, Fold::Yes);
            check(numbers, kind, Fold::No);
        }
    }
}

#[test]
fn one_outlier_costs_its_own_bytes_only() {
    let mut numbers: Vec<u64> = (0..60).map(|n| 1_000 + n * 7_919 % 64).collect();
    let calm = check(&numbers, Kind::Plain, Fold::Yes);
    numbers[30] = 1 << 40;
    let wild = check(&numbers, Kind::Plain, Fold::Yes);
    assert!(wild < calm + 80, "{calm} and {wild} bits");
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let head = |bytes: &[u8]| Column::parse(&mut Reader::new(bytes, "column"), Kind::Plain).is_ok();
    assert!(head(&[62]) && head(&[63, 5]) && head(&[0x40, 5]) && head(&[0xC0, 2, 5, 9]));
    assert!(!head(&[63, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), "beyond 64 bits");
    assert!(!head(&[0xC0, 0, 5]), "no escapes");
    assert!(!head(&[0xC0, 4, 5, 9]), "an escape is missing");
    assert!(!head(&[0x7F, 8]), "the base does not fit");
    let read = |head: &[u8], bits: &[u8], count| {
        let column = Column::parse(&mut Reader::new(head, "column"), Kind::Plain).unwrap();
        column.read(bits, 0, &mut vec![0; count], &mut Vec::new())
    };
    assert_eq!(read(&[0x40, 0], &[0b11], 2), Some(2));
    assert_eq!(read(&[0x40, 0], &[0b11], 3), None, "cut short");
    assert_eq!(read(&[0x40, 0], &[0, 0, 1], 1), None, "an escape that is not there");
    assert_eq!(read(&[0xC0, 2, 0, 9], &[0, 0, 1], 1), Some(17));
    assert_eq!(read(&[0xC0, 2, 0, 9], &[1], 1), None, "an escape too many");
    assert_eq!(read(&[0xC0, 2, 0, 9], &[0, 0, 2], 1), None, "more zeros than an escape");
    assert_eq!(read(&[0x7F, 0], &[0, 0, 0, 0, 0, 0, 0, 0, 2], 1), None, "beyond 64 bits");
}

proptest! {
    #[test]
    fn any_numbers_come_back(
        numbers in prop::collection::vec((any::<u64>(), 0u32..64), 0..300),
        signed in any::<bool>(),
        folded in any::<bool>(),
        width in 0u32..64,
    ) {
        let kind = if signed { Kind::Signed } else { Kind::Plain };
        let fold = if folded { Fold::Yes } else { Fold::No };
        let wild: Vec<u64> = numbers.iter().map(|&(n, shift)| n >> shift).collect();
        check(&wild, kind, fold);
        let calm: Vec<u64> =
            numbers.iter().map(|&(n, _)| (n >> width).wrapping_sub(1 << (63 - width))).collect();
        check(&calm, kind, fold);
    }
}
