use proptest::prelude::*;

use super::*;

fn check(taken: &[u16], places: usize) -> (u8, usize) {
    let mut out = Writer::default();
    let form = write(taken, places, &mut out);
    let mut input = Reader::new(&out.bytes, "places");
    let mut found = Vec::new();
    read(form, places, &mut input, &mut found).unwrap();
    input.end().unwrap();
    assert_eq!(found, taken);
    (form, out.bytes.len())
}

#[test]
fn all_none_and_the_first_so_many_cost_next_to_nothing() {
    let all: Vec<u16> = (0..3_600).collect();
    assert_eq!(check(&all, 3_600), (0, 0));
    assert_eq!(check(&[], 3_600), (2, 1));
    assert_eq!(check(&all[..1_000], 3_600), (3, 4));
    assert_eq!(check(&[59], 60), (2, 2));
    let two: Vec<u16> = (0..30).chain(31..60).collect();
    assert_eq!(check(&two, 60), (3, 5));
    let even: Vec<u16> = (0..60).step_by(2).collect();
    assert_eq!(check(&even, 60), (1, 8));
}

#[test]
fn what_is_out_of_place_is_refused() {
    let read = |form, bytes: &[u8]| {
        let mut taken = Vec::new();
        let read = read(form, 6, &mut Reader::new(bytes, "places"), &mut taken);
        read.map(|()| taken)
    };
    assert_eq!(read(1, &[0x20]).unwrap(), [5]);
    assert!(read(1, &[0x40]).is_err());
    assert_eq!(read(2, &[2, 0, 4]).unwrap(), [0, 5]);
    assert!(read(2, &[2, 0, 5]).is_err());
    assert_eq!(read(3, &[2, 0, 0, 1, 1]).unwrap(), [0, 2, 3]);
    assert!(read(3, &[2, 0, 0, 0, 1]).is_err(), "two runs that are one");
    assert!(read(3, &[1, 0, 6]).is_err());
    let flags = |bytes: &[u8]| {
        let mut flags = Vec::new();
        read_flags(3, &mut Reader::new(bytes, "flags"), &mut flags).map(|()| flags)
    };
    assert_eq!(flags(&[1, 2, 0, 0]).unwrap(), [Flags(1), Flags(1), Flags(0)]);
    assert!(flags(&[1, 3]).is_err(), "the last run does not say its length");
    assert!(flags(&[0xFF, 0xFF, 4, 0]).is_err());
}

proptest! {
    #[test]
    fn any_places_and_flags_come_back(
        taken in prop::collection::btree_set(0u16..3_600, 0..200),
        places in 1usize..3_601,
        flags in prop::collection::vec(0u16..3, 1..100),
    ) {
        let taken: Vec<u16> = taken.into_iter().filter(|&at| usize::from(at) < places).collect();
        let (_, bytes) = check(&taken, places);
        prop_assert!(bytes <= places.div_ceil(8));
        let mut out = Writer::default();
        write_flags(flags.iter().map(|&bits| Flags(bits)), &mut out);
        let (mut input, mut found) = (Reader::new(&out.bytes, "flags"), Vec::new());
        read_flags(flags.len(), &mut input, &mut found).unwrap();
        input.end().unwrap();
        prop_assert!(found.iter().map(|held| held.0).eq(flags));
    }
}
