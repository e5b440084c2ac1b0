use keyviz_lineage::{BucketPart, Counts, Flags, Step};
use proptest::prelude::*;

use super::*;

fn bucket(place: u8, group: GroupId, members: Vec<RouteId>, hidden: u64) -> Bucket {
    let counts = Counts { writes: 1, ..Counts::default() };
    Bucket {
        group,
        range: KeyRange::new([place], [place + 1]).unwrap(),
        member_count: (members.len() as u64).max(1) + hidden,
        members,
        parts: vec![BucketPart { group: group + 1, term: 3, counts, flags: Flags::NONE }],
    }
}

fn window(index: u64) -> Window {
    Window::new(index * 60_000, Step::MINUTE).unwrap()
}

fn any_index() -> impl Strategy<Value = BucketIndex> {
    let members = prop::collection::btree_set(1u64..600, 0..=256);
    let said = (0u8..6, 1u64..5, members, 0u64..1_000, 0u64..60);
    prop::collection::vec(said, 0..8).prop_map(|said| {
        let mut index = BucketIndex::default();
        for (place, group, members, hidden, at) in said {
            index.add(&bucket(place, group, members.into_iter().collect(), hidden), window(at));
        }
        index
    })
}

fn merged(parts: &[&BucketIndex]) -> BucketIndex {
    let mut all = BucketIndex::default();
    parts.iter().for_each(|part| all.merge(part));
    all
}

#[test]
fn what_columns_say_of_one_bucket_adds_up() {
    let mut index = BucketIndex::default();
    index.add(&bucket(1, 1, (1..=200).collect(), 0), window(7));
    index.add(&bucket(1, 2, (101..=350).collect(), 50), window(3));
    let entry = &index.entries[&virtual_id(&KeyRange::new([1], [2]).unwrap())];
    assert_eq!(entry.groups, BTreeSet::from([1, 2, 3]));
    assert!(entry.members.iter().copied().eq(1..=256), "the smallest of them are listed");
    assert_eq!(entry.member_count, 300, "the largest total that was given");
    assert_eq!((entry.first_ms, entry.last_ms), (180_000, 480_000));
}

#[test]
fn what_has_another_form_is_refused() {
    let sealed = |write: &dyn Fn(&mut Writer)| {
        let mut out = Writer::default();
        write(&mut out);
        BucketIndex::decode(&envelope::seal(VERSION, &out.bytes)).unwrap_err().to_string()
    };
    let entry = |out: &mut Writer, start: &[u8], groups: &[u64], count: u64, members: &[u64]| {
        out.prefixed(start);
        out.prefixed(b"");
        out.ascending(groups.iter());
        out.uint(count);
        out.ascending(members.iter());
        out.uint(60_000);
        out.uint(60_000);
    };
    let one = |start: &'static [u8], groups: &'static [u64], count, members: &'static [u64]| {
        sealed(&|out| {
            out.uint(1);
            entry(out, start, groups, count, members);
        })
    };
    assert!(one(b"a", &[], 1, &[1]).contains("without groups"));
    assert!(one(b"a", &[0, 1], 1, &[1]).contains("group 0"));
    assert!(one(b"a", &[1], 1, &[1, 2]).contains("wrong number of members"));
    assert!(one(b"a", &[1], 0, &[]).contains("wrong number of members"));
    assert!(one(b"a", &[1], 2, &[0, 2]).contains("member 0"));
    assert!(one(&[7; 65_537], &[1], 1, &[1]).contains("too long"));
    let crowd: Vec<u64> = (1..=257).collect();
    let crowded = sealed(&|out| {
        out.uint(1);
        entry(out, b"a", &[1], 300, &crowd);
    });
    assert!(crowded.contains("too long"), "{crowded}");
    let twice = sealed(&|out| {
        out.uint(2);
        entry(out, b"a", &[1], 1, &[1]);
        entry(out, b"a", &[1], 1, &[1]);
    });
    assert!(twice.contains("out of order"), "{twice}");
    let padded = sealed(&|out| out.raw(&[0x80, 0x00]));
    assert!(padded.contains("needless bytes"), "{padded}");
    let behind = sealed(&|out| out.raw(&[0x00, 0x00]));
    assert!(behind.contains("behind the end"), "{behind}");
    // A count that no such value can hold is refused before anything is allocated for it.
    assert!(sealed(&|out| out.uint(u64::MAX)).contains("cut short"));
    assert!(one(b"a", &[u64::MAX, 5], 1, &[1]).contains("beyond 64 bits"));
}

proptest! {
    #[test]
    fn merging_is_a_union(a in any_index(), b in any_index(), c in any_index()) {
        prop_assert_eq!(&merged(&[&a, &a]), &a);
        prop_assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
        prop_assert_eq!(merged(&[&merged(&[&a, &b]), &c]), merged(&[&a, &merged(&[&b, &c])]));
    }

    #[test]
    fn round_trip_and_damage(index in any_index(), flip in any::<prop::sample::Index>()) {
        let value = index.encode();
        prop_assert_eq!(&BucketIndex::decode(&value).unwrap(), &index);
        let at = flip.index(value.len());
        let mut spoiled = value.clone();
        spoiled[at] ^= 0x20;
        prop_assert!(BucketIndex::decode(&spoiled).is_err());
        prop_assert!(BucketIndex::decode(&value[..at]).is_err());
    }

    #[test]
    fn spoiled_and_sealed_again_it_has_still_one_form(index in any_index(), flip in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let value = index.encode();
        let mut payload = value[1..value.len() - 4].to_vec();
        let at = flip.index(payload.len());
        payload[at] = byte;
        let spoiled = envelope::seal(VERSION, &payload);
        if let Ok(decoded) = BucketIndex::decode(&spoiled) {
            prop_assert_eq!(decoded.encode(), spoiled);
        }
    }

    #[test]
    fn sealed_noise_never_panics(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let value = envelope::seal(VERSION, &payload);
        if let Ok(decoded) = BucketIndex::decode(&value) {
            prop_assert_eq!(decoded.encode(), value);
        }
    }
}
