use keyviz_store::retention::Retention;
use keyviz_store::{Store, StoreOptions};

use super::*;

const MIB: usize = 1 << 20;
const GROUP: GroupId = 3;

fn stored(blocks: &[(u32, u64, usize)]) -> Stored {
    let mut stored = Stored::default();
    for &(number, hour, length) in blocks {
        stored.put(number, None, hour, Some(&vec![number as u8; length]));
    }
    stored
}

#[test]
fn the_last_block_of_the_newest_hour_is_held() {
    let mut newest = NewestHours::default();
    newest.learn(GROUP, stored(&[(1, 7, 10), (1, 8, 20), (2, 7, 30)]));
    let length =
        |newest: &NewestHours, number, hour| newest.block(GROUP, number, hour).map(<[u8]>::len);
    assert_eq!(length(&newest, 1, 7), None);
    assert_eq!((length(&newest, 1, 8), length(&newest, 2, 7)), (Some(20), Some(30)));
    assert_eq!(newest.bytes, 50);
    // What comes late, or is not stored, takes the place of what is not sure any more.
    let mut late = Stored::default();
    late.put(1, Some(8), 7, Some(&[1; 9]));
    late.put(2, Some(7), 8, None);
    newest.learn(GROUP, late);
    assert_eq!(
        (length(&newest, 1, 8), length(&newest, 1, 7), length(&newest, 2, 7)),
        (None, None, None)
    );
    assert_eq!((newest.held(GROUP, 1).unwrap().hour, newest.held(GROUP, 2).unwrap().hour), (8, 8));
    newest.learn(GROUP, stored(&[(5, 9, 11)]));
    newest.forget(GROUP);
    assert_eq!((newest.bytes, newest.block(GROUP, 5, 9)), (0, None));
}

#[test]
fn no_more_is_held_than_there_is_room_for_and_hours_that_are_over_go_first() {
    let mut newest = NewestHours::default();
    let of_hour = |hour, count: u32| (0..count).map(|at| (at, hour, MIB)).collect::<Vec<_>>();
    newest.learn(GROUP, stored(&of_hour(7, 40)));
    assert_eq!(newest.bytes, MOST_BYTES);
    newest.learn(GROUP, stored(&[(3, 8, MIB), (39, 8, MIB)]));
    assert_eq!((newest.bytes, newest.block(GROUP, 0, 7)), (2 * MIB, None));
    assert!(newest.block(GROUP, 39, 8).is_some());
    newest.learn(4, stored(&of_hour(8, 40)));
    assert_eq!(newest.bytes, MOST_BYTES);
    assert_eq!(
        newest.held(GROUP, 0).map(|held| held.hour),
        Some(7),
        "hours are known all the same"
    );
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention: Retention::new(u64::MAX) };
    let store = Store::open(folder.path(), options).unwrap();
    let of = |number| newest.of(&store.view(0), GROUP, (LineageId::nil(), number)).unwrap();
    assert_eq!((of(0), of(39), of(99)), (Some(7), Some(8), None));
}
