use super::*;
use crate::Op;
use crate::local::Pages;

fn taken(lease: &Lease) -> Counts {
    let mut counts = vec![Counts::default(); SHARED_CELLS];
    lease.chunk.take_all(&mut counts);
    counts[3]
}

#[test]
fn a_thread_that_ends_leaves_its_counts_and_its_page_to_the_next() {
    let lease = Space::lease(&Space::new(), SHARED_CELLS);
    for _ in 0..3 {
        let pages = Pages::new();
        let cell = pages.touch(&lease.chunk, 3).unwrap();
        cell.add(Op::Write, 5);
        assert_eq!(lock(&lease.chunk.pages).len(), 1, "adopted, not added");
    }
    let counts = taken(&lease);
    assert_eq!((counts.writes, counts.write_bytes), (3, 15));
    assert!(lock(&lease.chunk.pages).is_empty(), "nobody owns it and it was taken");
}

#[test]
fn threads_that_live_have_a_page_each() {
    let lease = Space::lease(&Space::new(), SHARED_CELLS);
    let (a, b) = (Pages::new(), Pages::new());
    a.touch(&lease.chunk, 3).unwrap().add(Op::Read, 1);
    b.touch(&lease.chunk, 3).unwrap().add(Op::Read, 1);
    assert_eq!(taken(&lease).reads, 2);
    assert_eq!(lock(&lease.chunk.pages).len(), 2);
    a.cell(lease.chunk.number, 3).unwrap().add(Op::Read, 1);
    assert_eq!(taken(&lease).reads, 1);
}

#[test]
fn a_chunk_that_was_given_back_begins_at_zero_on_the_same_pages() {
    let (space, pages) = (Space::new(), Pages::new());
    let first = Space::lease(&space, SHARED_CELLS);
    let number = first.chunk.number;
    pages.touch(&first.chunk, 3).unwrap().add(Op::Read, 1);
    drop(first);
    assert_ne!(Space::lease(&space, 2).chunk.number, number, "of another size");
    let again = Space::lease(&space, SHARED_CELLS);
    assert_eq!(again.chunk.number, number);
    assert!(taken(&again).is_idle());
    pages.cell(number, 3).unwrap().add(Op::Read, 1);
    assert_eq!(taken(&again).reads, 1);
}

#[test]
fn pages_are_found_by_number_in_every_folder() {
    let (space, pages) = (Space::new(), Pages::new());
    let leases: Vec<_> = (0..1_200).map(|_| Space::lease(&space, 1)).collect();
    for lease in &leases {
        assert!(pages.cell(lease.chunk.number, 0).is_none());
        pages.touch(&lease.chunk, 0).unwrap().add(Op::Read, u64::from(lease.chunk.number));
    }
    for lease in &leases {
        let mut counts = [Counts::default()];
        lease.chunk.take(0..1, &mut counts);
        assert_eq!(counts[0].read_bytes, u64::from(lease.chunk.number));
    }
    assert!(pages.cell(Pages::NOWHERE, 0).is_none() && !Pages::has_place_for(Pages::NOWHERE));
}
