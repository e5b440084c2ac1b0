use super::*;
use crate::Op;
use crate::local::{Pages, Spot};

const CELL: usize = 3;

fn spot(lease: &Lease) -> Spot {
    Spot::of(lease.chunk.number, CELL)
}

fn taken(lease: &Lease) -> Counts {
    let mut counts = vec![Counts::default(); CHUNK_CELLS];
    lease.chunk.take_all(&mut counts);
    counts[CELL]
}

#[test]
fn a_thread_that_ends_leaves_its_counts_and_its_page_to_the_next() {
    let lease = Space::lease(&Space::new());
    for _ in 0..3 {
        let pages = Pages::new();
        let cell = pages.touch(&lease.chunk, spot(&lease)).unwrap();
        cell.add(Op::Write, 5);
        assert_eq!(lock(&lease.chunk.pages).len(), 1, "adopted, not added");
    }
    let counts = taken(&lease);
    assert_eq!((counts.writes, counts.write_bytes), (3, 15));
    assert!(lock(&lease.chunk.pages).is_empty(), "nobody owns it and it was taken");
}

#[test]
fn threads_that_live_have_a_page_each() {
    let lease = Space::lease(&Space::new());
    let (a, b) = (Pages::new(), Pages::new());
    a.touch(&lease.chunk, spot(&lease)).unwrap().add(Op::Read, 1);
    b.touch(&lease.chunk, spot(&lease)).unwrap().add(Op::Read, 1);
    assert_eq!(taken(&lease).reads, 2);
    assert_eq!(lock(&lease.chunk.pages).len(), 2);
    a.cell(spot(&lease)).unwrap().add(Op::Read, 1);
    assert_eq!(taken(&lease).reads, 1);
}

#[test]
fn a_chunk_that_was_given_back_begins_at_zero_on_the_same_pages() {
    let (space, pages) = (Space::new(), Pages::new());
    let first = Space::lease(&space);
    let number = first.chunk.number;
    pages.touch(&first.chunk, spot(&first)).unwrap().add(Op::Read, 1);
    drop(first);
    let again = Space::lease(&space);
    assert_eq!(again.chunk.number, number);
    assert!(taken(&again).is_idle());
    pages.cell(spot(&again)).unwrap().add(Op::Read, 1);
    assert_eq!(taken(&again).reads, 1);
}

#[test]
fn pages_are_found_by_number_in_every_folder() {
    let (space, pages) = (Space::new(), Pages::new());
    let leases: Vec<_> = (0..1_200).map(|_| Space::lease(&space)).collect();
    for lease in &leases {
        assert!(pages.cell(spot(lease)).is_none());
        pages.touch(&lease.chunk, spot(lease)).unwrap().add(Op::Read, lease.chunk.number.into());
    }
    for lease in &leases {
        let mut counts = [Counts::default()];
        lease.chunk.take(CELL..CELL + 1, &mut counts);
        assert_eq!(counts[0].read_bytes, u64::from(lease.chunk.number));
    }
    assert_ne!(Spot::of(65_534, 0), Spot::NOWHERE);
    for beyond in [65_535, 65_536, u32::MAX] {
        assert_eq!(Spot::of(beyond, 7), Spot::NOWHERE);
    }
    assert!(pages.touch(&leases[0].chunk, Spot::NOWHERE).is_none());
}
